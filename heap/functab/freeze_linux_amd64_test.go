package functab

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/internal/testprogram"
)

// build builds a program of testdata: see testprogram.Build.
func build(t testing.TB, program, toolchain string, settings ...string) string {
	t.Helper()
	return testprogram.Build(t, filepath.Join("testdata", program), toolchain, settings...)
}

// target is a frozen program.
type target struct {
	pid     int
	rt      *layout.Runtime
	table   *Table
	gs      []layout.G
	holds   []hold
	stacks  string // what the program says of its goroutines
	program string
}

// hold is a node that only a stack holds, or held.
type hold struct {
	live bool
	name string
	addr uint64
}

// freeze runs a program until it is ready and stops it; with registers, those of its threads are known.
func freeze(t testing.TB, registers bool, path string, args ...string) *target {
	t.Helper()
	tg := &target{program: path}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "GOTRACEBACK=system")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = in.Close()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() && lines.Text() != "ready" {
		tg.read(t, lines.Text())
	}
	if lines.Text() != "ready" {
		_ = cmd.Process.Kill()
		t.Fatalf("%s ended: %s", path, stderr.Bytes())
	}
	tg.pid = cmd.Process.Pid
	if slices.Contains(args, busy) {
		waitBusy(t, tg.pid)
	} else if !registers {
		awaitAsleep(tg.pid)
	}
	var threads []layout.Thread
	if registers {
		threads = seize(t, tg.pid)
	} else {
		stop(t, tg.pid)
	}
	tg.open(t, threads)
	return tg
}

// busy is an argument that makes freeze wait until the program has run for a while after it was ready.
const busy = "busy"

// awaitAsleep waits until all threads of a process sleep: the one that was the last to say something may still be about to.
// Where some never do, it has waited long enough.
func awaitAsleep(pid int) {
	awake := func() bool {
		stats, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
		return slices.ContainsFunc(stats, func(stat string) bool {
			text, err := os.ReadFile(stat)
			_, state, _ := strings.Cut(string(text), ") ")
			return err == nil && !strings.HasPrefix(state, "S")
		})
	}
	for range 100 {
		if !awake() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// waitBusy waits until a process has used the processor for 5 ticks more.
func waitBusy(t testing.TB, pid int) {
	t.Helper()
	ticks := func() int {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		_, fields, _ := strings.Cut(string(text), ") ")
		n, err := strconv.Atoi(strings.Fields(fields)[11])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for until := ticks() + 5; ticks() < until; {
		time.Sleep(time.Millisecond)
	}
}

func (tg *target) read(t testing.TB, line string) {
	var h hold
	var what string
	var inverted uint64
	if n, _ := fmt.Sscanf(line, "%s %s %d", &what, &h.name, &inverted); n == 3 && tg.stacks == "" {
		h.live, h.addr = what == "live", ^inverted
		tg.holds = append(tg.holds, h)
		return
	}
	tg.stacks += line + "\n"
}

// open reads what the frozen program is.
func (tg *target) open(t testing.TB, threads []layout.Thread) {
	t.Helper()
	p := describe(t, tg.pid)
	p.Threads = threads
	var err error
	if tg.rt, err = layout.Open(p); err != nil {
		t.Fatal(err)
	}
	if tg.table, err = New(tg.rt); err != nil {
		t.Fatal(err)
	}
	if tg.gs, err = tg.rt.Goroutines(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// stop stops all threads of a process, and returns when they stand.
func stop(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("waiting for %d to stop: %v, %v", pid, status, err)
	}
}

// describe opens a process for reading.
func describe(t testing.TB, pid int) layout.Process {
	t.Helper()
	dir := "/proc/" + strconv.Itoa(pid)
	memory, err := os.Open(dir + "/mem")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = memory.Close() })
	binary, err := os.Open(dir + "/exe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = binary.Close() })
	maps, err := os.ReadFile(dir + "/maps")
	if err != nil {
		t.Fatal(err)
	}
	p := layout.Process{Memory: memory, Binary: binary}
	for line := range strings.Lines(string(maps)) {
		var m layout.Mapping
		var mode, device string
		n, _ := fmt.Sscanf(line, "%x-%x %s %x %s %d %s", &m.Start, &m.End, &mode, &m.Offset, &device, &m.Inode, &m.Path)
		if n < 6 {
			t.Fatalf("maps: %q", line)
		}
		m.Readable, m.Writable, m.Execute = mode[0] == 'r', mode[1] == 'w', mode[2] == 'x'
		p.Mappings = append(p.Mappings, m)
	}
	return p
}
