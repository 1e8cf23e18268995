//go:build linux && (amd64 || arm64)

package capture

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roleVariable tells a re-executed test binary what to be. The tests capture such processes: they are Go programs, with
// the race detector where the tests have it.
const roleVariable = "CAPTURE_TEST_ROLE"

// nobody is a user without rights.
const nobody = 65534

// TestRole does nothing by itself.
func TestRole(t *testing.T) {
	name, arguments, _ := strings.Cut(os.Getenv(roleVariable), " ")
	if name == "" {
		t.Skip("SKIPPED: it is a part that the test binary plays when other tests start it anew")
	}
	role := map[string]func(arguments []string){
		"heap":       roleHeap,
		"busy":       roleBusy,
		"reading":    roleReading,
		"filtered":   roleFiltered,
		"self":       roleSelf,
		"again":      roleAgain,
		"attach":     roleAttach,
		"catch":      roleCatch,
		"hold":       roleHold,
		"unable":     roleUnable,
		"automatic":  roleAutomatic,
		"unfiltered": roleUnfiltered,
	}[name]
	role(strings.Fields(arguments))
	if os.Getuid() == nobody {
		syscall.Exit(0) // without the end of a coverage profile, for which it has no rights
	}
	os.Exit(0)
}

// process is a program that a test runs, killed and reaped at its end.
type process struct {
	*exec.Cmd
	t      testing.TB
	in     io.WriteCloser
	lines  *bufio.Scanner
	waited bool
}

// startRole runs this test binary in a role, and returns when it has said "ready".
func startRole(t testing.TB, role string, environment ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self, "-test.run=^TestRole$")
	command.Env = append(os.Environ(), roleVariable+"="+role, "GORACE=atexit_sleep_ms=0")
	command.Env = append(command.Env, environment...)
	p := start(t, command)
	p.expect("ready")
	return p
}

// start runs a program with pipes to and from it.
func start(t testing.TB, command *exec.Cmd) *process {
	t.Helper()
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: command, t: t, in: in, lines: bufio.NewScanner(out)}
	t.Cleanup(p.kill)
	return p
}

// kill ends the program, and waits for its end.
func (p *process) kill() {
	if !p.waited {
		p.waited = true
		p.Process.Kill()
		p.Wait()
	}
}

// line reads the program's next line.
func (p *process) line() string {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatalf("%v ended: %v", p.Args, p.lines.Err())
	}
	return p.lines.Text()
}

func (p *process) expect(line string) {
	p.t.Helper()
	if got := p.line(); got != line {
		p.t.Fatalf("said %q, want %q", got, line)
	}
}

// numbers reads a line of hexadecimal numbers.
func (p *process) numbers() []uint64 {
	p.t.Helper()
	var numbers []uint64
	for field := range strings.FieldsSeq(p.line()) {
		n, err := strconv.ParseUint(field, 16, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// finish closes the program's input, by which it ends, and returns the rest of what it says.
func (p *process) finish() string {
	p.t.Helper()
	p.in.Close()
	var rest []string
	for p.lines.Scan() {
		rest = append(rest, p.lines.Text())
	}
	p.waited = true
	if err := p.Wait(); err != nil {
		p.t.Errorf("%v: %v", p.Args, err)
	}
	return strings.Join(rest, "\n")
}

// untilTold waits for the end of the input.
func untilTold() { io.Copy(io.Discard, os.Stdin) }

// children returns the process ids of a process's children, zombies included.
func children(t testing.TB, pid int) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err == nil && statusOf(child, child, "PPid") == strconv.Itoa(pid) {
			found = append(found, child)
		}
	}
	return found
}

// descriptors returns how many descriptors a process has open.
func descriptors(t testing.TB, pid int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// opened tells what each descriptor of this process leads to, but the one that is open to tell it.
func opened(t testing.TB) map[string]string {
	t.Helper()
	const dir = "/proc/self/fd/"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		if target, err := os.Readlink(dir + entry.Name()); err == nil && !strings.HasSuffix(target, "/fd") {
			all[entry.Name()] = target
		}
	}
	return all
}

// wantNoneOpened fails for descriptors that were not there before, or led elsewhere. Others may have gone: those that tests
// before this one have left to the collector.
func wantNoneOpened(t testing.TB, before map[string]string) {
	t.Helper()
	for number, target := range opened(t) {
		if before[number] != target {
			t.Errorf("descriptor %s leads to %s, before to %q", number, target, before[number])
		}
	}
}

// eventually waits for what another process or thread is about to do.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// ended reports whether a process is gone, or waits for its parent to take note.
func ended(pid int) bool { return threadEnded(pid, pid) }

// node is an object of a heap to capture.
type node struct {
	next *node
	data [48]byte
}

// heapOf makes n objects of 64 bytes.
func heapOf(n int) *node {
	var list *node
	for range n {
		list = &node{next: list}
	}
	return list
}

// kept is reachable.
var kept *node

// roleHeap has as many objects as it is told.
func roleHeap(arguments []string) {
	n, _ := strconv.Atoi(arguments[0])
	kept = heapOf(n)
	fmt.Println("ready")
	untilTold()
}
