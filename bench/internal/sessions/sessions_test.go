package sessions

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
)

// serve is what marks the test binary as a program of this package.
const serve = "BENCH_SESSIONS_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serve) == "" {
		os.Exit(m.Run())
	}
	err := Main(os.Args[1:], os.Stdin, os.Stdout, Commands{
		"echo": func(text string) (string, error) { return text, nil },
		"fail": func(text string) (string, error) { return "", errors.New(text + "\nand more") },
	})
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
}

func TestProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	environment := append(os.Environ(), serve+"=1")
	p, err := Start(t.Context(), self, 100, 16, environment)
	if err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{"echo some text": "some text", "echo": "", "gc": ""} {
		if got, err := p.Ask(command); err != nil || got != want {
			t.Errorf("%s: %q, %v: want %q", command, got, err, want)
		}
	}
	for command, want := range map[string]string{"fail badly": "badly; and more", "unknown": `no such command: "unknown"`} {
		if got, err := p.Ask(command); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v: want %q", command, got, err, want)
		}
	}
	if longest, err := p.Longest(); err != nil || longest <= 0 {
		t.Errorf("%v, %v: it has looked at sessions", longest, err)
	}
	for range 2 {
		if _, err := p.Ask("rest"); err != nil {
			t.Error(err)
		}
	}
	if longest, err := p.Longest(); err == nil {
		t.Errorf("at rest: %v, want an error", longest)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.Ask("gc"); err == nil {
		t.Error("after it has ended: want an error")
	}
	if _, err := Start(t.Context(), self, 0, 16, environment); err == nil || !strings.Contains(err.Error(), "0 sessions") {
		t.Errorf("without sessions: %v, want what the program says of it", err)
	}
}

// TestSizes counts what the constants promise.
func TestSizes(t *testing.T) {
	const n = 20_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := New(n, 16)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := float64(after.HeapObjects-before.HeapObjects) / n; got < ObjectsPerSession || got > ObjectsPerSession+0.5 {
		t.Errorf("%.2f objects for each session: want %d and a few of the map and the groups", got, ObjectsPerSession)
	}
	invited := 0
	for _, s := range p.byNumber {
		if s.User.InvitedBy != nil {
			invited++
		}
	}
	if want := (PointersPerSession - 12) * n; float64(invited) != want {
		t.Errorf("%d are invited: want %v", invited, want)
	}
}

func TestMainRefuses(t *testing.T) {
	for _, arguments := range [][]string{nil, {"1"}, {"many", "2"}, {"1", "long"}, {"1", "1"}, {"1", "2", "3"}} {
		if err := Main(arguments, strings.NewReader(""), io.Discard, nil); err == nil {
			t.Errorf("%q: want an error", arguments)
		}
	}
}
