package memstat

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

var start = time.Unix(1_700_000_000, 0)

// sampler returns a Sampler of a tree; it is closed with the test.
func (tr tree) sampler(o Options) *Sampler {
	tr.t.Helper()
	o.Root = tr.root
	s, err := New(o)
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			tr.t.Errorf("Close: %v", err)
		}
	})
	return s
}

func read(s *Sampler, at time.Duration) Sample {
	var sample Sample
	s.Read(&sample, start.Add(at))
	return sample
}

// check compares what does not depend on the running program.
func check[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\ngot  %+v\nwant %+v", what, got, want)
	}
}

func pages(n int64) Int { return Known(n * int64(os.Getpagesize())) }

func TestReadV1(t *testing.T) {
	tr := v1(t)
	s := tr.sampler(Options{})
	sample := read(s, 0)
	check(t, "cgroup", sample.Cgroup, Cgroup{
		Version: Known(int64(1)), CurrentBytes: Known(int64(300 * mib)), InactiveFileBytes: Known(int64(100 * mib)),
		WorkingSetBytes: Known(int64(200 * mib)), MaxBytes: Known(int64(gib)), PeakBytes: Known(int64(400 * mib)),
		SwapBytes: Known(int64(4096)), MaxEvents: Known(int64(17)), OOMKillEvents: Known(int64(2)),
		Parents: Parents{{Path: "/pods", MaxBytes: Known(int64(gib)), CurrentBytes: Known(int64(500 * mib)),
			InactiveFileBytes: Known(int64(60 * mib)), WorkingSetBytes: Known(int64(440 * mib)), MaxEvents: Known(int64(5))}},
	})
	process := sample.Process
	if off, used := process.OffHeapBytes.Or(-1), sample.Go.UsedBytes.Or(-1); off != max(0, 25600*int64(os.Getpagesize())-used) {
		t.Errorf("off-heap %d with %d used", off, used)
	}
	process.OffHeapBytes = Int{}
	check(t, "process", process, Process{
		RSSBytes: pages(25600), PeakRSSBytes: Known(max(int64(200*mib), 25600*int64(os.Getpagesize()))), PSSBytes: Known(int64(90 * mib)),
		AnonymousBytes: Known(int64(70 * mib)), SwapBytes: Known(int64(mib)),
		FileDescriptors: process.FileDescriptors, MaxFileDescriptors: Known(int64(1024)), Threads: Known(int64(9)),
	})
	if n := process.FileDescriptors; n != Known(int64(5)) {
		t.Errorf("descriptors: got %v, want 5", n)
	}
	check(t, "system", sample.System, System{
		TotalBytes: Known(int64(16000000 * kib)), AvailableBytes: Known(int64(8000000 * kib)),
		SwapTotalBytes: Known(int64(2000000 * kib)), SwapFreeBytes: Known(int64(1500000 * kib)),
	})
	check(t, "psi", sample.PSI, PSI{Scope: "system",
		SomeAvg10Ratio: Known(0.015), SomeAvg60Ratio: Known(0.0075), FullAvg10Ratio: Known(0.005), FullAvg60Ratio: Known(0.0025),
		SomeSecondsTotal: Known(2.5), FullSecondsTotal: Known(1.25)})
	if problems := s.Problems(); len(problems) != 0 {
		t.Errorf("problems:\n%s", tr.problemsText(problems))
	}
	if s.Gone() {
		t.Error("the calling process is never gone")
	}
}

