package tests

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/pgtest"
	"github.com/memwarden/memwarden/internal/scratch"
	"github.com/memwarden/memwarden/server/internal/servicetest"
)

var long = flag.Bool("long", false, "leaks of minutes, in their time")

func onlyLong(t *testing.T) {
	t.Helper()
	if !*long {
		t.Skip("SKIPPED: it takes minutes: -long")
	}
}

// leakyProgram builds the example that leaks when it is asked to.
var leakyProgram = sync.OnceValues(func() (string, error) {
	dir, err := servicetest.Dir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "leaky")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = filepath.Join("..", "..", "examples", "leaky")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return path, nil
})

// leaky is the example, and where it is told to leak.
type leaky struct {
	*service
	own string // URL
}

// startLeaky starts the example with settings, without their prefix.
func startLeaky(t *testing.T, settings map[string]string, arguments ...string) *leaky {
	t.Helper()
	path, err := leakyProgram()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(path, append([]string{"-addr", "127.0.0.1:0"}, arguments...)...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "MEMWARDEN_ADDR=127.0.0.1:0", "MEMWARDEN_SNAPSHOT_DEADLINE=5m"}
	for name, value := range settings {
		command.Env = append(command.Env, "MEMWARDEN_"+name+"="+value)
	}
	client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	r := &leaky{service: &service{servicetest.Run(t, command, client)}}
	url := regexp.MustCompile(`http://[^/\s]+`)
	r.URL = url.FindString(r.WaitForText(t, &r.Said, regexp.MustCompile(`url=http://\S+`)))
	r.own = url.FindString(r.WaitForText(t, &r.Said, regexp.MustCompile(`listening on http://\S+`)))
	return r
}

// leak makes it leak.
func (l *leaky) leak(t *testing.T, what string) {
	t.Helper()
	response, err := l.Client.Post(l.own+"/leak/"+what, "", nil)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", response, err)
	}
	response.Body.Close()
}

// foundLeak is a leak report, as far as it is looked at here.
type foundLeak struct {
	ID                           int64
	Kind, Status, Sentence, Type string
	AllocStack                   []string `json:"alloc_stack"`
	Path, Evidence, Actions      []string
}

type foundLeaks struct {
	Verdict string
	Leaks   []foundLeak
}

// find waits for a leak, and says how long that took.
func (s *service) find(t *testing.T, limit time.Duration, kind string, statuses ...string) (found foundLeak, took time.Duration) {
	t.Helper()
	began := time.Now()
	t.Cleanup(func() {
		if t.Failed() && !s.HasEnded() {
			t.Logf("at last: %s", s.Get(t, memory+"/leaks").Body)
		}
	})
	servicetest.Within(t, limit, "found the "+kind+" "+strings.Join(statuses, " or "), func() bool {
		for _, l := range servicetest.Decode[foundLeaks](t, s.Get(t, memory+"/leaks")).Leaks {
			for _, status := range statuses {
				if l.Kind == kind && l.Status == status {
					found, took = l, time.Since(began)
					return true
				}
			}
		}
		return false
	})
	return found, took
}

// TestLeaksOfMinutes: with a window of 45 seconds a quarter of a MiB a second, or ten goroutines, are found and named within
// two minutes. In a large heap a quarter of a MiB a second is little: it is found where MEMWARDEN_LEAK_MIN_RISE says so.
func TestLeaksOfMinutes(t *testing.T) {
	onlyLong(t)
	for name, c := range map[string]struct {
		what, kind string
		names      []string
		held, rise string
		limit      time.Duration
	}{
		"sessions":          {"sessions", "heap", []string{"main.session", "main.sessions", "main.openSession (main.go:"}, "0", "0.2", 2 * time.Minute},
		"goroutines":        {"goroutines", "goroutines", []string{"main.waitForAnswer", "waiting to receive from a channel"}, "0", "0.2", 2 * time.Minute},
		"sessions in a lot": {"sessions", "heap", []string{"main.session", "main.sessions", "main.openSession (main.go:"}, "280000", "0.02", 4 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLeaky(t, map[string]string{
				"LEAK_WINDOW": "45s", "LEAK_SAMPLE_INTERVAL": "500ms", "LEAK_SNAPSHOTS": "true", "LEAK_MIN_RISE": c.rise, "SNAPSHOT_DIR": t.TempDir(),
			}, "-sessions", c.held)
			l.leak(t, c.what)
			found, took := l.find(t, c.limit, c.kind, "suspect", "confirmed")
			for _, want := range c.names {
				if !strings.Contains(fmt.Sprint(found), want) {
					t.Errorf("%s is not named: %+v", want, found)
				}
			}
			t.Logf("found after %v: %s", took.Round(time.Second), found.Sentence)
		})
	}
}

// TestAWindowAlone: who sets the window of leak detection need set nothing else.
func TestAWindowAlone(t *testing.T) {
	t.Parallel()
	l := startLeaky(t, map[string]string{"LEAK_WINDOW": "4s"})
	l.leak(t, "goroutines")
	found, took := l.find(t, 2*time.Minute, "goroutines", "suspect", "confirmed")
	t.Logf("found after %v: %s", took.Round(time.Second), found.Sentence)
}

