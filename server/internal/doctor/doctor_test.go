package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/memwarden/memwarden/server/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// good is a machine with cgroup v2 on which everything works; a test changes what it is about. An empty text removes a
// file.
var good = map[string]string{
	"proc/self/cgroup":                           "0::/app\n",
	"proc/self/mountinfo":                        "30 20 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
	"proc/self/smaps_rollup":                     "00400000-7ffd ---p 00000000 00:00 0 [rollup]\nRss: 2048 kB\nPss: 1024 kB\nAnonymous: 512 kB\nSwap: 0 kB\n",
	"proc/self/limits":                           "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            65536                65536                files     \n",
	"proc/self/status":                           "Name:\tx\nCapEff:\t0000000000000000\nSeccomp:\t0\n",
	"proc/meminfo":                               "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n",
	"proc/pressure/memory":                       "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
	"proc/sys/vm/overcommit_memory":              "0\n",
	"proc/sys/kernel/yama/ptrace_scope":          "0\n",
	"sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
	"sys/fs/cgroup/app/cgroup.events":            "populated 1\n",
	"sys/fs/cgroup/app/memory.current":           "1000\n",
	"sys/fs/cgroup/app/memory.max":               "536870912\n",
	"sys/fs/cgroup/app/memory.high":              "483183820\n",
	"sys/fs/cgroup/app/memory.stat":              "inactive_file 0\n",
	"sys/fs/cgroup/app/memory.events":            "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n",
	"sys/fs/cgroup/app/memory.oom.group":         "0\n",
	"sys/fs/cgroup/app/memory.swap.max":          "0\n",
	"sys/fs/cgroup/app/memory.pressure":          "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
	"sys/fs/cgroup/app/cpu.max":                  "200000 100000\n",
	"sys/fs/cgroup/cgroup.controllers":           "cpu memory\n",
}

