package incident

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/bounddir"
	"github.com/memwarden/memwarden/memstat"
)

func TestEndings(t *testing.T) {
	known := memstat.Known[int64]
	for name, c := range map[string]struct {
		closed        bool
		before, after string // groups
		then, now     memstat.Int
		want          Ending
		kills         memstat.Int
	}{
		"closed":                {true, "g", "g", known(1), known(2), Closed, memstat.Int{}},
		"killed":                {false, "g", "g", known(1), known(2), KilledForMemory, known(1)},
		"died":                  {false, "g", "g", known(1), known(1), NotClosed, known(0)},
		"in another group":      {false, "g", "h", known(1), known(2), UnknownEnding, memstat.Int{}},
		"in no group":           {false, "", "", known(1), known(2), UnknownEnding, memstat.Int{}},
		"counted anew":          {false, "g", "g", known(2), known(1), UnknownEnding, memstat.Int{}},
		"not counted":           {false, "g", "g", memstat.Int{}, known(1), UnknownEnding, memstat.Int{}},
		"not counted any more ": {false, "g", "g", known(1), memstat.Int{}, UnknownEnding, memstat.Int{}},
	} {
		t.Run(name, func(t *testing.T) {
			clock := &clock{epoch}
			dir := t.TempDir()
			s := open(t, dir, clock, nil)
			first := Run{StartedAt: epoch, PID: 7, Group: c.before, OOMKills: c.then}
			if p, err := s.BeginRun(first); p != nil || err != nil {
				t.Fatalf("before the first there was %+v, %v", p, err)
			}
			mine := write(t, s, clock, "x")
			if c.closed {
				first.ClosedAt = clock.at
				if err := s.NoteRun(first); err != nil {
					t.Fatal(err)
				}
			}
			s = open(t, dir, clock, nil)
			p, err := s.BeginRun(Run{StartedAt: clock.at, PID: 8, Group: c.after, OOMKills: c.now})
			if err != nil || p.Ended != c.want || p.OOMKills != c.kills || p.PID != 7 || !p.StartedAt.Equal(epoch) || !slices.Equal(p.Bundles, []string{mine.ID}) {
				t.Errorf("got %+v, %v", p, err)
			}
			// The one after that is told of the second run, which has left no bundle.
			if p, err = s.BeginRun(Run{StartedAt: clock.at.Add(time.Second), PID: 9}); err != nil || p.PID != 8 || len(p.Bundles) != 0 {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

func TestRunThatCannotBeRead(t *testing.T) {
	s := open(t, t.TempDir(), &clock{epoch}, nil)
	for _, content := range []string{"", "{", "{}", `{"started_at": 3}`, strings.Repeat(" ", maxRunBytes+1)} {
		if err := os.WriteFile(filepath.Join(s.o.Dir, runName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := s.BeginRun(Run{StartedAt: epoch, PID: 1}); p != nil || err == nil || !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("%.10q: got %+v, %v", content, p, err)
		}
		if p, err := s.BeginRun(Run{StartedAt: epoch, PID: 2}); err != nil || p.PID != 1 {
			t.Errorf("%.10q: this run was not noted: %+v, %v", content, p, err)
		}
	}
}

func TestGroupIdentity(t *testing.T) {
	root := t.TempDir()
	group := filepath.Join(root, "group")
	boot := filepath.Join(root, "proc/sys/kernel/random")
	if err := errors.Join(os.Mkdir(group, 0o700), os.MkdirAll(boot, 0o700)); err != nil {
		t.Fatal(err)
	}
	if got := GroupIdentity(root, group); got != "" {
		t.Errorf("without a boot id it is %q", got)
	}
	if err := os.WriteFile(filepath.Join(boot, "boot_id"), []byte("b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := GroupIdentity(root, group)
	if runtime.GOOS != "linux" {
		if got != "" {
			t.Errorf("got %q", got)
		}
		return
	}
	if !strings.HasPrefix(got, "b/") || got != GroupIdentity(root, group) || got == GroupIdentity(root, root) {
		t.Errorf("got %q", got)
	}
	if got := GroupIdentity(root, filepath.Join(root, "none")); got != "" {
		t.Errorf("of what is not there it is %q", got)
	}
}

func FuzzParseRun(f *testing.F) {
	f.Add([]byte(`{"started_at":"2026-01-02T15:04:05Z","pid":7,"group":"b/1/2","oom_kills":3,"closed_at":"2026-01-02T15:04:05Z"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := parseRun(text); err == nil && r.StartedAt.IsZero() {
			t.Errorf("a run that began at no time: %+v", r)
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"version":1,"id":"20260102T150405Z-00000000","at":"2026-01-02T15:04:05Z","complete":true,"parts":[{"name":"heap.pb.gz","bytes":3}],"missing":[{"name":"a","reason":"b"}]}`))
	f.Add([]byte(`{"version":1,"id":"20260102T150405Z-00000000","parts":[{"name":"../../etc/passwd"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseManifest(text)
		if err != nil {
			return
		}
		if !bounddir.IsID(m.ID) || len(m.Parts) > maxParts {
			t.Errorf("got %+v", m)
		}
		for _, p := range m.Parts {
			if p.Name != filepath.Base(p.Name) || !filepath.IsLocal(p.Name) || strings.ContainsAny(p.Name, `/\`) || p.Name == manifestName {
				t.Errorf("the part %q leads elsewhere", p.Name)
			}
		}
	})
}

func TestParseManifestRefuses(t *testing.T) {
	const id = `"id":"20260102T150405Z-00000000"`
	for text, want := range map[string]string{
		`[]`:                          "cannot be read",
		`{"version":2,` + id + `}`:    "version 2",
		`{"version":1,"id":"../etc"}`: `the id "../etc"`,
		`{"version":1,` + id + `,"parts":[{"name":"../x"}]}`:                       "a part",
		`{"version":1,` + id + `,"parts":[{"name":"x"},{"name":"x"}]}`:             "a part",
		`{"version":1,` + id + `,"parts":[{"name":"x","bytes":-1}]}`:               "a part",
		`{"version":1,` + id + `,"pending":["` + strings.Repeat(`","`, 70) + `"]}`: "more than 64",
		strings.Repeat(" ", maxManifestBytes+1):                                    "want at most",
	} {
		if _, err := parseManifest([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: got %v, want %q", text, err, want)
		}
	}
	if got := line(strings.Repeat("ä\n\x00 ", 1000)); len(got) > maxReason || strings.ContainsAny(got, "\n\x00") {
		t.Errorf("a line is %q", got)
	}
}
