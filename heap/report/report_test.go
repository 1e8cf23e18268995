package report

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/heap/snapshot"
)

var update = flag.Bool("update", false, "write the golden texts anew")

// golden compares a text with the one kept, which -update writes anew, and wants it to fit a terminal.
func golden(t *testing.T, name, text string) {
	t.Helper()
	fits(t, name, text)
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(kept) != text {
		t.Errorf("%s is not what is written; if that is meant, run go test -update:\n%s", path, text)
	}
}

// fits wants lines of 80 columns, without a character that a terminal does not show as itself.
func fits(t *testing.T, name, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > columns {
			t.Errorf("%s: a line of %d columns: %s", name, n, line)
		}
		if strings.TrimRight(line, " ") != line && !strings.HasSuffix(line, "  ") {
			t.Errorf("%s: a line ends in a space: %q", name, line)
		}
		if strings.IndexFunc(line, hidden) >= 0 || !utf8.ValidString(line) {
			t.Errorf("%s: a line for no terminal: %q", name, line)
		}
	}
}

// session is the analysis of a service that leaks sessions.
func session() *retain.Analysis {
	return &retain.Analysis{
		GoVersion: "go1.26.8", OS: "linux", Arch: "amd64", Executable: "shop", BuildID: "abc", PID: 4711,
		TakenAt: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC).UnixNano(), Method: snapshot.Fork, PauseSeconds: 0.0123456,
		RSSBytes: 560 << 20, StackBytes: 2 << 20, Objects: 9_812_345, Bytes: 434 << 20, ReachedObjects: 9_800_012, ReachedBytes: 433 << 20, ReachedRatio: 0.9977,
		Edges: 12_200_000, RuntimeLiveBytes: 434 << 20, LiveRatio: 0.9977, TypedRatio: 0.9996, InferredRatio: 0.018,
		Suspects: []retain.Suspect{{
			Sentence: "main.globalCache.m holds 1,000,000 main.Session that retain 389.2 MiB, 89.9 % of the reached heap; they were allocated in main.newSession (server.go:88).",
			Type:     "main.Session", Count: 1_000_000, RetainedBytes: 408_000_000, Share: 0.899,
			Path: []string{"main.globalCache", ".m", "[…]"}, PathShare: 0.75,
			Holders:    []retain.Holder{{Name: "main.globalCache", Count: 1_000_000}, {Name: "goroutine main.(*Cache).expire", Count: 1}},
			AllocStack: []string{"main.newSession (server.go:88)", "main.handle (server.go:31)", "net/http.HandlerFunc.ServeHTTP (server.go:2294)"},
			AllocShare: 1,
			Consumers:  []retain.Type{{Name: "main.User", Count: 1_000_000, ShallowBytes: 48_000_000}, {Name: "[]uint8", Count: 3_000_000, ShallowBytes: 96_000_000}},
			Signature:  "2892ef7aedb344d6",
		}, {
			Sentence: "main.registry.tenants[…].sessions.byAddress[…].connections[…].buffers[…].pages[…].previous.previous.previous holds much.",
			Type:     "main.Page", Count: 1, RetainedBytes: 20 << 20, Share: 0.046,
			Path: []string{"main.registry", ".tenants", "[…]", ".sessions", ".byAddress", "[…]", ".connections", "[…]", ".buffers", "[…]", ".pages"}, PathShare: 1,
		}},
		Types: []retain.Type{
			{Name: "main.Session", Count: 1_000_000, ShallowBytes: 64_000_000, RetainedBytes: 408_000_000},
			{Name: "map[string]*github.com/example/service/internal/registry/store.Entry[github.com/example/service/model.Tenant]", Count: 12, ShallowBytes: 576, RetainedBytes: 5 << 20},
			{Name: "[]uint8", Count: 3_000_000, ShallowBytes: 96_000_000, RetainedBytes: 96_000_000},
		},
		TypeCount: 1234,
		Roots: []retain.Root{
			{Kind: "global", Name: "main.globalCache", RetainedBytes: 408_000_000, SharedBytes: 16, Count: 1},
			{Kind: "stack", Name: "main.worker:job", RetainedBytes: 4096, Count: 12},
			{Kind: "stack", Name: "main.poll+24", RetainedBytes: 48, Count: 1, Conservative: true},
		},
		RootCount: 88,
		Shared: []retain.Shared{{Type: "main.Config", Count: 1, RetainedBytes: 70_000, HolderCount: 3,
			Holders: []retain.Holder{{Name: "main.config", Count: 1}, {Name: "goroutine main.worker", Count: 12}}}},
		Goroutines: []retain.Goroutine{
			{Function: "main.worker", State: "chan receive", CreatedBy: "main.main", Count: 12, RetainedBytes: 4096, SharedBytes: 70_000},
			{Function: "net/http.(*conn).serve", State: "IO wait", Count: 500, RetainedBytes: 2_000_000},
		},
		GoroutineCount: 2,
		Pins:           []retain.Pin{{Holder: "main.lastLine", Type: "[]uint8", Count: 1, UsedBytes: 16, ObjectBytes: 1 << 20}},
		Warnings:       []string{"12 objects had no readable type word: they were being made, and what they point to is not followed"},
	}
}

