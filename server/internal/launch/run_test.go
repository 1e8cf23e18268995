//go:build unix

package launch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/memwarden/memwarden/memstat"
)

// ended runs a command to its end.
func ended(t *testing.T, stdin string, o Options) (r Result, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	r, err := prepare(t, o).Run(Streams{In: strings.NewReader(stdin), Out: &out, Err: &errs}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return r, out.String(), errs.String()
}

func TestTheProgramIsLimited(t *testing.T) {
	o := Options{Command: []string{buildProbe(t, ""), "settings", "MEMWARDEN_GOMEMLIMIT_DERIVED", "GIVEN"},
		Environ: []string{"GIVEN=by the environment"}, Root: root(t, limit100MiB), Config: load(t, nil, "GOGC=55\nGOMAXPROCS=1\n", nil)}
	r, out, _ := ended(t, "", o)
	if want := "94371840 55 1\nMEMWARDEN_GOMEMLIMIT_DERIVED=1\nGIVEN=by the environment\n"; out != want || r.Code != 0 {
		t.Errorf("%+v, got %q, want %q", r, out, want)
	}
}

func TestStreamsAndCodes(t *testing.T) {
	p := buildProbe(t, "")
	if r, out, errs := ended(t, "to the program", Options{Command: []string{p, "cat"}}); r.Code != 0 || out != "to the program" || errs != "copied <nil>\n" {
		t.Errorf("%+v %q %q", r, out, errs)
	}
	if r, _, _ := ended(t, "", Options{Command: []string{p, "exit", "7"}}); r.Code != 7 || r.Signal != 0 || r.String() != "the program exited with code 7" {
		t.Errorf("%+v", r)
	}
	if r, _, _ := ended(t, "", Options{Command: []string{"/bin/sh", "-c", "exit 3"}}); r.Code != 3 {
		t.Errorf("%+v", r)
	}
	r, _, _ := ended(t, "", Options{Command: []string{"/bin/sh", "-c", "kill -KILL $$"}})
	if r.Code != 137 || r.Signal != syscall.SIGKILL || r.KilledForMemory || r.String() != "the program was killed by signal 9 (killed)" {
		t.Errorf("%+v", r)
	}
}

func TestSignalsArePassedOn(t *testing.T) {
	if inForeground() {
		t.Skip("in the foreground of a terminal, which sends some of these itself")
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	p := prepare(t, Options{Command: []string{buildProbe(t, ""), "trap"}})
	signals := make(chan os.Signal, 1)
	type end struct {
		r   Result
		err error
	}
	done := make(chan end, 1)
	go func() {
		r, err := p.Run(Streams{Out: out}, signals, false)
		out.Close()
		done <- end{r, err}
	}()
	lines := bufio.NewScanner(in)
	lines.Scan() // ready
	sent := []os.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT, syscall.SIGWINCH, syscall.SIGALRM, syscall.SIGTERM}
	for _, s := range sent {
		signals <- s
		if !lines.Scan() || lines.Text() != fmt.Sprint(s) {
			t.Errorf("sent %v, the program got %q", s, lines.Text())
		}
	}
	if lines.Scan() {
		t.Errorf("one too many: %q", lines.Text())
	}
	if e := <-done; e.err != nil || e.r.Code != 0 {
		t.Errorf("%+v", e)
	}
}

func inForeground() bool { return reachesProgram(syscall.SIGINT, false) }

func TestSignalsOfATerminal(t *testing.T) {
	if reachesProgram(syscall.SIGTERM, false) || reachesProgram(syscall.SIGUSR1, false) {
		t.Error("no terminal sends these")
	}
	for _, s := range Signals() {
		if s == syscall.SIGCHLD || s == syscall.SIGURG || s == syscall.SIGKILL {
			t.Errorf("%v is passed on", s)
		}
	}
}

func TestWhatCannotBeExecuted(t *testing.T) {
	for text, want := range map[string]int{"#!/no/such/interpreter\n": ExitNotFound, "\x7fELF no, it is not": ExitNotExecutable} {
		path := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := prepare(t, Options{Command: []string{path}}).Run(Streams{}, nil, false)
		var start *StartError
		if !errors.As(err, &start) || start.Code != want {
			t.Errorf("%q: %v, want code %d", text, err, want)
		}
	}
}

// A program that the kernel killed for memory is one that died of SIGKILL while the container's count of such kills
// rose; here the program writes the count itself.
func TestKilledForMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no control groups")
	}
	for _, c := range []struct {
		script string
		killed bool
	}{
		{`echo "oom_kill 3" > "$EVENTS"; kill -KILL $$`, true},
		{`echo "oom_kill 3" > "$EVENTS"; kill -TERM $$`, false}, // another process was killed
		{`echo "oom_kill 2" > "$EVENTS"; kill -KILL $$`, false},
	} {
		dir := root(t, map[string]string{"memory.current": "1", "memory.max": "104857600\n", "memory.peak": "104857600\n", "memory.events": "oom_kill 2\n"})
		r, _, _ := ended(t, "", Options{Command: []string{"/bin/sh", "-c", c.script}, Root: dir,
			Environ: []string{"EVENTS=" + filepath.Join(dir, "sys/fs/cgroup/app/memory.events")}})
		if r.KilledForMemory != c.killed {
			t.Errorf("%s: %+v", c.script, r)
		}
		if want := "memory ran out: its container may use 100.0 MiB, the container's use peaked at 100.0 MiB, the program's own at "; c.killed && !strings.Contains(r.String(), want) {
			t.Error(r)
		}
	}
}

func TestResultLog(t *testing.T) {
	killed := Result{Code: 137, Signal: syscall.SIGKILL, KilledForMemory: true, PeakRSSBytes: memstat.Known[int64](mib)}
	for want, r := range map[string]Result{
		`level=DEBUG msg="the program exited with code 0" code=0`:                                  {},
		`level=WARN msg="the program exited with code 9" code=9`:                                   {Code: 9},
		`level=WARN msg="the program was killed by signal 15 (terminated)" code=143`:               {Code: 143, Signal: syscall.SIGTERM},
		`the program's own at 1.0 MiB" code=137 peak_rss_bytes=1048576`:                            killed,
		`level=ERROR msg="the kernel killed the program because memory ran out, the program's own`: killed,
	} {
		var out bytes.Buffer
		r.Log(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\nhas no %s", out.String(), want)
		}
	}
	if rose(memstat.Int{}, memstat.Int{}) || rose(memstat.Known[int64](1), memstat.Int{}) || !rose(memstat.Int{}, memstat.Known[int64](1)) {
		t.Error("a count that is absent has not risen")
	}
}

func TestAProgramThatReadsNothing(t *testing.T) {
	r, err := prepare(t, Options{Command: []string{"/bin/sh", "-c", "exit 0"}}).Run(Streams{In: bytes.NewReader(make([]byte, 1<<20)), Out: io.Discard}, nil, false)
	if err != nil || r.Code != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
