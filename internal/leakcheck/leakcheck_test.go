package leakcheck

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// roleVariable tells a re-executed test binary which of the ends below to come to.
const roleVariable = "LEAKCHECK_TEST_ROLE"

// TestRole does nothing by itself: it is what TestMainEndsTheProcess runs in a process of its own.
func TestRole(t *testing.T) {
	switch role := os.Getenv(roleVariable); role {
	case "":
		t.Skip("for the re-executed binary only")
	case "clean":
		runtime.GC() // starts the collector's own workers
	case "late":
		go time.Sleep(50 * time.Millisecond) // outlives the tests, but not the checker's patience
	case "signal":
		// os/signal starts a goroutine that never ends, and that is nobody's leak.
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, os.Interrupt)
		signal.Stop(caught)
	case "leak":
		go leakedForGood()
	case "failure":
		go leakedForGood()
		t.Error("failed for a reason of its own")
	default:
		t.Errorf("unknown role %q", role)
	}
}

func leakedForGood() { select {} }

func TestMainEndsTheProcess(t *testing.T) {
	for _, test := range []struct {
		role string
		code int
		says string
		not  string
	}{
		{role: "clean", code: 0, not: "leakcheck:"},
		{role: "late", code: 0, not: "leakcheck:"},
		{role: "signal", code: 0, not: "leakcheck:"},
		{role: "leak", code: 1, says: "leakcheck.leakedForGood"},
		{role: "leak", code: 1, says: "leakcheck: 1 goroutines outlived"},
		{role: "failure", code: 1, says: "failed for a reason of its own", not: "leakcheck:"},
	} {
		t.Run(test.role, func(t *testing.T) {
			t.Parallel()
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			command := exec.Command(self, "-test.run=^TestRole$")
			command.Env = append(os.Environ(), roleVariable+"="+test.role, "GORACE=atexit_sleep_ms=0")
			output, err := command.CombinedOutput()
			code := 0
			if exit, failed := errors.AsType[*exec.ExitError](err); failed {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if code != test.code {
				t.Errorf("ended with %d, want %d:\n%s", code, test.code, output)
			}
			if !bytes.Contains(output, []byte(test.says)) {
				t.Errorf("output lacks %q:\n%s", test.says, output)
			}
			if test.not != "" && bytes.Contains(output, []byte(test.not)) {
				t.Errorf("output has %q:\n%s", test.not, output)
			}
		})
	}
}

func TestCheckReportsOnlyNewGoroutines(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	started := make(chan struct{})
	parked := func() { started <- struct{}{}; <-release }
	go parked()
	<-started

	var out bytes.Buffer
	if code := check(func() int { return 0 }, 0, &out); code != 0 {
		t.Errorf("a goroutine that was there before: code %d, want 0\n%s", code, &out)
	}
	leak := func() int { go parked(); <-started; return 0 }
	if code := check(leak, 0, &out); code != 1 || !strings.Contains(out.String(), "TestCheckReportsOnlyNewGoroutines") {
		t.Errorf("a new goroutine: code %d, want 1 and its stack\n%s", code, &out)
	}
	out.Reset()
	if code := check(func() int { leak(); return 3 }, 0, &out); code != 3 || out.Len() != 0 {
		t.Errorf("failed tests: code %d, want their own 3 and nothing said\n%s", code, &out)
	}
}

func TestGoroutinesReadsMoreThanTheFirstBuffer(t *testing.T) {
	const many = 5000 // about 1.5 MB of stacks
	release, started := make(chan struct{}), make(chan struct{})
	for range many {
		go func() { started <- struct{}{}; <-release }()
	}
	for range many {
		<-started
	}
	defer close(release)
	if n := len(goroutines()); n < many {
		t.Errorf("saw %d goroutines, want at least %d", n, many)
	}
}