func TestWrite(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, session(), Options{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "session", out.String())
	out.Reset()
	if err := Write(&out, session(), Options{Top: 1}); err != nil {
		t.Fatal(err)
	}
	golden(t, "session-top-1", out.String())
	out.Reset()
	if err := Write(&out, &retain.Analysis{GoVersion: "go1.27.2", OS: "linux", Arch: "arm64", RSSBytes: -1, Method: "else"}, Options{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "nothing", out.String())
}

func TestWriteType(t *testing.T) {
	c := &retain.Closer{
		Type: retain.Type{Name: "main.Session", Count: 1_000_000, ShallowBytes: 64_000_000, RetainedBytes: 408_000_000},
		Instances: []retain.Instance{{Object: 17, ShallowBytes: 64, RetainedBytes: 4096, Path: []string{"main.globalCache", ".m", "[…]"}},
			{Object: 4_000_000, ShallowBytes: 64, RetainedBytes: 408, Path: session().Suspects[1].Path}},
		Paths: []retain.Path{{Steps: []string{"main.globalCache", ".m", "[…]"}, Count: 4000, RetainedBytes: 1_632_000},
			{Steps: append(session().Suspects[1].Path, strings.Repeat(".long", 30)), Count: 96, RetainedBytes: 39_168}},
		SampledPaths: 4096,
		Allocations: []retain.Allocation{{Stack: []string{"main.newSession (server.go:88)", "main.handle (server.go:31)"}, Share: 0.98, Samples: 100},
			{Stack: []string{"main.restore (store.go:12)"}, Share: 0.02, Samples: 3}},
		Holds: []retain.Type{{Name: "main.User", Count: 1_000_000, ShallowBytes: 48_000_000, RetainedBytes: 100_000_000}},
	}
	var out bytes.Buffer
	if err := WriteType(&out, c, Options{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "type", out.String())
	out.Reset()
	if err := WritePaths(&out, c.Type.Name, c.Paths, Options{Top: 1}); err != nil {
		t.Fatal(err)
	}
	golden(t, "paths", out.String())
	out.Reset()
	if err := WritePaths(&out, "main.Nothing", nil, Options{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "paths-none", out.String())
}

func TestWriteDifference(t *testing.T) {
	before, after := session(), session()
	after.TakenAt += int64(time.Hour)
	after.ReachedBytes += 50 << 20
	after.Types[0].Count += 100_000
	after.Types[0].RetainedBytes += 40_800_000
	after.Types[2].Count--
	after.Types[2].RetainedBytes -= 32
	after.Types[2].ShallowBytes -= 32
	after.Suspects[0].Count += 100_000
	after.Suspects[0].RetainedBytes += 40_800_000
	after.Suspects[1].Signature = "another"
	for _, a := range []*retain.Analysis{before, after} {
		for _, count := range []uint64{5_000, 3_000} {
			a.Suspects = append(a.Suspects, retain.Suspect{
				Sentence: "main.tenants[…] holds 5,000 main.Order that retain 4.8 MiB.", Path: []string{"main.tenants", "[…]"},
				Type: "main.Order", Count: count, RetainedBytes: 1000 * count, Signature: "alike",
			})
		}
	}
	after.Suspects[3].Count += 1_000
	after.Suspects[3].RetainedBytes += 1_000_000
	var out bytes.Buffer
	if err := WriteDifference(&out, retain.Diff(before, after), Options{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "difference", out.String())
	out.Reset()
	if err := WriteDifference(&out, retain.Diff(&retain.Analysis{}, &retain.Analysis{}), Options{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "difference-none", out.String())
}

// TestHostileNames: what a file says never reaches the terminal as a command, nor beyond 80 columns.
func TestHostileNames(t *testing.T) {
	hostile := "\x1b[2J\u202ea\u0301\xff\nnew line" + strings.Repeat("界", 200) + " "
	a := session()
	a.Executable, a.GoVersion, a.OS, a.Arch = hostile, hostile, hostile, hostile
	for i := range a.Suspects {
		s := &a.Suspects[i]
		s.Sentence, s.Path, s.Signature, s.AllocStack = hostile, []string{hostile, hostile}, hostile, []string{hostile}
		s.Holders, s.Consumers = []retain.Holder{{Name: hostile, Count: math.MaxUint64}}, []retain.Type{{Name: hostile, Count: math.MaxUint64, ShallowBytes: math.MaxUint64}}
	}
	for i := range a.Types {
		a.Types[i] = retain.Type{Name: hostile, Count: math.MaxUint64, ShallowBytes: math.MaxUint64, RetainedBytes: math.MaxUint64}
	}
	a.Roots[0].Kind, a.Roots[0].Name = "global", hostile
	a.Shared[0].Type = hostile
	a.Goroutines[0].State, a.Goroutines[0].Function = hostile, hostile
	a.Pins[0].Holder, a.Pins[0].Type = hostile, hostile
	a.Warnings = []string{hostile}
	var out bytes.Buffer
	if err := Write(&out, a, Options{}); err != nil {
		t.Fatal(err)
	}
	fits(t, "hostile", out.String())
	out.Reset()
	c := &retain.Closer{Type: a.Types[0], Holds: a.Types, Paths: []retain.Path{{Steps: []string{hostile, hostile}}},
		Allocations: []retain.Allocation{{Stack: []string{hostile}}}, Instances: []retain.Instance{{Path: []string{hostile}}}}
	if err := WriteType(&out, c, Options{}); err != nil {
		t.Fatal(err)
	}
	fits(t, "hostile type", out.String())
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestErrors(t *testing.T) {
	for _, err := range []error{
		Write(brokenWriter{}, session(), Options{}), WriteType(brokenWriter{}, &retain.Closer{}, Options{}),
		WritePaths(brokenWriter{}, "x", nil, Options{}), WriteDifference(brokenWriter{}, &retain.Difference{}, Options{}),
	} {
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 9_800_012: "9,800,012", math.MaxUint64: "18,446,744,073,709,551,615"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", -1: "0s", 123: "123ns", 12_345_678: "12.3ms", 1_234_567_890: "1.23s", 83_456_000_000: "1m23.5s"} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%d) = %s, want %s", d, got, want)
		}
	}
	for ratio, want := range map[float64]string{0: "0 %", -1: "0 %", math.NaN(): "0 %", 0.0004: "< 0.1 %", 0.5: "50 %", 0.123: "12.3 %", 0.99999: "99.9 %", 1: "100 %", 1.5: "150 %"} {
		if got := percent(ratio); got != want {
			t.Errorf("percent(%v) = %s, want %s", ratio, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 1234: "+1,234", -1234: "-1,234", math.MinInt64: "-9,223,372,036,854,775,808"} {
		if got := countChange(n); got != want {
			t.Errorf("countChange(%d) = %s, want %s", n, got, want)
		}
	}
	for bytes, want := range map[int64]string{0: "0 B", 2048: "+2.0 KiB", -2048: "-2.0 KiB"} {
		if got := change(bytes); got != want {
			t.Errorf("change(%d) = %s, want %s", bytes, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		name  string
		width int
		want  string
	}{
		{"main.Session", 12, "main.Session"}, {"main.Session", 11, "mai…Session"}, {"main.Session", 3, "…on"}, {"main", 1, "…"}, {"main", 0, ""}, {"main", -3, ""},
		{"a\tb", 5, "a?b"}, {"ä\xff", 5, "ä?"},
	} {
		if got := shorten(c.name, c.width); got != c.want {
			t.Errorf("shorten(%q, %d) = %q, want %q", c.name, c.width, got, c.want)
		}
	}
}