func TestReadV2(t *testing.T) {
	tr := v2(t, "self")
	s := tr.sampler(Options{})
	sample := read(s, 0)
	check(t, "cgroup", sample.Cgroup, Cgroup{
		Version: Known(int64(2)), CurrentBytes: Known(int64(300 * mib)), InactiveFileBytes: Known(int64(100 * mib)),
		WorkingSetBytes: Known(int64(200 * mib)), MaxBytes: Known(int64(gib)), HighBytes: Known(int64(800 * mib)),
		PeakBytes: Known(int64(350 * mib)), SwapBytes: Known(int64(8192)),
		HighEvents: Known(int64(12)), MaxEvents: Known(int64(3)), OOMEvents: Known(int64(2)), OOMKillEvents: Known(int64(1)),
		Parents: Parents{{Path: "/app.slice", MaxBytes: Known(int64(gib)), CurrentBytes: Known(int64(500 * mib)),
			InactiveFileBytes: Known(int64(60 * mib)), WorkingSetBytes: Known(int64(440 * mib)),
			HighEvents: Known(int64(0)), MaxEvents: Known(int64(7)), OOMEvents: Known(int64(4))}},
	})
	check(t, "psi", sample.PSI, PSI{Scope: "cgroup",
		SomeAvg10Ratio: Known(0.1), SomeAvg60Ratio: Known(0.05), FullAvg10Ratio: Known(0.02), FullAvg60Ratio: Known(0.01),
		SomeSecondsTotal: Known(1.0), FullSecondsTotal: Known(0.5)})
	if problems := s.Problems(); len(problems) != 0 {
		t.Errorf("problems:\n%s", tr.problemsText(problems))
	}
	// Use that was mostly cache.
	tr.group("sys/fs/cgroup/app.slice/worker.service", "memory.current", "5", "memory.stat", "inactive_file 9")
	check(t, "working set", read(s, time.Second).Cgroup.WorkingSetBytes, Known(int64(0)))
}

// TestRootPressureIsTheMachines: the root group's pressure file would be mislabelled.
func TestRootPressureIsTheMachines(t *testing.T) {
	tr := v1(t)
	tr.write("proc/self/cgroup", "5:memory:/pods/worker\n0::/\n")
	tr.write("proc/self/mountinfo", mount("/", "/sys/fs/cgroup/memory", "cgroup", ",memory")+mount("/", "/sys/fs/cgroup/unified", "cgroup2", ""))
	tr.write("sys/fs/cgroup/unified/memory.pressure", "some avg10=9.00 avg60=9.00 avg300=9.00 total=9\n")
	check(t, "scope", read(tr.sampler(Options{}), 0).PSI.Scope, "system")
	// In a group of the hybrid hierarchy, with memory under v1, it is the group's.
	tr.write("sys/fs/cgroup/unified/cgroup.events", "populated 1\n")
	sample := read(tr.sampler(Options{}), 0)
	check(t, "scope", sample.PSI.Scope, "cgroup")
	check(t, "version", sample.Cgroup.Version, Known(int64(1)))
	// An unreadable one is told of, and the machine's stands in.
	tr.write("sys/fs/cgroup/unified/memory.pressure", "?\n")
	s := tr.sampler(Options{})
	check(t, "scope", read(s, 0).PSI.Scope, "system")
	if text := tr.problemsText(s.Problems()); text != "sys/fs/cgroup/unified/memory.pressure: some: line is missing" {
		t.Errorf("problems: %s", text)
	}
}

