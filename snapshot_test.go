package memwarden

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/heap/archive"
	"github.com/memwarden/memwarden/settings"
)

func TestSnapshotOptions(t *testing.T) {
	got, err := SnapshotOptions{}.withDefaults()
	if want := DefaultSnapshotOptions(); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if want := (SnapshotOptions{ReserveBytes: 64 << 20, Deadline: 30 * time.Second, MaxCount: 5, MaxAge: 24 * time.Hour, MaxBytes: 1 << 30, Cooldown: 10 * time.Second, Collapse: 10 * time.Second}); got != want {
		t.Errorf("defaults %+v, want %+v", got, want)
	}
	own := SnapshotOptions{Disabled: true, Helper: "h", ReserveBytes: 1, BudgetBytes: 2, Deadline: 3, Dir: "d", MaxCount: 4, MaxAge: 5, MaxBytes: 6, Cooldown: -1, Collapse: -1}
	if got, err := own.withDefaults(); err != nil || got != own {
		t.Errorf("%+v, %v, want %+v", got, err, own)
	}
	_, err = Start(t.Context(), Options{Snapshot: SnapshotOptions{ReserveBytes: -1, BudgetBytes: -1, Deadline: -1, MaxCount: -1, MaxAge: -1, MaxBytes: -1}})
	for _, name := range []string{"ReserveBytes", "BudgetBytes", "Deadline", "MaxCount", "MaxAge", "MaxBytes"} {
		if err == nil || !strings.Contains(err.Error(), "Snapshot."+name+" -1 is negative") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSnapshotOptionsFrom(t *testing.T) {
	values, err := settings.Resolve(SnapshotSettings(), settings.Layer{Lookup: lookup(
		"MEMWARDEN_SNAPSHOT_ENABLED=no", "MEMWARDEN_SNAPSHOT_DIR=d", "MEMWARDEN_SNAPSHOT_MAX_COUNT=7", "MEMWARDEN_SNAPSHOT_MAX_AGE=2h",
		"MEMWARDEN_SNAPSHOT_MAX_BYTES=2MiB", "MEMWARDEN_SNAPSHOT_RESERVE=3MiB", "MEMWARDEN_SNAPSHOT_BUDGET=4MiB", "MEMWARDEN_SNAPSHOT_DEADLINE=5s",
		"MEMWARDEN_SNAPSHOT_COOLDOWN=0s", "MEMWARDEN_SNAPSHOT_COLLAPSE=0s", "MEMWARDEN_SNAPSHOT_HELPER=h",
	)})
	if err != nil {
		t.Fatal(err)
	}
	want := SnapshotOptions{Disabled: true, Helper: "h", Dir: "d", MaxCount: 7, MaxAge: 2 * time.Hour, MaxBytes: 2 << 20, ReserveBytes: 3 << 20,
		BudgetBytes: 4 << 20, Deadline: 5 * time.Second, Cooldown: -1, Collapse: -1}
	if got := SnapshotOptionsFrom(values); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestRefusalTellsTheRoom(t *testing.T) {
	err := room{Bytes: 10, Limit: "because"}.refusal("it", 2048, 1024)
	if !errors.Is(err, ErrSnapshotRoom) || !strings.Contains(err.Error(), "it needs about 2.0 KiB and 1.0 KiB stay in reserve, but only 10 B are free (because)") {
		t.Error(err)
	}
}

// TestSnapshotsThatAreRefused: each reason has its error, and nothing is done.
func TestSnapshotsThatAreRefused(t *testing.T) {
	disabled := begin(t, Options{Snapshot: SnapshotOptions{Disabled: true, Dir: t.TempDir()}})
	remote := begin(t, Options{PID: os.Getpid(), Snapshot: SnapshotOptions{Dir: t.TempDir()}})
	none := begin(t, Options{})
	for name, c := range map[string]struct {
		w    *Warden
		want error
	}{"disabled": {disabled, ErrSnapshotDisabled}, "remote": {remote, ErrRemote}, "no directory": {none, ErrNoSnapshotDir}} {
		_, stored := c.w.StoreSnapshot(t.Context())
		_, analysed := c.w.AnalyzeSnapshot(t.Context(), "x")
		_, kept := c.w.Snapshots()
		for what, err := range map[string]error{"store": stored, "analyse": analysed, "list": kept} {
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
		if c.w == none {
			continue
		}
		if _, err := c.w.Snapshot(t.Context(), os.Stdout); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{Snapshot: SnapshotOptions{Dir: file}}); !errors.Is(err, ErrSnapshotDir) {
		t.Errorf("a file as the directory: %v", err)
	}
	kept := begin(t, Options{Snapshot: SnapshotOptions{Dir: t.TempDir()}})
	if _, err := kept.AnalyzeSnapshot(t.Context(), "x"); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("a snapshot that is not there: %v", err)
	}
	if text := (&SnapshotCooldownError{RetryAfter: 1234 * time.Millisecond}).Error(); !strings.HasSuffix(text, "in 1.2s") {
		t.Error(text)
	}
}
