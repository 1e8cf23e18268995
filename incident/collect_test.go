package incident

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
)

func TestProfiles(t *testing.T) {
	for _, name := range []string{"heap", "goroutine"} {
		var out bytes.Buffer
		if err := Profile(name)(&out); err != nil {
			t.Fatal(err)
		}
		plain, err := gzip.NewReader(&out)
		if err != nil {
			t.Fatal(name, err)
		}
		if content, err := io.ReadAll(plain); err != nil || !bytes.Contains(content, []byte("incident.")) && name == "goroutine" {
			t.Errorf("%s: %d bytes, %v", name, len(content), err)
		}
	}
	if err := Profile("none")(io.Discard); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	err := Profile("goroutineleak")(io.Discard)
	if there := pprof.Lookup("goroutineleak") != nil; there != (err == nil) {
		t.Errorf("the profile is there: %v; got %v", there, err)
	}
	full := errors.New("full")
	if err := Profile("goroutine")(writerFunc(func([]byte) (int, error) { return 0, full })); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestStacks(t *testing.T) {
	var out bytes.Buffer
	if err := Stacks(&out); err != nil || !strings.Contains(out.String(), "incident.TestStacks") {
		t.Errorf("%v: %s", err, &out)
	}
	var all sync.WaitGroup
	over := make(chan struct{})
	for range MaxStacks {
		all.Go(func() { <-over })
	}
	err := Stacks(io.Discard)
	close(over)
	all.Wait()
	if err == nil || !strings.Contains(err.Error(), "fewer than 10000") {
		t.Errorf("got %v", err)
	}
}

func TestCgroup(t *testing.T) {
	dir := t.TempDir()
	if err := Cgroup(dir)(io.Discard); err == nil || !strings.Contains(err.Error(), "no files of a memory control group") {
		t.Errorf("got %v", err)
	}
	for name, content := range map[string]string{
		"memory.events": "oom_kill 3\n", "memory.max": "1024\n", "memory.stat": strings.Repeat("anon 1\n", 20_000), "cgroup.procs": "1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "memory.high"), 0o700); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Cgroup(dir)(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"== memory.max\n1024\n", "== memory.events\noom_kill 3\n", "the rest, beyond 64.0 KiB, is left out", "== memory.high\ncannot be read: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%.300s", want, &out)
		}
	}
	if strings.Contains(out.String(), "procs") || out.Len() > 70<<10 {
		t.Errorf("%d bytes of it", out.Len())
	}
	full := errors.New("full")
	if err := Cgroup(dir)(writerFunc(func([]byte) (int, error) { return 0, full })); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}
