package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/memwarden/memwarden/memstat"
)

// These tests run the built command, as its process, its signals and its exit code are what is tested.

// trapped is a launcher whose program is waiting for signals.
type trapped struct {
	launcher *exec.Cmd
	program  int // its process id
	lines    *bufio.Scanner
	errs     bytes.Buffer
}

func trap(t *testing.T, attributes *syscall.SysProcAttr, terminal *os.File) *trapped {
	t.Helper()
	memwarden, probe := program(t)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	tr := &trapped{launcher: exec.Command(memwarden, "run", "--", probe, "trap"), lines: bufio.NewScanner(in)}
	tr.launcher.Stdout, tr.launcher.Stderr, tr.launcher.SysProcAttr = out, &tr.errs, attributes
	if terminal != nil {
		tr.launcher.Stdin = terminal
	}
	if err := tr.launcher.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = tr.launcher.Process.Kill() // ended long since, if all is well
		_ = tr.launcher.Wait()
		in.Close()
	})
	if _, err := fmt.Sscanf(tr.next(), "ready %d", &tr.program); err != nil {
		t.Fatal(err, tr.errs.String())
	}
	// A program that waits for a signal in vain must not keep the test waiting.
	deadline := time.AfterFunc(30*time.Second, func() { _ = syscall.Kill(tr.program, syscall.SIGKILL) })
	t.Cleanup(func() { deadline.Stop() })
	return tr
}

func (tr *trapped) next() string {
	tr.lines.Scan()
	return tr.lines.Text()
}

func (tr *trapped) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := tr.launcher.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// A launcher in a session of its own has no terminal: it passes on whatever it is sent.
func TestSignalsReachTheProgram(t *testing.T) {
	tr := trap(t, &syscall.SysProcAttr{Setsid: true}, nil)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTERM} {
		if signal.Ignored(s) { // as by nohup: the launcher leaves it at that
			t.Logf("NOT TESTED: %v is ignored here", s)
			continue
		}
		tr.signal(t, s)
		if got := tr.next(); got != s.String() {
			t.Errorf("sent %v, the program got %q", s, got)
		}
	}
	if err := tr.launcher.Wait(); err != nil {
		t.Error(err)
	}
}

// Ctrl-C reaches both, and is not delivered to the program twice.
func TestInterruptsOfATerminalComeOnce(t *testing.T) {
	master, terminal := openTerminal(t)
	tr := trap(t, &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}, terminal)
	for range 5 {
		if _, err := master.WriteString("\x03"); err != nil {
			t.Fatal(err)
		}
		if got := tr.next(); got != "interrupt" {
			t.Fatalf("the program got %q", got)
		}
	}
	tr.signal(t, syscall.SIGUSR1) // after any interrupt that the launcher would have passed on
	if got := tr.next(); got != syscall.SIGUSR1.String() {
		t.Errorf("the program got %q, once too often", got)
	}
	tr.signal(t, syscall.SIGTERM)
	if err := tr.launcher.Wait(); err != nil {
		t.Error(err)
	}
}

func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}

func TestAProgramIsNotLeftBehind(t *testing.T) {
	tr := trap(t, &syscall.SysProcAttr{Setsid: true}, nil)
	tr.signal(t, syscall.SIGKILL)
	if got := tr.next(); got != "terminated" {
		t.Errorf("the launcher is dead, and the program got %q", got)
	}
	if tr.lines.Scan() { // the pipe ends with its last writer
		t.Errorf("the program still says %q", tr.lines.Text())
	}
}

// nohup means it: a signal that the launcher was started to ignore is not passed on either.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	memwarden, _ := program(t)
	cmd := exec.Command("/bin/sh", "-c", `trap "" HUP; "$0" run -- /bin/sh -c 'kill -HUP $PPID; kill -HUP $$; exit 5'`, memwarden)
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 5 {
		t.Error(err)
	}
}

// As the first process of a container, the launcher waits for orphans.
func TestOrphansAreWaitedFor(t *testing.T) {
	memwarden, _ := program(t)
	cmd := exec.Command(memwarden, "run", "--", "/bin/sh", "-c", `
		for i in 1 2 3 4 5 6 7 8; do (sh -c 'exit 3' &); done
		read line
		exit 9`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip("no process namespaces: ", err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for seen := 0; seen < 3; { // the shell's orphans have all come and gone
		states := children(t, cmd.Process.Pid)
		if strings.Trim(states, "S") == "" && len(states) == 1 {
			seen++
		} else {
			seen = 0
		}
		if time.Now().After(deadline) {
			t.Errorf("the launcher's children are in states %q", states)
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if _, err := io.WriteString(stdin, "go on\n"); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 9 {
		t.Error(err)
	}
}

// children returns the states of a process's children, a letter each.
func children(t *testing.T, parent int) string {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	states := ""
	stat := regexp.MustCompile(`\) (\w) (\d+) `)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if match := stat.FindSubmatch(text); err == nil && match != nil && string(match[2]) == strconv.Itoa(parent) {
			states += string(match[1])
		}
	}
	return states
}

// A program that takes more than its container has is killed by the kernel, in a real container, and the launcher
// tells so with figures.
func TestKilledForMemory(t *testing.T) {
	memwarden, probe := program(t)
	group := memoryGroup(t, 64<<20)
	cmd := exec.Command("/bin/sh", "-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(group, "cgroup.procs"), memwarden, "run", "--", probe, "hog")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState.ExitCode() != 137 || out.Len() > 0 {
		t.Errorf("%v\n%s%s", err, &out, &errs)
	}
	for _, want := range []string{
		`"gomemlimit":"60397977"`, `"level":"ERROR"`, `the kernel killed the program because memory ran out: its container may use 64.0 MiB, the container's use peaked at 64.0 MiB`,
		`"limit_bytes":67108864`, `"cgroup_peak_bytes":671`, `"peak_rss_bytes":`,
	} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("no %s in\n%s", want, &errs)
		}
	}
}

// memoryGroup makes a control group with a limit beside or below the test's own, and removes it at the end.
func memoryGroup(t *testing.T, limit int64) string {
	t.Helper()
	own, err := memstat.ReadCgroupLimits("", 0)
	if err != nil || own.Path == "" {
		t.Skip("SKIPPED: no memory control group here: ", err)
	}
	parent, file := own.Path, "memory.limit_in_bytes"
	if own.Version == 2 { // a group with processes cannot have limited groups below it
		parent, file = filepath.Dir(own.Path), "memory.max"
	}
	group := filepath.Join(parent, fmt.Sprintf("memwarden-test-%d", os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skip("SKIPPED: a control group cannot be made: ", err)
	}
	t.Cleanup(func() {
		var err error
		for range 100 { // the kernel takes a moment to let go of a process that ended
			if err = os.Remove(group); err == nil || errors.Is(err, os.ErrNotExist) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Error(err)
	})
	if err := os.WriteFile(filepath.Join(group, file), strconv.AppendInt(nil, limit, 10), 0); err != nil {
		t.Skip("SKIPPED: a control group cannot be limited: ", err)
	}
	return group
}
