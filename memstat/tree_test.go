package memstat

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// unlimitedV1 is what cgroup v1 shows where no limit is set.
const unlimitedV1 = "9223372036854771712"

// tree stands in for the root of a Linux file system.
type tree struct {
	t    testing.TB
	root string
}

func newTree(t testing.TB) tree { return tree{t: t, root: t.TempDir()} }

func (tr tree) path(name string) string { return filepath.Join(tr.root, filepath.FromSlash(name)) }

// write sets a file's content in place.
func (tr tree) write(name, content string) {
	tr.t.Helper()
	if err := os.MkdirAll(filepath.Dir(tr.path(name)), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(tr.path(name), []byte(content), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

// group writes files of a control group: names and contents by turns.
func (tr tree) group(dir string, pairs ...string) {
	tr.t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		tr.write(dir+"/"+pairs[i], pairs[i+1]+"\n")
	}
}

func (tr tree) remove(name string) {
	tr.t.Helper()
	if err := os.RemoveAll(tr.path(name)); err != nil {
		tr.t.Fatal(err)
	}
}

// machine writes the files that belong to no process.
func (tr tree) machine() {
	tr.write("proc/meminfo", "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n"+
		"SwapTotal:       2000000 kB\nSwapFree:        1500000 kB\nHugePages_Total:       0\n")
	tr.write("proc/pressure/memory", "some avg10=1.50 avg60=0.75 avg300=0.10 total=2500000\n"+
		"full avg10=0.50 avg60=0.25 avg300=0.05 total=1250000\n")
}

// process writes the files of a process: "self" or an id.
func (tr tree) process(id string) {
	dir := "proc/" + id + "/"
	tr.write(dir+"statm", "30000 25600 1200 300 0 9000 0\n")
	tr.write(dir+"status", "Name:\tworker\nVmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\nRssAnon:\t   81920 kB\nVmSwap:\t    2048 kB\nThreads:\t9\n")
	tr.write(dir+"smaps_rollup", "00400000-7ffc330c5000 ---p 00000000 00:00 0    [rollup]\nRss:   102400 kB\nPss:   92160 kB\n"+
		"Pss_Anon:  70000 kB\nAnonymous:   71680 kB\nSwap:   1024 kB\nSwapPss:   512 kB\n")
	tr.write(dir+"limits", "Limit                     Soft Limit           Hard Limit           Units     \n"+
		"Max cpu time              unlimited            unlimited            seconds   \n"+
		"Max open files            1024                 4096                 files     \n")
	for fd := range 5 {
		tr.write(fmt.Sprint(dir, "fd/", fd), "")
	}
	tr.stat(id, "S", 9, 4242)
}

// stat writes a process's stat file; its name is chosen to mislead.
func (tr tree) stat(id, state string, threads, start int) {
	tr.write("proc/"+id+"/stat", fmt.Sprintf("%s (a) R 1 (b) %s 1 7 7 0 -1 4194304 1 0 0 0 2 1 0 0 20 0 %d 0 %d 3133440 408 18446744073709551615\n",
		id, state, threads, start))
}

// mount is one line of mountinfo.
func mount(root, point, kind, options string) string {
	return fmt.Sprintf("35 31 0:32 %s %s rw,nosuid,relatime shared:9 - %s %s rw%s\n", root, point, kind, kind, options)
}

// v1 writes a process under cgroup v1: its memory in /pods/worker, where limits are set at both levels.
func v1(t testing.TB) tree {
	tr := newTree(t)
	tr.machine()
	tr.process("self")
	tr.write("proc/self/cgroup", "9:name=systemd:/\n5:memory:/pods/worker\n4:cpu,cpuacct:/pods/worker\n")
	tr.write("proc/self/mountinfo", "23 1 8:1 / / rw - ext4 /dev/sda rw\n"+
		mount("/", "/sys/fs/cgroup/cpu,cpuacct", "cgroup", ",cpu,cpuacct")+
		mount("/", "/sys/fs/cgroup/memory", "cgroup", ",memory"))
	dir := "sys/fs/cgroup/memory"
	tr.group(dir, "memory.limit_in_bytes", unlimitedV1)
	tr.parentV1(dir+"/pods", gib, 500*mib, 60*mib, 5)
	tr.group(dir+"/pods/worker",
		"memory.limit_in_bytes", strconv.FormatInt(2*gib, 10),
		"memory.soft_limit_in_bytes", strconv.FormatInt(100*mib, 10),
		"memory.usage_in_bytes", strconv.FormatInt(300*mib, 10),
		"memory.max_usage_in_bytes", strconv.FormatInt(400*mib, 10),
		"memory.failcnt", "17",
		"memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2",
		"memory.stat", "cache 10\ninactive_file 11\ntotal_inactive_file 104857600\ntotal_swap 4096")
	dir = "sys/fs/cgroup/cpu,cpuacct"
	tr.group(dir, "cpu.cfs_quota_us", "-1", "cpu.cfs_period_us", "100000")
	tr.group(dir+"/pods", "cpu.cfs_quota_us", "150000", "cpu.cfs_period_us", "100000")
	tr.group(dir+"/pods/worker", "cpu.cfs_quota_us", "-1", "cpu.cfs_period_us", "100000")
	return tr
}

// v2 writes a process under cgroup v2, in /app.slice/worker.service, where limits are set at both levels. id is "self"
// or a process's; the mounts are the reader's either way.
func v2(t testing.TB, id string) tree {
	tr := newTree(t)
	tr.machine()
	tr.process(id)
	tr.write("proc/"+id+"/cgroup", "0::/app.slice/worker.service\n")
	tr.write("proc/self/mountinfo", mount("/", "/sys/fs/cgroup", "cgroup2", ""))
	dir := "sys/fs/cgroup"
	tr.group(dir, "memory.stat", "inactive_file 5", "cgroup.procs", "1")
	tr.parentV2(dir+"/app.slice", strconv.Itoa(gib), "max", 500*mib, 60*mib, "low 0\nhigh 0\nmax 7\noom 4\noom_kill 0")
	tr.group(dir+"/app.slice", "cpu.max", "max 100000")
	tr.group(dir+"/app.slice/worker.service",
		"cgroup.events", "populated 1\nfrozen 0",
		"memory.max", "max",
		"memory.high", strconv.FormatInt(800*mib, 10),
		"memory.current", strconv.FormatInt(300*mib, 10),
		"memory.peak", strconv.FormatInt(350*mib, 10),
		"memory.swap.current", "8192",
		"memory.stat", "anon 1\ninactive_file 104857600\nactive_file 3",
		"memory.events", "low 0\nhigh 12\nmax 3\noom 2\noom_kill 1\noom_group_kill 0",
		"memory.pressure", "some avg10=10.00 avg60=5.00 avg300=0.10 total=1000000\nfull avg10=2.00 avg60=1.00 avg300=0.05 total=500000",
		"cpu.max", "250000 100000")
	return tr
}

// parentV1 writes a parent's files of cgroup v1: a limit, or 0 for none.
func (tr tree) parentV1(dir string, limit, current, inactive, failures int64) {
	tr.t.Helper()
	text := strconv.FormatInt(limit, 10)
	if limit == 0 {
		text = unlimitedV1
	}
	tr.group(dir, "memory.limit_in_bytes", text, "memory.usage_in_bytes", strconv.FormatInt(current, 10),
		"memory.stat", fmt.Sprintf("cache 5\ninactive_file 6\nhierarchical_memory_limit %s\ntotal_inactive_file %d", text, inactive),
		"memory.failcnt", strconv.FormatInt(failures, 10))
}

// parentV2 writes a parent's files of cgroup v2. What happened below it is no event of its own.
func (tr tree) parentV2(dir, max, high string, current, inactive int64, events string) {
	tr.t.Helper()
	tr.group(dir, "memory.max", max, "memory.high", high, "memory.current", strconv.FormatInt(current, 10),
		"memory.stat", fmt.Sprintf("anon 1\ninactive_file %d", inactive),
		"memory.events", "low 0\nhigh 1000\nmax 1000\noom 1000\noom_kill 1000", "memory.events.local", events)
}

// problemsText joins problems for searching and printing, without the tree's own path.
func (tr tree) problemsText(problems []Problem) string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, strings.TrimPrefix(filepath.ToSlash(p.Path), filepath.ToSlash(tr.root)+"/")+": "+p.Reason)
	}
	return strings.Join(lines, "\n")
}
