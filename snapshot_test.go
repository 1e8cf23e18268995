package memwarden

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/heap/archive"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/settings"
)

func TestSnapshotOptions(t *testing.T) {
	got, err := SnapshotOptions{}.withDefaults()
	if want := DefaultSnapshotOptions(); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if want := (SnapshotOptions{ReserveBytes: 64 << 20, Deadline: 30 * time.Second, MaxCount: 5, MaxAge: 24 * time.Hour, MaxBytes: 1 << 30, Cooldown: 10 * time.Second}); got != want {
		t.Errorf("defaults %+v, want %+v", got, want)
	}
	own := SnapshotOptions{Disabled: true, Helper: "h", ReserveBytes: 1, BudgetBytes: 2, Deadline: 3, Dir: "d", MaxCount: 4, MaxAge: 5, MaxBytes: 6, Cooldown: -1}
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
		"MEMWARDEN_SNAPSHOT_COOLDOWN=0s", "MEMWARDEN_SNAPSHOT_HELPER=h",
	)})
	if err != nil {
		t.Fatal(err)
	}
	want := SnapshotOptions{Disabled: true, Helper: "h", Dir: "d", MaxCount: 7, MaxAge: 2 * time.Hour, MaxBytes: 2 << 20, ReserveBytes: 3 << 20,
		BudgetBytes: 4 << 20, Deadline: 5 * time.Second, Cooldown: -1}
	if got := SnapshotOptionsFrom(values); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestTheTightestLimitCounts(t *testing.T) {
	known := memstat.Known[int64]
	own := memstat.Cgroup{MaxBytes: known(1000), HighBytes: known(900), CurrentBytes: known(700), WorkingSetBytes: known(600)}
	full := own
	full.Parents[0] = memstat.Parent{Path: "/pod", MaxBytes: known(2000), CurrentBytes: known(1950)}
	for name, c := range map[string]struct {
		sample memstat.Sample
		bytes  int64
		where  string
	}{
		"own high limit": {memstat.Sample{Cgroup: own, System: memstat.System{AvailableBytes: known(5000)}}, 300, "high limit: 600 B of 900 B"},
		"parent":         {memstat.Sample{Cgroup: full}, 50, "control group /pod: 1.9 KiB of 2.0 KiB"},
		"machine":        {memstat.Sample{Cgroup: own, System: memstat.System{AvailableBytes: known(200)}}, 200, "the machine has 200 B"},
		"nothing known":  {memstat.Sample{}, 0, "can be read"},
		"above its own":  {memstat.Sample{Cgroup: memstat.Cgroup{MaxBytes: known(10), CurrentBytes: known(15)}}, -5, "container's limit"},
	} {
		if r := roomOf(&c.sample); r.bytes != c.bytes || !strings.Contains(r.where, c.where) {
			t.Errorf("%s: %+v, want %d, %s", name, r, c.bytes, c.where)
		}
	}
	err := room{10, "because"}.refusal("it", 2048, 1024)
	if !errors.Is(err, ErrSnapshotRoom) || !strings.Contains(err.Error(), "it needs about 2.0 KiB and 1.0 KiB stay in reserve, but only 10 B are free (because)") {
		t.Error(err)
	}
}

func TestAvailableBytes(t *testing.T) {
	root := t.TempDir()
	if _, ok := availableBytes(root); ok {
		t.Error("there is no file")
	}
	if err := os.Mkdir(filepath.Join(root, "proc"), 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int64{
		"MemTotal: 5 kB\nMemAvailable:    7 kB\n": 7 << 10, "MemTotal: 5 kB\n": -1, "MemAvailable: 7 MB\n": -1, "MemAvailable: x kB\n": -1, "MemAvailable:\n": -1,
	} {
		if err := os.WriteFile(filepath.Join(root, "proc", "meminfo"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := availableBytes(root); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, ok, want)
		}
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
