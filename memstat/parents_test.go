package memstat

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func bytesOf(n int64) Int { return Known(n) }

// nested writes a process in /pod/app with limits of both groups, 0 for none, and 300 MiB of its own, of which 100 are
// inactive page cache, below the parent's 1900 and 200. The hierarchy is mounted at /cg.
func nested(t testing.TB, version int, own, parent int64) tree {
	t.Helper()
	tr := newTree(t)
	tr.machine()
	tr.process("self")
	if version == 1 {
		tr.write("proc/self/cgroup", "5:memory:/pod/app\n")
		tr.write("proc/self/mountinfo", mount("/", "/cg", "cgroup", ",memory"))
		tr.parentV1("cg", 0, 8*gib, gib, 0)
		tr.parentV1("cg/pod", parent, 1900*mib, 200*mib, 21)
		tr.parentV1("cg/pod/app", own, 300*mib, 100*mib, 1)
		whole := min(uint64(own)-1, uint64(parent)-1) + 1 // 0 counts as the highest
		if whole != 0 {
			tr.group("cg/pod/app", "memory.stat", fmt.Sprintf("hierarchical_memory_limit %d\ntotal_inactive_file %d", whole, 100*mib))
		}
		return tr
	}
	limit := func(n int64) string {
		if n == 0 {
			return "max"
		}
		return strconv.FormatInt(n, 10)
	}
	tr.write("proc/self/cgroup", "0::/pod/app\n")
	tr.write("proc/self/mountinfo", mount("/", "/cg", "cgroup2", ""))
	tr.group("cg", "cgroup.procs", "1")
	tr.parentV2("cg/pod", limit(parent), "max", 1900*mib, 200*mib, "low 0\nhigh 0\nmax 21\noom 2\noom_kill 0")
	tr.parentV2("cg/pod/app", limit(own), "max", 300*mib, 100*mib, "")
	tr.group("cg/pod/app", "memory.events", "low 0\nhigh 0\nmax 1\noom 0\noom_kill 0", "memory.peak", "1", "memory.swap.current", "0")
	return tr
}

// TestNestedLimits: whichever limit is the strictest, a parent that has one shows what counts against it, of the group's
// siblings too, while the group's figures remain its own.
func TestNestedLimits(t *testing.T) {
	for _, version := range []int{1, 2} {
		for _, c := range []struct {
			name              string
			own, parent, want int64
		}{
			{"the group's is stricter", gib, 2 * gib, gib},
			{"the parent's is stricter", 2 * gib, gib, gib},
			{"the parent alone has one", 0, 2 * gib, 2 * gib},
			{"the group alone has one", gib, 0, gib},
			{"none", 0, 0, 0},
		} {
			t.Run(fmt.Sprintf("v%d %s", version, c.name), func(t *testing.T) {
				tr := nested(t, version, c.own, c.parent)
				s := tr.sampler(Options{})
				got := read(s, 0).Cgroup
				wantMax := bytesOf(c.want)
				if c.want == 0 {
					wantMax = Int{}
				}
				check(t, "strictest", got.MaxBytes, wantMax)
				check(t, "current", got.CurrentBytes, bytesOf(300*mib))
				check(t, "working set", got.WorkingSetBytes, bytesOf(200*mib))
				check(t, "events", got.MaxEvents, bytesOf(1))
				want := Parents{}
				if c.parent != 0 {
					want[0] = Parent{Path: "/pod", MaxBytes: bytesOf(c.parent), CurrentBytes: bytesOf(1900 * mib),
						InactiveFileBytes: bytesOf(200 * mib), WorkingSetBytes: bytesOf(1700 * mib), MaxEvents: bytesOf(21)}
					if version == 2 {
						want[0].HighEvents, want[0].OOMEvents = bytesOf(0), bytesOf(2)
					}
				}
				check(t, "parents", got.Parents, want)
				if text := tr.problemsText(s.Problems()); text != "" {
					t.Errorf("problems: %s", text)
				}
			})
		}
	}
}

// TestParentsLimitComesAndGoes while the sampler keeps its files open.
func TestParentsLimitComesAndGoes(t *testing.T) {
	tr := nested(t, 2, gib, 0)
	s := tr.sampler(Options{})
	check(t, "parents", read(s, 0).Cgroup.Parents, Parents{})
	tr.group("cg/pod", "memory.high", strconv.Itoa(512*mib))
	cgroup := read(s, time.Second).Cgroup
	check(t, "high", cgroup.HighBytes, bytesOf(512*mib))
	check(t, "parent's high", cgroup.Parents[0].HighBytes, bytesOf(512*mib))
	check(t, "parent's max", cgroup.Parents[0].MaxBytes, Int{})
	check(t, "parent's use", cgroup.Parents[0].WorkingSetBytes, bytesOf(1700*mib))
	tr.group("cg/pod", "memory.current", strconv.Itoa(1000*mib), "memory.events.local", "high 5\nmax 0\noom 0")
	parent := read(s, 2*time.Second).Cgroup.Parents[0]
	check(t, "parent's use", parent.WorkingSetBytes, bytesOf(800*mib))
	check(t, "parent's events", parent.HighEvents, bytesOf(5))
	tr.group("cg/pod", "memory.high", "max")
	check(t, "parents", read(s, 3*time.Second).Cgroup.Parents, Parents{})
}