// TestASuspendedProcessOnAFullDisk: time in which it stood still is no growth, what leaks is found all the same, and the
// report says that there was no room for a snapshot.
func TestASuspendedProcessOnAFullDisk(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	l := startLeaky(t, map[string]string{
		"LEAK_WINDOW": "4s", "LEAK_SAMPLE_INTERVAL": "100ms", "LEAK_SNAPSHOTS": "true", "SNAPSHOT_DIR": filepath.Join(smallDisk(t, 1<<20), "snapshots"),
	})
	suspend := func() {
		l.Signal(t, syscall.SIGSTOP)
		time.Sleep(9 * time.Second) // that is what it is about: more than two windows
		l.Signal(t, syscall.SIGCONT)
	}
	suspend()
	if got := servicetest.Decode[foundLeaks](t, l.Get(t, memory+"/leaks")); got.Verdict == "suspect" || got.Verdict == "confirmed" || len(got.Leaks) > 0 {
		t.Errorf("after it was suspended: %+v", got)
	}
	l.leak(t, "goroutines")
	l.find(t, patience, "goroutines", "suspect", "confirmed")
	suspend()
	found, _ := l.find(t, patience, "goroutines", "confirmed")
	if evidence := fmt.Sprint(found.Evidence); !strings.Contains(evidence, "no snapshot: ") || !strings.Contains(evidence, "room") {
		t.Errorf("%+v", found)
	}
}

// smallDisk makes a small file system in memory.
func smallDisk(t *testing.T, size int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	scratch.SmallDisk(t, dir, size)
	return dir
}

// TestLeakReportsThatCannotBeKept: the service itself is made to leak, by live streams that nobody closes, while its disk is
// full or its database gone. The log has the report, the verdict is there, and once there is room the next one is kept.
func TestLeakReportsThatCannotBeKept(t *testing.T) {
	onlyLong(t)
	for name, start := range map[string]func(t *testing.T, settings map[string]string) (s *service, recover func()){
		"full disk": func(t *testing.T, settings map[string]string) (*service, func()) {
			dir := smallDisk(t, 8<<20)
			settings["DATA_DIR"] = filepath.Join(dir, "data")
			s := setup{Env: settings}.start(t)
			filler := filepath.Join(dir, "filler")
			file, err := os.Create(filler)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(file, bytes.NewReader(make([]byte, 16<<20))); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("the disk is not full: %v", err)
			}
			file.Close()
			return s, func() { _ = os.Remove(filler) }
		},
		"no database": func(t *testing.T, settings map[string]string) (*service, func()) {
			server := pgtest.Start(t)
			settings["DATABASE_URL"] = server.NewDatabase(t)
			s := setup{Env: settings}.start(t)
			server.Kill(t)
			return s, func() { server.Restart(t) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, recover := start(t, map[string]string{"LEAK_WINDOW": "6s", "LEAK_SAMPLE_INTERVAL": "100ms", "MAX_LIVE_CLIENTS": "3000"})
			closeStreams := s.openStreams(t, 20)
			servicetest.Within(t, 2*patience, "said that a report could not be kept", func() bool {
				return strings.Contains(s.Out.String(), "memory leak report could not be kept")
			})
			if text := s.Out.String(); !strings.Contains(text, "memory leak suspect") || !strings.Contains(text, "oroutines rose from") {
				t.Errorf("the log does not tell the leak")
			}
			s.Get(t, "/livez")
			servicetest.Within(t, 2*patience, "told its verdict without the store", func() bool {
				metrics := s.Get(t, "/metrics").Body
				return regexp.MustCompile(`(?m)^memwarden_leak_verdict\{[^}]*kind="goroutines"[^}]*\} [34]$`).Match(metrics)
			})
			servicetest.Within(t, 2*patience, "answered with its verdict, whether the reports can be read or not", func() bool {
				got, err := s.Ask(t.Context(), http.MethodGet, memory+"/leaks", "")
				return err == nil && regexp.MustCompile(`"verdict":"(suspect|confirmed)"|the verdict is (suspect|confirmed); .*oroutines rose from`).Match(got.Body)
			})
			closeStreams()
			servicetest.Within(t, 2*patience, "said that the leak is over", func() bool {
				return strings.Contains(s.Out.String(), "memory leak is over")
			})
			recover()
			last := int64(0) // of the reports that there was still room for
			servicetest.Within(t, 2*patience, "answered with its leaks again", func() bool {
				got, err := s.Ask(t.Context(), http.MethodGet, memory+"/leaks", "")
				if err != nil || got.Status != http.StatusOK {
					return false
				}
				for _, l := range servicetest.Decode[foundLeaks](t, got).Leaks {
					last = max(last, l.ID)
				}
				return true
			})
			s.openStreams(t, 40) // more than before, as what was held once is no leak
			servicetest.Within(t, 2*patience, "kept a report of the next leak", func() bool {
				for _, l := range servicetest.Decode[foundLeaks](t, s.Get(t, memory+"/leaks")).Leaks {
					if l.ID > last && l.Kind == "goroutines" && strings.Contains(l.Sentence, "oroutines rose from") {
						return true
					}
				}
				return false
			})
		})
	}
}

// openStreams opens so many live streams a second, up to 2000, until the function that it returns closes them, or the test
// ends.
func (s *service) openStreams(t *testing.T, perSecond int) (closeAll func()) {
	t.Helper()
	stop := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() { s.streamUntil(t, perSecond, stop) })
	closeAll = sync.OnceFunc(func() { close(stop); ended.Wait() })
	t.Cleanup(closeAll)
	return closeAll
}

// streamUntil opens live streams, and closes them in the end.
func (s *service) streamUntil(t *testing.T, perSecond int, stop <-chan struct{}) {
	client := &http.Client{Transport: &http.Transport{}}
	var open []io.Closer
	defer func() {
		for _, one := range open {
			_ = one.Close()
		}
		client.CloseIdleConnections()
	}()
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	for len(open) < 2000 {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		response, err := client.Get(s.URL + livePath)
		if err != nil {
			continue // the service may be ending
		}
		open = append(open, response.Body)
		if response.StatusCode != http.StatusOK {
			t.Errorf("a live stream: %s", response.Status)
			return
		}
	}
	<-stop
}
