//go:build linux

package layout

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// report is what the program prints: see testdata/target.
type report struct {
	Live, Cycles               uint64
	Node, Wide, Large, Weak    uint64
	Cleaned, Finalized, Queued uint64
}

// freeze runs a program until it has said that it is ready, stops it and describes it.
func freeze(t testing.TB, path string, args ...string) (Process, report) {
	t.Helper()
	cmd := exec.Command(path, args...)
	pid, said := start(t, cmd)
	stop(t, pid)
	return describe(t, pid), said
}

// start runs a program until it has said that it is ready.
func start(t testing.TB, cmd *exec.Cmd) (int, report) {
	t.Helper()
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
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("%s: %v\n%s", cmd.Path, err, stderr.Bytes())
	}
	var said report
	if err := json.Unmarshal(line, &said); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return cmd.Process.Pid, said
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
func describe(t testing.TB, pid int) Process {
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
	p := Process{Memory: memory, Binary: binary}
	for line := range strings.Lines(string(maps)) {
		var m Mapping
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
