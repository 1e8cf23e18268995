package memstat

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestLiveProcess compares with what the kernel says elsewhere, of a process that has just grown.
func TestLiveProcess(t *testing.T) {
	grown := make([]byte, 64*mib)
	for i := 0; i < len(grown); i += 1024 {
		grown[i] = 1
	}
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sample := read(s, 0)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(grown)
	var rss, peak, threads Int
	if err := parseKeyed(status, wanted{key: "VmRSS", into: &rss}, wanted{key: "VmHWM", into: &peak},
		wanted{key: "Threads", into: &threads}); err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want Int, allowed float64) {
		t.Helper()
		if math.Abs(float64(got.Or(-1)-want.Or(0))) > allowed {
			t.Errorf("%s: got %v, the kernel says %v", what, got, want)
		}
	}
	process := sample.Process
	near("resident", process.RSSBytes, rss, 8*mib)
	near("peak", process.PeakRSSBytes, peak, 8*mib)
	near("threads", process.Threads, threads, 4)
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	near("descriptors", process.FileDescriptors, Known(int64(len(entries))), 20) // the sampler opens some after it counts
	if process.RSSBytes.Or(0) < 64*mib || process.PSSBytes.Or(1) > process.RSSBytes.Or(0)+8*mib {
		t.Errorf("resident %v, proportional %v", process.RSSBytes, process.PSSBytes)
	}
	if off := process.OffHeapBytes.Or(-1); off < 0 || off > process.RSSBytes.Or(0) {
		t.Errorf("off-heap %v of %v", off, process.RSSBytes)
	}
	if sample.System.TotalBytes.Or(0) < sample.System.AvailableBytes.Or(math.MaxInt64) {
		t.Errorf("machine: %+v", sample.System)
	}
	for _, group := range []any{sample.Go, process, sample.Cgroup, sample.System} {
		finite(t, group)
	}
	if limit, err := os.ReadFile("/proc/self/limits"); err == nil {
		want, err := parseMaxOpenFiles(limit)
		if err != nil || process.MaxFileDescriptors != want {
			t.Errorf("limit of descriptors: got %v, want %v, %v", process.MaxFileDescriptors, want, err)
		}
	}
}

// TestCountsAgree compares the two ways to count descriptors: by the directory's size and by listing it.
func TestCountsAgree(t *testing.T) {
	d := newDescriptors("/proc/self/fd")
	defer d.close()
	buffer := make([]byte, 256) // several reads
	for range 50 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	n, ok := d.count(buffer).Get()
	if !ok || d.problem != nil {
		t.Fatalf("not counted: %v", d.problem)
	}
	listed, err := d.list(buffer, maxDescriptors)
	if err != nil || listed != n || n < 50 {
		t.Errorf("counted %d, listed %d, %v", n, listed, err)
	}
	if n, err := d.list(buffer, 20); err != errTooMany {
		t.Errorf("past the bound: %d, %v", n, err)
	}
}

// TestCloseLeavesNoDescriptor counts the process's own.
func TestCloseLeavesNoDescriptor(t *testing.T) {
	d := newDescriptors("/proc/self/fd")
	defer d.close()
	buffer := make([]byte, bufferSize)
	before := d.count(buffer)
	for range 3 {
		s, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range time.Duration(3) {
			read(s, i*time.Minute)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	check(t, "descriptors", d.count(buffer), before)
}

func FuzzCountEntries(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x18\x00\x04.\x00\x00\x00\x00"))
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x18\x00\x0417\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, entries []byte) {
		if n := countEntries(entries); n < 0 || n > int64(len(entries)) {
			t.Errorf("%d entries in %d bytes", n, len(entries))
		}
	})
}

