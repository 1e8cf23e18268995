package memstat

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// limitsOf reads the limits in a tree and takes the tree's own path out of what it names.
func limitsOf(t *testing.T, tr tree, pid int) CgroupLimits {
	t.Helper()
	limits, err := ReadCgroupLimits(tr.root, pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []*string{&limits.Path, &limits.MaxPath, &limits.HighPath, &limits.CPUPath} {
		*path = filepath.ToSlash(strings.TrimPrefix(*path, tr.root))
	}
	return limits
}

func TestReadCgroupLimitsV1(t *testing.T) {
	limits := limitsOf(t, v1(t), 0)
	want := CgroupLimits{
		Version: 1, Path: "/sys/fs/cgroup/memory/pods/worker",
		MaxBytes: Known(int64(gib)), MaxPath: "/sys/fs/cgroup/memory/pods/memory.limit_in_bytes",
		CPUCores: Known(1.5), CPUPath: "/sys/fs/cgroup/cpu,cpuacct/pods/cpu.cfs_quota_us",
		OOMKillEvents: Known(int64(2)),
	}
	if !sameLimits(limits, want) {
		t.Errorf("got  %+v\nwant %+v", limits, want)
	}
}

func TestReadCgroupLimitsV2(t *testing.T) {
	limits := limitsOf(t, v2(t, "self"), 0)
	want := CgroupLimits{
		Version: 2, Path: "/sys/fs/cgroup/app.slice/worker.service",
		MaxBytes: Known(int64(gib)), MaxPath: "/sys/fs/cgroup/app.slice/memory.max",
		HighBytes: Known(int64(800 * mib)), HighPath: "/sys/fs/cgroup/app.slice/worker.service/memory.high",
		CPUCores: Known(2.5), CPUPath: "/sys/fs/cgroup/app.slice/worker.service/cpu.max",
		OOMKillEvents: Known(int64(1)),
	}
	if !sameLimits(limits, want) {
		t.Errorf("got  %+v\nwant %+v", limits, want)
	}
}

func sameLimits(a, b CgroupLimits) bool {
	if len(a.Problems) != len(b.Problems) {
		return false
	}
	for i := range a.Problems {
		if a.Problems[i] != b.Problems[i] {
			return false
		}
	}
	a.Problems, b.Problems = nil, nil
	return a.Version == b.Version && a.Path == b.Path && a.MaxBytes == b.MaxBytes && a.MaxPath == b.MaxPath &&
		a.HighBytes == b.HighBytes && a.HighPath == b.HighPath && a.CPUCores == b.CPUCores && a.CPUPath == b.CPUPath &&
		a.OOMKillEvents == b.OOMKillEvents
}

// TestWhereTheLimitStands goes through the ways in which a process's group and its mount can relate.
func TestWhereTheLimitStands(t *testing.T) {
	const max = "memory.max"
	for _, c := range []struct {
		name     string
		groups   string
		mounts   string
		files    map[string]string
		version  int64
		wantMax  Int
		wantPath string
		problem  string
	}{
		{
			name: "namespaced v2", groups: "0::/\n", mounts: mount("/", "/sys/fs/cgroup", "cgroup2", ""),
			files:   map[string]string{"sys/fs/cgroup/memory.current": "1", "sys/fs/cgroup/" + max: "1000"},
			version: 2, wantMax: Known(int64(1000)), wantPath: "/sys/fs/cgroup/" + max,
		},
		{
			name: "container's mount without a namespace", groups: "5:memory:/docker/abc\n0::/docker/abc\n",
			mounts:  mount("/docker/abc", "/sys/fs/cgroup/memory", "cgroup", ",memory"),
			files:   map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "2000"},
			version: 1, wantMax: Known(int64(2000)), wantPath: "/sys/fs/cgroup/memory/memory.limit_in_bytes",
		},
		{
			name: "a stricter parent outside the container's mount", groups: "5:memory:/docker/abc\n",
			mounts: mount("/docker/abc", "/sys/fs/cgroup/memory", "cgroup", ",memory"),
			files: map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": unlimitedV1,
				"sys/fs/cgroup/memory/memory.stat": "hierarchical_memory_limit 1500\ntotal_inactive_file 0"},
			version: 1, wantMax: Known(int64(1500)), wantPath: "/sys/fs/cgroup/memory/memory.stat",
		},
		{
			name: "no limit in v1", groups: "5:memory:/a\n", mounts: mount("/", "/cg", "cgroup", ",memory"),
			files: map[string]string{"cg/a/memory.limit_in_bytes": unlimitedV1, "cg/memory.limit_in_bytes": unlimitedV1,
				"cg/a/memory.stat": "hierarchical_memory_limit " + unlimitedV1 + "\ntotal_inactive_file 0"},
			version: 1,
		},
		{
			name: "hybrid: memory is v1's", groups: "5:memory:/a\n0::/a\n",
			mounts: mount("/", "/cg/memory", "cgroup", ",memory") + mount("/", "/cg/unified", "cgroup2", ""),
			files: map[string]string{"cg/memory/a/memory.limit_in_bytes": "3000", "cg/unified/a/cgroup.procs": "1",
				"cg/unified/a/" + max: "9"},
			version: 1, wantMax: Known(int64(3000)), wantPath: "/cg/memory/a/memory.limit_in_bytes",
		},
		{
			name: "hybrid: memory is v2's", groups: "5:pids:/a\n0::/a\n",
			mounts:  mount("/", "/cg/pids", "cgroup", ",pids") + mount("/", "/cg/unified", "cgroup2", ""),
			files:   map[string]string{"cg/unified/a/memory.current": "1", "cg/unified/a/" + max: "9"},
			version: 2, wantMax: Known(int64(9)), wantPath: "/cg/unified/a/" + max,
		},
		{
			name: "v2 controller enabled for a parent only", groups: "0::/a/b/c\n", mounts: mount("/", "/cg", "cgroup2", ""),
			files: map[string]string{"cg/a/b/c/cgroup.procs": "1", "cg/a/b/cgroup.procs": "", "cg/a/memory.current": "1",
				"cg/a/" + max: "4000"},
			version: 2, wantMax: Known(int64(4000)), wantPath: "/cg/a/" + max,
		},
		{
			name: "root group of v2", groups: "0::/\n", mounts: mount("/", "/cg", "cgroup2", ""),
			files: map[string]string{"cg/memory.stat": "inactive_file 1"},
		},
		{
			name: "not to be reached", groups: "5:memory:/elsewhere\n", mounts: mount("/docker/abc", "/cg", "cgroup", ",memory"),
			files:   map[string]string{"cg/memory.limit_in_bytes": "1"},
			problem: "no visible mount",
		},
		{
			name: "mounted where the reader sees nothing", groups: "0::/a\n", mounts: mount("/", "/cg", "cgroup2", ""),
			problem: "no visible mount",
		},
		{
			name: "a malformed parent", groups: "0::/a/b\n", mounts: mount("/", "/cg", "cgroup2", ""),
			files: map[string]string{"cg/a/b/memory.current": "1", "cg/a/b/" + max: "5000", "cg/a/" + max: "a lot",
				"cg/a/b/memory.stat": "inactive_file 0"},
			version: 2, wantMax: Known(int64(5000)), wantPath: "/cg/a/b/" + max,
			problem: "cg/a/memory.max: not a whole number",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTree(t)
			tr.write("proc/self/cgroup", c.groups)
			tr.write("proc/self/mountinfo", c.mounts)
			for name, content := range c.files {
				tr.write(name, content+"\n")
			}
			got := limitsOf(t, tr, 0)
			if got.Version != c.version || got.MaxBytes != c.wantMax || got.MaxPath != c.wantPath {
				t.Errorf("got version %d, max %v from %q; want %d, %v, %q", got.Version, got.MaxBytes, got.MaxPath,
					c.version, c.wantMax, c.wantPath)
			}
			if problems := tr.problemsText(got.Problems); !strings.Contains(problems, c.problem) {
				t.Errorf("problems %q; want %q among them", problems, c.problem)
			}
		})
	}
}