func TestTiers(t *testing.T) {
	tr := v2(t, "self")
	s := tr.sampler(Options{FastInterval: time.Second, SlowInterval: 10 * time.Second})
	read(s, 0)
	group := "sys/fs/cgroup/app.slice/"
	tr.group(group, "memory.max", strconv.FormatInt(400*mib, 10))
	tr.group(group+"worker.service", "memory.current", "77")
	tr.write("proc/self/statm", "30000 51200 0 0 0 0 0\n")
	tr.write("proc/self/status", "Threads:\t12\nVmHWM:\t1 kB\n")
	for _, step := range []struct {
		at      time.Duration
		current int64
		limit   int64
		rss     Int
		threads int64
	}{
		{500 * time.Millisecond, 300 * mib, gib, pages(25600), 9},
		{time.Second, 77, 400 * mib, pages(51200), 9},
		{10 * time.Second, 77, 400 * mib, pages(51200), 12},
	} {
		sample := read(s, step.at)
		check(t, "at", sample.At, start.Add(step.at))
		check(t, "current", sample.Cgroup.CurrentBytes, Known(step.current))
		check(t, "limit", sample.Cgroup.MaxBytes, Known(step.limit))
		check(t, "rss", sample.Process.RSSBytes, step.rss)
		check(t, "threads", sample.Process.Threads, Known(step.threads))
		if sample.Process.PeakRSSBytes.Or(0) < sample.Process.RSSBytes.Or(0) {
			t.Errorf("peak %v below the resident size %v", sample.Process.PeakRSSBytes, sample.Process.RSSBytes)
		}
	}
	if err := s.SetIntervals(time.Millisecond, 2*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	tr.write("proc/self/status", "Threads:\t13\n")
	check(t, "threads after SetIntervals", read(s, 10*time.Second+2*time.Millisecond).Process.Threads, Known(int64(13)))
	if err := s.SetIntervals(time.Second, time.Millisecond); err == nil {
		t.Error("a slow interval shorter than the fast one was not refused")
	}
}

// TestBrokenFiles: whatever happens to a file, its figures are absent, the reason is told once, and all comes back.
func TestBrokenFiles(t *testing.T) {
	group := "sys/fs/cgroup/app.slice/worker.service/"
	for _, c := range []struct {
		file    string
		content string // "-": removed
		absent  func(Sample) Int
		problem string
	}{
		{group + "memory.current", "", func(s Sample) Int { return s.Cgroup.WorkingSetBytes }, "is empty"},
		{group + "memory.current", "-5\n", func(s Sample) Int { return s.Cgroup.CurrentBytes }, "not a whole number"},
		{group + "memory.current", "-", func(s Sample) Int { return s.Cgroup.CurrentBytes }, "no such file"},
		{group + "memory.peak", "-", func(s Sample) Int { return s.Cgroup.PeakBytes }, ""},
		{group + "memory.swap.current", "99999999999999999999\n", func(s Sample) Int { return s.Cgroup.SwapBytes }, "out of range"},
		{group + "memory.stat", "anon 1\ninactive_fi", func(s Sample) Int { return s.Cgroup.WorkingSetBytes }, "inactive_file: line is missing"},
		{group + "memory.stat", strings.Repeat("x", bufferSize), func(s Sample) Int { return s.Cgroup.InactiveFileBytes }, "larger than expected"},
		{group + "memory.events", "high x\nmax 3\noom 1\n", func(s Sample) Int { return s.Cgroup.HighEvents }, "high: not a whole number"},
		{group + "memory.high", "soon\n", func(s Sample) Int { return s.Cgroup.HighBytes }, "not a whole number"},
		{"proc/self/statm", "pages\n", func(s Sample) Int { return s.Process.OffHeapBytes }, "not a whole number"},
		{"proc/self/statm", "-", func(s Sample) Int { return s.Process.RSSBytes }, "no such file"},
		{"proc/self/status", "Name:\tx\nThreads", func(s Sample) Int { return s.Process.Threads }, "Threads"},
		{"proc/self/smaps_rollup", "Rss: 5 kB\n", func(s Sample) Int { return s.Process.PSSBytes }, "Pss: line is missing"},
		{"proc/self/limits", "\x00\xff", func(s Sample) Int { return s.Process.MaxFileDescriptors }, "Max open files: line is missing"},
		{"proc/self/fd", "-", func(s Sample) Int { return s.Process.FileDescriptors }, ""},
		{"proc/meminfo", "MemTotal: many kB\n", func(s Sample) Int { return s.System.TotalBytes }, "MemTotal: not a whole number"},
		{"proc/self/cgroup", "garbage\n", func(s Sample) Int { return s.Cgroup.Version }, ""},
		{"proc/self/cgroup", "-", func(s Sample) Int { return s.Cgroup.Version }, ""},
		{"proc/self/mountinfo", "-", func(s Sample) Int { return s.Cgroup.Version }, "no such file"},
		{"proc/self/mountinfo", "broken\n", func(s Sample) Int { return s.Cgroup.Version }, "no visible mount"},
	} {
		t.Run(c.file+" "+c.content[:min(len(c.content), 8)], func(t *testing.T) {
			tr := v2(t, "self")
			whole, err := os.ReadFile(tr.path(c.file))
			if err != nil && c.file != "proc/self/fd" {
				t.Fatal(err)
			}
			if c.content == "-" {
				tr.remove(c.file)
			} else {
				tr.write(c.file, c.content)
			}
			s := tr.sampler(Options{})
			if got := c.absent(read(s, 0)); !got.IsZero() {
				t.Errorf("got %v, want absent", got)
			}
			read(s, 10*time.Second)
			problems := s.Problems()
			if text := tr.problemsText(problems); (c.problem == "") != (text == "") || !strings.Contains(text, c.problem) || len(problems) > 1 {
				t.Errorf("problems %q; want only %q", text, c.problem)
			}
			if c.file == "proc/self/fd" {
				tr.write("proc/self/fd/0", "")
			} else {
				tr.write(c.file, string(whole))
			}
			if got := c.absent(read(s, 20*time.Second)); got.IsZero() {
				t.Error("still absent after the file was mended")
			}
			if text := tr.problemsText(s.Problems()); text != "" {
				t.Errorf("problems after the file was mended: %s", text)
			}
		})
	}
}

func TestNothingToRead(t *testing.T) {
	s := newTree(t).sampler(Options{})
	sample := read(s, 0)
	if sample.Process != (Process{}) || sample.Cgroup != (Cgroup{}) || sample.PSI != (PSI{}) || sample.System != (System{}) {
		t.Errorf("got %+v", sample)
	}
	if sample.Go.TotalBytes.IsZero() {
		t.Error("the Go runtime needs no files")
	}
}

// TestDescriptorsNoDirectory: what is there but cannot be listed is told.
func TestDescriptorsNoDirectory(t *testing.T) {
	tr := v1(t)
	tr.remove("proc/self/fd")
	tr.write("proc/self/fd", "")
	s := tr.sampler(Options{})
	check(t, "descriptors", read(s, 0).Process.FileDescriptors, Int{})
	if text := tr.problemsText(s.Problems()); !strings.HasPrefix(text, "proc/self/fd: ") {
		t.Errorf("problems: %q", text)
	}
}

// TestFallbackToStatus: smaps_rollup is not to be had of another user's process.
func TestFallbackToStatus(t *testing.T) {
	tr := v1(t)
	tr.remove("proc/self/smaps_rollup")
	process := read(tr.sampler(Options{}), 0).Process
	check(t, "anonymous", process.AnonymousBytes, Known(int64(80*mib)))
	check(t, "swap", process.SwapBytes, Known(int64(2*mib)))
	check(t, "pss", process.PSSBytes, Int{})
}

// TestRollupOfMuchMemory: what costs time in proportion to memory is read the more seldom, but it is read.
func TestRollupOfMuchMemory(t *testing.T) {
	for resident, leftOut := range map[int64]int{160 * mib: 2, 64 * gib: 30} {
		tr := v1(t)
		tr.write("proc/self/statm", strconv.FormatInt(gib, 10)+" "+strconv.FormatInt(resident/int64(os.Getpagesize()), 10)+" 0 0 0 0 0\n")
		s := tr.sampler(Options{})
		read(s, 0)
		read(s, 10*time.Second) // the first of known size: from here on intervals are left out
		tr.write("proc/self/smaps_rollup", "Pss: 1 kB\n")
		for i := range leftOut {
			check(t, "pss", read(s, time.Duration(i+2)*10*time.Second).Process.PSSBytes, Known(int64(90*mib)))
		}
		check(t, "pss", read(s, time.Duration(leftOut+2)*10*time.Second).Process.PSSBytes, Known(int64(kib)))
	}
}

func TestMoveToAnotherGroup(t *testing.T) {
	tr := v2(t, "self")
	s := tr.sampler(Options{})
	check(t, "limit", read(s, 0).Cgroup.MaxBytes, Known(int64(gib)))
	tr.group("sys/fs/cgroup/other", "memory.max", "12345", "memory.current", "1", "memory.stat", "inactive_file 0")
	tr.write("proc/self/cgroup", "0::/other\n")
	check(t, "limit before the slow interval", read(s, 5*time.Second).Cgroup.MaxBytes, Known(int64(gib)))
	sample := read(s, 10*time.Second)
	check(t, "limit", sample.Cgroup.MaxBytes, Known(int64(12345)))
	check(t, "scope", sample.PSI.Scope, "system")
}

// TestControllerEnabledLater: the memory controller reaches the process's own group after it did its parent's.
func TestControllerEnabledLater(t *testing.T) {
	tr := v2(t, "self")
	tr.write("proc/self/cgroup", "0::/app.slice/worker.service/sub\n")
	tr.write("sys/fs/cgroup/app.slice/worker.service/sub/cgroup.procs", "1\n")
	s := tr.sampler(Options{})
	check(t, "current of the parent", read(s, 0).Cgroup.CurrentBytes, Known(int64(300*mib)))
	tr.group("sys/fs/cgroup/app.slice/worker.service/sub", "memory.current", "55", "memory.max", "66")
	check(t, "current", read(s, 10*time.Second).Cgroup.CurrentBytes, Known(int64(55)))
}

func TestWatchedFromOutside(t *testing.T) {
	tr := v2(t, "77")
	s := tr.sampler(Options{PID: 77})
	sample := read(s, 0)
	check(t, "go", sample.Go, Go{})
	check(t, "rss", sample.Process.RSSBytes, pages(25600))
	check(t, "off-heap", sample.Process.OffHeapBytes, Int{})
	check(t, "limit", sample.Cgroup.MaxBytes, Known(int64(gib)))
	if s.Gone() {
		t.Error("gone while it runs")
	}

	tr.write("proc/77/stat", "nonsense")
	if s.Gone() {
		t.Error("gone because its state could not be told")
	}
	tr.stat("77", "S", 9, 5555) // the id now names another process
	if !s.Gone() {
		t.Error("another process under the same id was taken for the first")
	}
	sample = read(s, 10*time.Second)
	check(t, "process", sample.Process, Process{})
	check(t, "cgroup", sample.Cgroup, Cgroup{})
	check(t, "scope", sample.PSI.Scope, "system")
	if sample.System.TotalBytes.IsZero() {
		t.Error("the machine has not ended")
	}
	if text := tr.problemsText(s.Problems()); text != "" {
		t.Errorf("that a process ends is no problem: %s", text)
	}
	check(t, "process later", read(s, 20*time.Second).Process, Process{})
}

// TestEndedBetweenSlowReads: a process without memory of its own has ended.
func TestEndedBetweenSlowReads(t *testing.T) {
	tr := v2(t, "77")
	s := tr.sampler(Options{PID: 77})
	read(s, 0)
	tr.write("proc/77/statm", "0 0 0 0 0 0 0\n")
	tr.stat("77", "Z", 1, 4242)
	sample := read(s, time.Second)
	check(t, "process", sample.Process, Process{})
	check(t, "cgroup", sample.Cgroup, Cgroup{})
	if !s.Gone() {
		t.Error("not gone")
	}
}

func TestNewRefusesNoProcess(t *testing.T) {
	tr := v2(t, "77")
	o := Options{PID: 78, Root: tr.root}
	if _, err := New(o); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "process 78") {
		t.Errorf("no such process: got %v", err)
	}
	tr.stat("78", "Z", 1, 1)
	if _, err := New(o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ended: got %v", err)
	}
	tr.write("proc/78/stat", "nonsense")
	if _, err := New(o); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("malformed: got %v", err)
	}
}