// child starts a process that waits until its input ends, and has it end with the test. It returns when the process
// runs its own program, which it shows by an echo.
func child(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("cat")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("no child process can be started: %v", err)
	}
	t.Cleanup(func() {
		_ = input.Close() // the test may have ended it already
		_ = cmd.Wait()
	})
	if _, err := input.Write([]byte{'.'}); err != nil {
		t.Fatal(err)
	}
	if _, err := output.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestLiveWatchedFromOutside(t *testing.T) {
	cmd := child(t)
	s, err := New(Options{PID: cmd.Process.Pid})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sample := read(s, 0)
	check(t, "go", sample.Go, Go{})
	if sample.Process.RSSBytes.Or(0) < 100*kib || sample.Process.Threads != Known(int64(1)) || sample.Process.FileDescriptors.Or(0) < 3 {
		t.Errorf("process: %+v", sample.Process)
	}
	if s.Gone() {
		t.Error("gone while it runs")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // tells that it was killed
	if !s.Gone() {
		t.Error("not gone after it was killed and waited for")
	}
	check(t, "process", read(s, time.Second).Process, Process{})
	if _, err := New(Options{PID: cmd.Process.Pid}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("New of an ended process: %v", err)
	}
}

// memoryGroup makes a cgroup v1 memory group below the test's own, so that what holds for this holds for it too.
func memoryGroup(t *testing.T, parent, name string) string {
	t.Helper()
	dir := filepath.Join(parent, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("no memory group can be made, the limits of a real one are not tested: %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the group is left behind: %v", err)
		}
	})
	return dir
}

// set writes one of a group's files.
func set(t *testing.T, dir, name string, value int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(strconv.Itoa(value)), 0); err != nil {
		t.Fatal(err)
	}
}

// ownV1Group is the directory of the test's own memory group, in which groups can be made.
func ownV1Group(t *testing.T) string {
	t.Helper()
	own, err := ReadCgroupLimits("", 0)
	if err != nil {
		t.Skipf("no control groups, the limits of a real one are not tested: %v", err)
	}
	if own.Version != 1 || os.Getuid() != 0 {
		t.Skipf("cgroup version %d, user %d: the limits of a real group are tested with version 1, as root", own.Version, os.Getuid())
	}
	if limit := own.MaxBytes.Or(math.MaxInt64); limit < 256*mib {
		t.Skipf("the test's own group is limited to %d bytes: too little to set lower limits that can be told apart", limit)
	}
	return own.Path
}