// TestBrokenParent: what cannot be read of a parent is absent, and the rest remains.
func TestBrokenParent(t *testing.T) {
	for name, c := range map[string]struct {
		version int
		file    string
		content string
		want    func(*Parent)
		problem string
	}{
		"v2 before Linux 5.2": {2, "memory.events.local", "-", func(p *Parent) {
			p.HighEvents, p.MaxEvents, p.OOMEvents = Int{}, Int{}, Int{}
		}, ""},
		"v2 no use":      {2, "memory.current", "-", func(p *Parent) { p.CurrentBytes, p.WorkingSetBytes = Int{}, Int{} }, "no such file"},
		"v2 no stat":     {2, "memory.stat", "x", func(p *Parent) { p.InactiveFileBytes, p.WorkingSetBytes = Int{}, Int{} }, "inactive_file: line is missing"},
		"v1 no use":      {1, "memory.usage_in_bytes", "x", func(p *Parent) { p.CurrentBytes, p.WorkingSetBytes = Int{}, Int{} }, "not a whole number"},
		"v1 no stat":     {1, "memory.stat", "-", func(p *Parent) { p.InactiveFileBytes, p.WorkingSetBytes = Int{}, Int{} }, "no such file"},
		"v1 no failures": {1, "memory.failcnt", "-", func(p *Parent) { p.MaxEvents = Int{} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tr := nested(t, c.version, gib, 2*gib)
			want := read(tr.sampler(Options{}), 0).Cgroup.Parents[0]
			c.want(&want)
			if c.content == "-" {
				tr.remove("cg/pod/" + c.file)
			} else {
				tr.write("cg/pod/"+c.file, c.content)
			}
			s := tr.sampler(Options{})
			check(t, "parent", read(s, 0).Cgroup.Parents[0], want)
			text := tr.problemsText(s.Problems())
			if (c.problem == "") != (text == "") || !strings.Contains(text, c.problem) {
				t.Errorf("problems %q; want %q", text, c.problem)
			}
		})
	}
}

// TestFullestParents: of more parents with limits than a sample holds the fullest are told of, in their order.
func TestFullestParents(t *testing.T) {
	for name, c := range map[string]struct {
		percent []int // of each parent's limit that is used, the nearest first
		want    string
	}{
		"all":              {[]int{10, 20, 30, 40}, "10 20 30 40"},
		"the nearest":      {[]int{90, 80, 70, 60, 50, 40}, "90 80 70 60"},
		"the farthest":     {[]int{10, 20, 30, 40, 50, 60}, "30 40 50 60"},
		"from among":       {[]int{50, 10, 60, 20, 95, 40}, "50 60 95 40"},
		"equals stay":      {[]int{50, 50, 50, 50, 50}, "50 50 50 50"},
		"emptiest is last": {[]int{50, 60, 70, 10, 90}, "50 60 70 90"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t)
			group := ""
			for i := len(c.percent) - 1; i >= 0; i-- {
				group += "/" + strconv.Itoa(c.percent[i])
				tr.parentV2("cg"+group, "100", "max", int64(c.percent[i]), 0, "high 0\nmax 0\noom 0")
			}
			tr.parentV2("cg"+group+"/own", "max", "max", 1, 0, "")
			tr.write("proc/self/cgroup", "0::"+group+"/own\n")
			tr.write("proc/self/mountinfo", mount("/", "/cg", "cgroup2", ""))
			cgroup := read(tr.sampler(Options{}), 0).Cgroup
			var got []string
			for _, p := range cgroup.Parents.List() {
				got = append(got, filepath.Base(p.Path))
				if p.WorkingSetBytes.String() != filepath.Base(p.Path) {
					t.Errorf("%s uses %v", p.Path, p.WorkingSetBytes)
				}
			}
			check(t, "parents", strings.Join(got, " "), c.want)
		})
	}
	low := Parent{MaxBytes: bytesOf(0), HighBytes: bytesOf(10), CurrentBytes: bytesOf(5)}
	check(t, "fullness at a limit of 0, without a working set", low.fullness(), 5)
}