func TestClose(t *testing.T) {
	tr := v2(t, "self")
	s, err := New(Options{Root: tr.root})
	if err != nil {
		t.Fatal(err)
	}
	read(s, 0)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	check(t, "sample after Close", read(s, time.Hour), Sample{At: start.Add(time.Hour)})
	if got := s.Problems(); got != nil {
		t.Errorf("problems after Close: %v", got)
	}
	s, err = New(Options{Root: tr.root}) // and without a Read
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestProblemsAreBounded has more broken files than are told of.
func TestProblemsAreBounded(t *testing.T) {
	tr := newTree(t)
	group := ""
	for i := range maxLevels - 1 {
		group += "/" + strconv.Itoa(i)
		tr.group("cg"+group, "memory.max", "x", "memory.high", "y", "memory.current", "1")
	}
	tr.write("proc/self/cgroup", "0::"+group+"\n")
	tr.write("proc/self/mountinfo", mount("/", "/cg", "cgroup2", ""))
	s := tr.sampler(Options{})
	read(s, 0)
	if n := len(s.Problems()); n != maxProblems {
		t.Errorf("got %d problems, want %d", n, maxProblems)
	}
}

// TestAllocations: no tier allocates once all files are open.
func TestAllocations(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("of reading files on Linux")
	}
	outside := v1(t)
	outside.group("sys/fs/cgroup/memory/pods", "memory.stat", "hierarchical_memory_limit 100\ntotal_inactive_file 0")
	outside.group("sys/fs/cgroup/memory/pods/worker", "memory.stat", "hierarchical_memory_limit 100\ntotal_inactive_file 0")
	outside.remove("sys/fs/cgroup/memory/memory.limit_in_bytes")
	for name, tr := range map[string]tree{"v1": v1(t), "v2": v2(t, "self"), "v1 with a limit from outside": outside} {
		s := tr.sampler(Options{})
		var sample Sample
		now := start
		for _, step := range []time.Duration{0, time.Second, 10 * time.Second} {
			s.Read(&sample, now)
			if n := testing.AllocsPerRun(50, func() {
				now = now.Add(step)
				s.Read(&sample, now)
			}); n != 0 {
				t.Errorf("%s, %v apart: %v allocations, want 0", name, step, n)
			}
		}
		if sample.Cgroup.Parents[0].WorkingSetBytes.IsZero() {
			t.Errorf("%s: no parent was read", name)
		}
	}
}

