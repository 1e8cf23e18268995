//go:build unix

package servicetest

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := RemoveAll(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}))
}

// TestLives runs the service twice on the same data: once to its end in order, once until it is killed.
func TestLives(t *testing.T) {
	how := Setup{Env: map[string]string{"DATA_DIR": OpenDir(t), "LOG_LEVEL": ""}, Before: "ulimit -n 512"}
	s := how.Start(t)
	index := Decode[struct{ Version string }](t, s.Get(t, "/"))
	if index.Version != Version || s.HasEnded() {
		t.Errorf("version %q, ended %v", index.Version, s.HasEnded())
	}
	s.Send(t, http.StatusOK, http.MethodPost, "/api/monitoring/memory/gc", "")
	got := s.Send(t, http.StatusOK, http.MethodPatch, "/api/monitoring/memory/config", `{"limit":{"off_heap_reserve_bytes":1}}`, "X-Test", "1")
	if got.Header.Get("Content-Type") == "" || got.Closing {
		t.Errorf("%+v", got)
	}
	s.Stop(t)
	if !s.HasEnded() || !strings.Contains(s.Said.String(), "watches itself") || len(s.Out.tail(10)) > 10 {
		t.Errorf("it ended: %v, and said %q", s.HasEnded(), &s.Said)
	}
	if _, err := s.Ask(t.Context(), http.MethodGet, "/", ""); err == nil {
		t.Error("it answers after its end")
	}
	if _, err := s.Ask(t.Context(), " ", "/", ""); err == nil {
		t.Error("a method that is none is sent")
	}
	again := how.Start(t)
	again.Kill(t)
	if code := again.Command.ProcessState.ExitCode(); code != -1 {
		t.Errorf("exit code %d of a killed process", code)
	}
	Within(t, time.Second, "hold at once", func() bool { return true })
}

// recorder takes down how a test failed.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Errorf(format string, args ...any) { r.said += fmt.Sprintf(format, args...) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

// failure runs what must fail a test, and returns how.
func failure(t *testing.T, what func(testing.TB)) string {
	t.Helper()
	r, ended := &recorder{TB: t}, make(chan struct{})
	go func() { defer close(ended); what(r) }()
	<-ended
	return r.said
}

// TestFailures: what does not happen fails the test that waits for it, and says so.
func TestFailures(t *testing.T) {
	s := Setup{Args: []string{"--no-such-flag"}}.Launch(t)
	for want, what := range map[string]func(testing.TB){
		"did not write http":          func(r testing.TB) { s.WaitForText(r, &s.Said, regexp.MustCompile("http://x")) },
		"never came":                  func(r testing.TB) { Within(r, time.Millisecond, "came", func() bool { return false }) },
		"process already finished":    func(r testing.TB) { s.Exit(t); s.Signal(r, os.Interrupt) },
		"unsupported protocol scheme": func(r testing.TB) { s.Get(r, "/") },
		"invalid character":           func(r testing.TB) { Decode[int](r, Answer{Body: []byte("x")}) },
		"no such file or directory":   func(r testing.TB) { Run(r, exec.Command("/no/such/program"), http.DefaultClient) },
	} {
		if said := failure(t, what); !strings.Contains(said, want) {
			t.Errorf("the test fails with %q, want %q", said, want)
		}
	}
}