// TestLiveCgroupV1 limits a child, resizes its limit, moves it to a group inside the group and removes the first.
func TestLiveCgroupV1(t *testing.T) {
	own := ownV1Group(t)
	first := memoryGroup(t, own, fmt.Sprintf("memwarden-test-%d", os.Getpid()))
	second := memoryGroup(t, own, fmt.Sprintf("memwarden-test-%d-second", os.Getpid()))
	inner := memoryGroup(t, second, "inner")
	cmd := child(t)
	pid := cmd.Process.Pid
	set(t, first, "memory.limit_in_bytes", 64*mib)
	set(t, second, "memory.limit_in_bytes", 32*mib)
	set(t, first, "cgroup.procs", pid)

	s, err := New(Options{PID: pid})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sample := read(s, 0)
	check(t, "version", sample.Cgroup.Version, Known(int64(1)))
	check(t, "limit", sample.Cgroup.MaxBytes, Known(int64(64*mib)))
	finite(t, sample.Cgroup)
	for name, v := range map[string]Int{"current": sample.Cgroup.CurrentBytes, "working set": sample.Cgroup.WorkingSetBytes,
		"oom kills": sample.Cgroup.OOMKillEvents, "peak": sample.Cgroup.PeakBytes} {
		if v.IsZero() {
			t.Errorf("%s is absent", name)
		}
	}
	limits, err := ReadCgroupLimits("", pid)
	if err != nil || limits.MaxPath != filepath.Join(first, "memory.limit_in_bytes") || limits.MaxBytes != Known(int64(64*mib)) {
		t.Errorf("limits: %+v, %v", limits, err)
	}

	set(t, first, "memory.limit_in_bytes", 96*mib)
	check(t, "limit after a resize", read(s, time.Second).Cgroup.MaxBytes, Known(int64(96*mib)))

	set(t, inner, "cgroup.procs", pid)
	check(t, "limit of the parent of the next group", read(s, 11*time.Second).Cgroup.MaxBytes, Known(int64(32*mib)))

	set(t, first, "cgroup.procs", pid)
	if err := os.Remove(inner); err != nil {
		t.Fatal(err)
	}
	check(t, "limit after its group was removed", read(s, 12*time.Second).Cgroup.MaxBytes, Known(int64(96*mib)))
	for _, p := range s.Problems() {
		if !strings.Contains(p.Path, "smaps_rollup") {
			t.Errorf("problem: %+v", p)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // tells that it was killed
	check(t, "cgroup after the end", read(s, 13*time.Second).Cgroup, Cgroup{})
}

// filled starts a process in a group, has it take so much memory there, and returns when it has, or when it was killed
// for it, which it reports.
func filled(t *testing.T, group string, mebibytes int) (killed bool) {
	t.Helper()
	cmd := exec.Command("sh", "-c", fmt.Sprintf("read _ && exec dd if=/dev/zero bs=%dM count=1", mebibytes))
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("no child process can be started: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the kernel may have done so
		_ = cmd.Wait()         // tells that it was killed
	})
	set(t, group, "cgroup.procs", cmd.Process.Pid)
	if _, err := input.Write([]byte{'\n'}); err != nil {
		t.Fatal(err)
	}
	// It writes when it holds all, and can then write no more than a pipe takes.
	_, err = output.Read(make([]byte, 1))
	return err != nil
}

// TestLiveSiblings: two groups share the limit of their parent; one of them fills it.
func TestLiveSiblings(t *testing.T) {
	parent := memoryGroup(t, ownV1Group(t), fmt.Sprintf("memwarden-test-%d-parent", os.Getpid()))
	ours, theirs := memoryGroup(t, parent, "ours"), memoryGroup(t, parent, "theirs")
	set(t, parent, "memory.limit_in_bytes", 128*mib)
	set(t, ours, "memory.limit_in_bytes", 64*mib)
	cmd := child(t)
	set(t, ours, "cgroup.procs", cmd.Process.Pid)
	s, err := New(Options{PID: cmd.Process.Pid})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	// both is the group and the parent that was made for it; the groups that the test itself is in may have limits too.
	both := func(at time.Duration) (Cgroup, Parent) {
		t.Helper()
		cgroup := read(s, at).Cgroup
		check(t, "strictest limit", cgroup.MaxBytes, Known(int64(64*mib)))
		if len(cgroup.Parents.List()) == 0 || !strings.HasSuffix(parent, cgroup.Parents[0].Path) {
			t.Fatalf("parents %+v, want the first to be %s", cgroup.Parents, parent)
		}
		check(t, "limit of the parent", cgroup.Parents[0].MaxBytes, Known(int64(128*mib)))
		finite(t, cgroup.Parents[0])
		return cgroup, cgroup.Parents[0]
	}
	_, empty := both(0)
	if use := empty.WorkingSetBytes.Or(math.MaxInt64); use > 32*mib {
		t.Errorf("the parent uses %d before it is filled", use)
	}
	if filled(t, theirs, 80) {
		t.Fatal("80 of 128 MiB could not be had")
	}
	group, above := both(time.Second)
	if use := group.WorkingSetBytes.Or(math.MaxInt64); use > 32*mib {
		t.Errorf("the other group's %d bytes count as the group's own", use)
	}
	if use := above.WorkingSetBytes.Or(0); use < 80*mib || use > 128*mib {
		t.Errorf("the parent uses %d of %d bytes, of which the other group took 80 MiB", use, 128*mib)
	}
	before := above.MaxEvents
	filled(t, theirs, 80) // one of the two is killed, if they cannot be swapped out
	group, above = both(2 * time.Second)
	check(t, "meetings of the group's own limit", group.MaxEvents, Known(int64(0)))
	check(t, "kills in the group", group.OOMKillEvents, Known(int64(0)))
	if above.MaxEvents.Or(0) <= before.Or(math.MaxInt64) {
		t.Errorf("meetings of the parent's limit: %v before, %v after", before, above.MaxEvents)
	}
	for _, p := range s.Problems() {
		if !strings.Contains(p.Path, "smaps_rollup") {
			t.Errorf("problem: %+v", p)
		}
	}
}