func machine(t *testing.T, changes map[string]string) string {
	t.Helper()
	root := t.TempDir()
	files := maps.Clone(good)
	maps.Copy(files, changes)
	for name, text := range files {
		if text == "" {
			continue
		}
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func options(t *testing.T, changes map[string]string) Options {
	t.Helper()
	c, _, err := config.Load(config.Sources{Dir: t.TempDir(), Environ: []string{"MEMWARDEN_DATA_DIR=" + t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	return Options{Root: machine(t, changes), Config: c,
		Program: Program{OS: "linux", Arch: "amd64", GoVersion: "go1.27.0", CPUs: 8, MaxProcs: 2, GoroutineLeaks: true}}
}

func TestAGoodMachine(t *testing.T) {
	o := options(t, nil)
	findings := Examine(o, now)
	for _, f := range findings {
		if f.Status != OK && f.Name != "data-directory" { // as much is free as is free
			t.Errorf("%+v", f)
		}
		if f.Name == "" || !strings.HasSuffix(f.Summary, ".") || f.Status == OK && f.Advice != "" {
			t.Errorf("%+v", f)
		}
	}
	if len(findings) != 20 {
		t.Errorf("%d findings", len(findings))
	}
	o.Program.OS = "plan9"
	if there := Examine(o, now); len(there) != 8 || there[1].Status != Info || !strings.Contains(there[1].Summary, "Linux") {
		t.Errorf("elsewhere: %+v", there)
	}
}

const app = "sys/fs/cgroup/app/"

// Each case changes one thing, and expects something of one finding; of any status where none is named.
func TestFindings(t *testing.T) {
	v1 := map[string]string{
		"proc/self/cgroup": "4:memory:/app\n3:cpu:/app\n", "proc/self/mountinfo": "30 20 0:25 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
		"sys/fs/cgroup/memory/app/memory.limit_in_bytes": "536870912\n", "sys/fs/cgroup/memory/app/memory.usage_in_bytes": "1000\n",
		"sys/fs/cgroup/memory/app/memory.stat": "total_inactive_file 0\n",
	}
	cases := []struct {
		name    string
		changes map[string]string
		options func(*Options)
		finding string
		status  Status
		want    string
	}{
		{"older toolchain", nil, func(o *Options) { o.Program.GoroutineLeaks = false }, "goroutine-leaks", Info, "no goroutineleak profile"},
		{"mistakes", nil, func(o *Options) { o.Mistake = errors.Join(errors.New("one"), errors.New("two")) }, "configuration", Broken, "one; two."},
		{"warnings", nil, func(o *Options) { o.Warnings = []string{"MEMWARDEN_X is not a setting"} }, "configuration", Warn, "MEMWARDEN_X is not a setting."},

		{"no cgroup", map[string]string{"proc/self/cgroup": ""}, nil, "cgroup", Info, "in no memory control group"},
		{"v1", v1, nil, "cgroup", OK, "cgroup v1"},
		{"unreachable group", map[string]string{"proc/self/mountinfo": "x\n"}, nil, "cgroup", Warn, "no visible mount"},
		{"no limit", map[string]string{app + "memory.max": "max\n"}, nil, "container-limit", Warn, "no memory limit"},
		{"no limit but told", map[string]string{app + "memory.max": "max\n"}, func(o *Options) { o.Config.Warden.Limit.MemoryBytes = 1 << 30 }, "container-limit", OK, "says 1.0 GiB"},
		{"limit above the machine", map[string]string{app + "memory.max": "53687091200\n"}, nil, "container-limit", Warn, "has only 16.0 GiB"},
		{"limit unreadable", map[string]string{app + "memory.max": "lots\n"}, nil, "cgroup", Warn, "memory.max cannot be made sense of"},
		{"no high", map[string]string{app + "memory.high": "max\n"}, nil, "memory-high", Info, "not set"},
		{"v1 has no high", v1, nil, "memory-high", Info, "Only cgroup v2"},
		{"killed as a group", map[string]string{app + "memory.oom.group": "1\n"}, nil, "oom-group", Info, "every process"},
		{"group unknown", map[string]string{app + "memory.oom.group": ""}, nil, "oom-group", Info, "not to be read"},
		{"v1 kills one", v1, nil, "oom-group", OK, "one process"},
		{"PSI of the machine", map[string]string{app + "memory.pressure": ""}, nil, "psi", Info, "of the machine"},
		{"no PSI", map[string]string{app + "memory.pressure": "", "proc/pressure/memory": ""}, nil, "psi", Info, "does not tell"},
		{"no smaps", map[string]string{"proc/self/smaps_rollup": ""}, nil, "smaps", Info, "cannot be read"},
		{"swap forbidden", map[string]string{"proc/meminfo": "MemTotal: 16777216 kB\nSwapTotal: 1048576 kB\n"}, nil, "swap", OK, "may not use it"},
		{"swap", map[string]string{"proc/meminfo": "MemTotal: 16777216 kB\nSwapTotal: 1048576 kB\n", app + "memory.swap.max": "max\n"}, nil, "swap", Info, "1.0 GiB of swap"},
		{"strict overcommit", map[string]string{"proc/sys/vm/overcommit_memory": "2\n"}, nil, "overcommit", Warn, "may fail"},
		{"overcommit unknown", map[string]string{"proc/sys/vm/overcommit_memory": ""}, nil, "overcommit", Info, "no such file"},
		{"ptrace of children", map[string]string{"proc/sys/kernel/yama/ptrace_scope": "1\n"}, nil, "ptrace", Info, "own children"},
		{"ptrace of the privileged", map[string]string{"proc/sys/kernel/yama/ptrace_scope": "2\n"}, nil, "ptrace", Info, "asks for CAP_SYS_PTRACE"},
		{"privileged", map[string]string{"proc/sys/kernel/yama/ptrace_scope": "2\n", "proc/self/status": "CapEff:\t0000000000080000\nSeccomp:\t0\n"}, nil, "ptrace", OK, "(CAP_SYS_PTRACE)"},
		{"ptrace of nobody", map[string]string{"proc/sys/kernel/yama/ptrace_scope": "3\n", "proc/self/status": "CapEff:\tffffffffffffffff\n"}, nil, "ptrace", Warn, "No process"},
		{"no yama, but seccomp", map[string]string{"proc/sys/kernel/yama/ptrace_scope": "", "proc/self/status": "CapEff:\t0000000000000000\nSeccomp:\t2\n"}, nil, "ptrace", OK, "seccomp filter"},
		{"ptrace unknown", map[string]string{"proc/self/status": ""}, nil, "ptrace", Info, "cannot be told"},
		{"few descriptors", map[string]string{"proc/self/limits": strings.ReplaceAll(good["proc/self/limits"], "65536", "1024 ")}, nil, "file-descriptors", Warn, "1024 files"},
		{"descriptors unknown", map[string]string{"proc/self/limits": ""}, nil, "file-descriptors", Info, "cannot be read"},
		{"huge pages", map[string]string{"sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n"}, nil, "huge-pages", Info, "unasked"},
		{"huge pages unknown", map[string]string{"sys/kernel/mm/transparent_hugepage/enabled": ""}, nil, "huge-pages", Info, "cannot be read"},
		{"too many procs", nil, func(o *Options) { o.Program.MaxProcs = 8 }, "cpu-quota", Warn, "GOMAXPROCS is 8"},
		{"no quota", map[string]string{app + "cpu.max": "max 100000\n"}, nil, "cpu-quota", OK, "no CPU quota"},
		{"small quota", map[string]string{app + "cpu.max": "10000 100000\n"}, nil, "cpu-quota", OK, "0.1 processors"},

		{"explicit limit", nil, func(o *Options) { o.Environ = []string{"GOMEMLIMIT=", "GOMEMLIMIT=1GiB"} }, "go-memory-limit", Info, "GOMEMLIMIT=1GiB is set (environment)"},
		{"limit in the file", nil, func(o *Options) {
			o.Config.EnvFile, o.Config.File = ".env", []config.Assignment{{Name: "GOMEMLIMIT", Value: "2GiB"}}
		}, "go-memory-limit", Info, "(.env)"},
		{"GOGC in the file", nil, func(o *Options) {
			o.Config.EnvFile, o.Config.File = ".env", []config.Assignment{{Name: "GOGC", Value: "70"}}
		}, "gogc", Info, "GOGC=70 is set (.env)"},
		{"derived limit", nil, func(o *Options) { o.Environ = []string{"GOMEMLIMIT=1", "MEMWARDEN_GOMEMLIMIT_DERIVED=1"} }, "go-memory-limit", OK, "derived by memwarden run"},
		{"nobody limits", nil, func(o *Options) { o.Config.Warden.Limit.Manage = false }, "go-memory-limit", Warn, "not derived"},
		{"GOGC", nil, func(o *Options) { o.Environ = []string{"GOGC=50"} }, "gogc", Info, "GOGC=50"},
		{"off with a limit", nil, func(o *Options) { o.Environ = []string{"GOGC=off"} }, "gogc", Info, "GOGC=off"},
		{"off without", map[string]string{app + "memory.max": "max\n"}, func(o *Options) { o.Environ = []string{"GOGC=off"} }, "gogc", Warn, "nothing is ever collected"},

		{"directory to be made", nil, func(o *Options) { o.Config.DataDir = filepath.Join(o.Config.DataDir, "a", "b") }, "data-directory", "", "can be made"},
		{"directory below a file", nil, func(o *Options) { o.Config.DataDir = filepath.Join(o.Root, "proc/meminfo/x") }, "data-directory", Broken, "Nothing can be written"},
		{"directory that is not used", nil, func(o *Options) {
			o.Config.DatabaseURL, o.Config.DataDir = "postgres://h/d", filepath.Join(o.Root, "proc/meminfo/x")
		}, "data-directory", OK, "is not used"},
		{"PostgreSQL", nil, func(o *Options) { o.Config.DatabaseURL = "postgres://u:hunter2@h/d" }, "database", OK, "at most 20 connections"},
		{"Redis", nil, func(o *Options) { o.Config.RedisURL = "redis://:hunter2@h" }, "redis", OK, "Redis is used"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, c.changes)
			if c.options != nil {
				c.options(&o)
			}
			for _, f := range Examine(o, now) {
				if strings.Contains(f.Summary+f.Advice, "hunter2") {
					t.Errorf("a secret is shown: %+v", f)
				}
				if f.Name != c.finding {
					continue
				}
				if c.status != "" && f.Status != c.status || !strings.Contains(f.Summary, c.want) {
					t.Errorf("got %+v\nwant %s: %s", f, c.status, c.want)
				}
				return
			}
			t.Errorf("no finding %s", c.finding)
		})
	}
}

func TestGroupThatCannotBeRead(t *testing.T) {
	o := options(t, map[string]string{"proc/self/cgroup": "", "proc/self/cgroup/is-a-directory": "x"})
	for _, f := range Examine(o, now) {
		if f.Name == "cgroup" && (f.Status != Warn || !strings.Contains(f.Summary, "cannot be read")) {
			t.Errorf("%+v", f)
		}
	}
}

// This machine, whatever it is: nothing fails, and nothing is left in the data directory.
func TestThisMachine(t *testing.T) {
	o := options(t, nil)
	o.Root, o.Program.OS = "", runtime.GOOS
	findings := Examine(o, now)
	if Worst(findings) == Broken {
		t.Errorf("%+v", findings)
	}
	if left, err := os.ReadDir(o.Config.DataDir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSpace(t *testing.T) {
	for free, want := range map[int64]Status{0: Broken, 100<<20 - 1: Broken, 100 << 20: Warn, 1<<30 - 1: Warn, 1 << 30: OK} {
		if got := judgeSpace(free); got != want {
			t.Errorf("%d bytes free: %s, want %s", free, got, want)
		}
	}
	if free, err := freeBytes(t.TempDir()); err != nil && !errors.Is(err, errors.ErrUnsupported) || err == nil && free <= 0 {
		t.Errorf("%d, %v", free, err)
	}
	if _, err := freeBytes(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("free space of nothing")
	}
}

func TestWorst(t *testing.T) {
	for _, c := range []struct {
		all  []Status
		want Status
	}{{nil, OK}, {[]Status{OK, Info, OK}, Info}, {[]Status{Warn, Info}, Warn}, {[]Status{OK, Broken, Warn}, Broken}} {
		var findings []Finding
		for _, s := range c.all {
			findings = append(findings, Finding{Status: s})
		}
		if got := Worst(findings); got != c.want {
			t.Errorf("%v: %s, want %s", c.all, got, c.want)
		}
	}
}

func TestText(t *testing.T) {
	findings := []Finding{
		{"short", OK, "All is well.", ""},
		{"long", Warn, strings.Repeat("wörds ", 30) + "end.", strings.Repeat("advice ", 20)},
		{"longer", Info, strings.Repeat("x", 100), ""},
		{"nothing", Broken, "", ""},
	}
	var out bytes.Buffer
	if err := WriteText(&out, findings); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > 80 && !strings.Contains(line, "xxx") {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("space at the end: %q", line)
		}
	}
	if lines[0] != "ok      short             All is well." || !strings.HasPrefix(lines[1], "warn    long              wörds") ||
		!strings.Contains(out.String(), "\n                          -> advice advice") || strings.Count(out.String(), "wörds") != 30 {
		t.Error(out.String())
	}
	out.Reset()
	if err := WriteText(&out, Examine(options(t, nil), now)); err != nil || out.Len() == 0 {
		t.Error(err)
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	if err := WriteJSON(&out, []Finding{{"a", OK, "b.", ""}, {"c", Warn, "d.", "e"}}); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Status   Status
		Findings []Finding
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Status != Warn || len(got.Findings) != 2 || strings.Contains(out.String(), `"advice": ""`) {
		t.Errorf("%s %v", &out, err)
	}
	if err := WriteText(failing{}, []Finding{{Name: "a"}}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