// TestPathsOfParents goes through the ways in which a group's path and its directory can relate.
func TestPathsOfParents(t *testing.T) {
	for name, c := range map[string]struct {
		groups, mounts, limited, own string
		want                         string
	}{
		"the host's":           {"0::/a/b/c\n", mount("/", "/cg", "cgroup2", ""), "cg/a", "cg/a/b/c", "/a"},
		"top of a namespace":   {"0::/init\n", mount("/", "/cg", "cgroup2", ""), "cg", "cg/init", "/"},
		"a container's mount":  {"0::/docker/abc/x\n", mount("/docker/abc", "/cg", "cgroup2", ""), "cg", "cg/x", "/docker/abc"},
		"beside a namespace":   {"0::/../pod/x\n", mount("/../pod", "/cg", "cgroup2", ""), "cg", "cg/x", "/../pod"},
		"memory not delegated": {"0::/a/b/c/d\n", mount("/", "/cg", "cgroup2", ""), "cg/a", "cg/a/b", "/a"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t)
			tr.write("proc/self/cgroup", c.groups)
			tr.write("proc/self/mountinfo", c.mounts)
			tr.write("cg/a/b/c/d/cgroup.procs", "1\n")
			tr.parentV2(c.own, "max", "max", 1, 0, "")
			tr.parentV2(c.limited, "77", "max", 50, 0, "high 0\nmax 0\noom 0")
			parents := read(tr.sampler(Options{}), 0).Cgroup.Parents
			if len(parents.List()) != 1 || parents[0].Path != c.want || parents[0].WorkingSetBytes != bytesOf(50) {
				t.Errorf("got %+v, want %s", parents, c.want)
			}
		})
	}
}

// TestLimitFromOutside: cgroup v1 tells of a limit beyond a container's mount, but not of the use there. The topmost
// group that can be seen, with all groups below it, comes nearest to that.
func TestLimitFromOutside(t *testing.T) {
	const outside = 1500 * mib
	container := func(own, top, ownWhole, topWhole int64) Cgroup {
		tr := newTree(t)
		tr.write("proc/self/cgroup", "5:memory:/docker/abc/app\n")
		tr.write("proc/self/mountinfo", mount("/docker/abc", "/cg", "cgroup", ",memory"))
		tr.parentV1("cg", top, 1000*mib, 0, 3)
		tr.parentV1("cg/app", own, 300*mib, 0, 1)
		tr.group("cg", "memory.stat", fmt.Sprintf("hierarchical_memory_limit %d\ntotal_inactive_file 0", topWhole))
		tr.group("cg/app", "memory.stat", fmt.Sprintf("hierarchical_memory_limit %d\ntotal_inactive_file 0", ownWhole))
		return read(tr.sampler(Options{}), 0).Cgroup
	}
	top := Parent{Path: "/docker/abc", MaxBytes: bytesOf(outside), CurrentBytes: bytesOf(1000 * mib),
		InactiveFileBytes: bytesOf(0), WorkingSetBytes: bytesOf(1000 * mib), MaxEvents: bytesOf(3)}
	const none = 1 << 62
	for name, c := range map[string]struct {
		got  Cgroup
		max  int64
		want Parents
	}{
		"alone":                    {container(0, 0, outside, outside), outside, Parents{top}},
		"stricter than the others": {container(2*gib, 3*gib, outside, outside), outside, Parents{top}},
		"less strict":              {container(gib, 0, gib, outside), gib, Parents{}},
		// The limit of the group was raised between the readings of two files.
		"no longer so": {container(2*gib, 0, gib, none), gib, Parents{}},
	} {
		check(t, name+": strictest", c.got.MaxBytes, bytesOf(c.max))
		check(t, name+": parents", c.got.Parents, c.want)
	}
}

// TestParentsJSON: as a list, without what is not there, and left out when it is empty.
func TestParentsJSON(t *testing.T) {
	cgroup := Cgroup{Parents: Parents{{Path: "/pod", MaxBytes: bytesOf(7)}, {Path: "/", HighBytes: bytesOf(9), CurrentBytes: bytesOf(0)}}}
	text, err := json.Marshal(cgroup)
	const want = `{"parents":[{"path":"/pod","max_bytes":7},{"path":"/","high_bytes":9,"current_bytes":0}]}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v\nwant %s", text, err, want)
	}
	back := Cgroup{Parents: Parents{{}, {}, {Path: "left over", MaxBytes: bytesOf(1)}}}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	check(t, "read back", back, cgroup)
	if text, err := json.Marshal(Cgroup{}); err != nil || string(text) != "{}" {
		t.Errorf("empty: %s, %v", text, err)
	}
}