func TestReadCgroupLimitsOfAnotherProcess(t *testing.T) {
	tr := v2(t, "77")
	if got := limitsOf(t, tr, 77); got.MaxBytes != Known(int64(gib)) {
		t.Errorf("through the reader's mounts: %+v", got)
	}
	// A container beside the reader's: its group lies outside the reader's namespace, and only its own mounts lead there.
	tr.write("proc/77/cgroup", "0::/../neighbour\n")
	tr.write("proc/77/mountinfo", mount("/../neighbour", "/sys/fs/cgroup", "cgroup2", ""))
	below := path.Join("proc/77", "root", "sys/fs/cgroup") // as the process sees it
	tr.group(below, "memory.current", "1", "memory.max", "7000")
	got := limitsOf(t, tr, 77)
	if got.MaxBytes != Known(int64(7000)) || got.Path != "/"+below {
		t.Errorf("through the process's mounts: %+v", got)
	}
}

func TestReadCgroupLimitsErrors(t *testing.T) {
	tr := newTree(t)
	if _, err := ReadCgroupLimits(tr.root, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without /proc: got %v; want fs.ErrNotExist", err)
	}
	tr.write("proc/5/cgroup", "0::/\n")
	if _, err := ReadCgroupLimits(tr.root, 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without mountinfo: got %v; want fs.ErrNotExist", err)
	}
	tr.write("proc/5/cgroup", strings.Repeat("x", bufferSize+1))
	if _, err := ReadCgroupLimits(tr.root, 5); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a huge file: got %v", err)
	}
}

func TestQuotaProblems(t *testing.T) {
	tr := v1(t)
	tr.write("sys/fs/cgroup/cpu,cpuacct/pods/cpu.cfs_quota_us", "much\n")
	tr.write("sys/fs/cgroup/cpu,cpuacct/pods/worker/cpu.cfs_quota_us", "300000\n")
	tr.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "")
	limits := limitsOf(t, tr, 0)
	if limits.CPUCores != Known(3.0) {
		t.Errorf("cores: got %v, want 3", limits.CPUCores)
	}
	text := tr.problemsText(limits.Problems)
	for _, want := range []string{"pods/cpu.cfs_quota_us: not a whole number", "cpu,cpuacct/cpu.cfs_period_us: is empty"} {
		if !strings.Contains(text, want) {
			t.Errorf("problems do not say %q:\n%s", want, text)
		}
	}
	tr = v2(t, "self")
	tr.remove("sys/fs/cgroup/app.slice/worker.service/cpu.max")
	if limits := limitsOf(t, tr, 0); !limits.CPUCores.IsZero() {
		t.Errorf("cores: got %v, want none", limits.CPUCores)
	}
}

// TestDepthIsBounded: of a group deeper than maxLevels the nearest parents count.
func TestDepthIsBounded(t *testing.T) {
	tr := newTree(t)
	group := ""
	for i := range maxLevels + 10 {
		group += "/" + strconv.Itoa(i)
		tr.group("cg"+group, "memory.max", strconv.Itoa(1000+i))
	}
	tr.write("proc/self/cgroup", "0::"+group+"\n")
	tr.write("proc/self/mountinfo", mount("/", "/cg", "cgroup2", ""))
	if got := limitsOf(t, tr, 0); got.MaxBytes != Known(int64(1010)) {
		t.Errorf("got %v, want 1010", got.MaxBytes)
	}
}