// TestSampleJSON: what is absent is left out, and what is there survives the way to JSON and back.
func TestSampleJSON(t *testing.T) {
	for name, tr := range map[string]tree{"v1": v1(t), "v2": v2(t, "self"), "nothing": newTree(t)} {
		sample := read(tr.sampler(Options{}), 0)
		text, err := json.Marshal(sample)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "null") {
			t.Errorf("%s: an absent figure is written: %s", name, text)
		}
		var back Sample
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if !back.At.Equal(sample.At) {
			t.Errorf("%s: at %v, want %v", name, back.At, sample.At)
		}
		back.At = sample.At
		if !reflect.DeepEqual(back, sample) {
			t.Errorf("%s: got %+v\nwant %+v", name, back, sample)
		}
	}
}

// finite fails if a figure of a group is NaN, infinite or negative.
func finite(t *testing.T, group any) {
	t.Helper()
	v := reflect.ValueOf(group)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch f := v.Field(i).Interface().(type) {
		case Int:
			if f.Or(0) < 0 {
				t.Errorf("%s is %v", name, f)
			}
		case Float:
			if x := f.Or(0); !(x >= 0) || math.IsInf(x, 0) || strings.HasSuffix(name, "Ratio") && x > 1 {
				t.Errorf("%s is %v", name, f)
			}
		}
	}
}
