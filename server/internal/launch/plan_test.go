package launch

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/server/internal/config"
)

// root builds a machine whose process is in a cgroup of version 2 with these files.
func root(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{
		"proc/self/cgroup":    "0::/app\n",
		"proc/self/mountinfo": "30 20 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
	}
	for name, text := range files {
		all["sys/fs/cgroup/app/"+name] = text
	}
	for name, text := range all {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const mib = 1 << 20

var limit100MiB = map[string]string{"memory.current": "1000\n", "memory.max": "104857600\n"}

func load(t *testing.T, environ []string, envFile string, flags map[string]string) config.Config {
	t.Helper()
	dir := t.TempDir()
	if envFile != "" {
		if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(envFile), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, _, err := config.Load(config.Sources{Environ: environ, Dir: dir, Flag: func(name string) (string, bool) {
		value, ok := flags[name]
		return value, ok
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func prepare(t *testing.T, o Options) Plan {
	t.Helper()
	if o.CPUs == 0 {
		o.CPUs = 8
	}
	if o.Command == nil {
		o.Command = []string{buildProbe(t, "")}
	}
	p, err := Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMemoryLimit(t *testing.T) {
	const mark = "MEMWARDEN_GOMEMLIMIT_DERIVED"
	cases := []struct {
		name    string
		files   map[string]string
		environ []string
		envFile string
		flags   map[string]string
		want    []string // entries of the program's environment that begin with GOMEMLIMIT or the mark
		reason  string
	}{
		{name: "derived", files: limit100MiB,
			want: []string{"GOMEMLIMIT=94371840", mark + "=1"}, reason: "limit 90.0 MiB: 90 % of the container's 100.0 MiB"},
		{name: "with a reserve", files: limit100MiB, environ: []string{"MEMWARDEN_OFF_HEAP_RESERVE=40MiB"},
			want: []string{"GOMEMLIMIT=56623104", mark + "=1"}, reason: "less a reserve of 40.0 MiB"},
		{name: "ratio by a flag", files: limit100MiB, flags: map[string]string{"MEMWARDEN_LIMIT_RATIO": "50%"},
			want: []string{"GOMEMLIMIT=52428800", mark + "=1"}, reason: "50 %"},
		{name: "explicit in the environment", files: limit100MiB, environ: []string{"GOMEMLIMIT=1GiB"}, envFile: "GOMEMLIMIT=2GiB",
			want: []string{"GOMEMLIMIT=1GiB"}, reason: "left alone: it is set (environment)"},
		{name: "switched off explicitly", files: limit100MiB, environ: []string{"GOMEMLIMIT=off"},
			want: []string{"GOMEMLIMIT=off"}, reason: "left alone: it is set (environment)"},
		{name: "explicit in the file", files: limit100MiB, environ: []string{"GOMEMLIMIT="}, envFile: "GOMEMLIMIT=2GiB",
			want: []string{"GOMEMLIMIT=2GiB"}, reason: ".env)"},
		{name: "derived by another launcher", files: limit100MiB, environ: []string{"GOMEMLIMIT=999", mark + "=1"},
			want: []string{"GOMEMLIMIT=94371840", mark + "=1"}, reason: "90 %"},
		{name: "derived by another launcher, and no container any more", environ: []string{"GOMEMLIMIT=999", mark + "=1"},
			want: nil, reason: "the container has no limit and none is configured"},
		{name: "a mark that nobody set", files: limit100MiB, environ: []string{"GOMEMLIMIT=1GiB", mark + "=0"},
			want: []string{"GOMEMLIMIT=1GiB"}, reason: "left alone"},
		{name: "not managed", files: limit100MiB, environ: []string{"MEMWARDEN_LIMIT_MANAGE=false"},
			want: nil, reason: "switched off"},
		{name: "unlimited", files: map[string]string{"memory.current": "1", "memory.max": "max"},
			want: nil, reason: "the container has no limit"},
		{name: "unlimited, but told", files: map[string]string{"memory.current": "1", "memory.max": "max"}, environ: []string{"MEMWARDEN_MEMORY_LIMIT=1000MiB"},
			want: []string{"GOMEMLIMIT=943718400", mark + "=1"}, reason: "configured"},
		{name: "too little", files: limit100MiB, environ: []string{"MEMWARDEN_OFF_HEAP_RESERVE=99MiB"},
			want: nil, reason: "refused"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := prepare(t, Options{Environ: c.environ, Config: load(t, c.environ, c.envFile, c.flags), Root: root(t, c.files)})
			var got []string
			for _, entry := range p.Env {
				if strings.HasPrefix(entry, "GOMEMLIMIT=") || strings.HasPrefix(entry, mark) {
					got = append(got, entry)
				}
			}
			slices.Sort(got)
			if d := p.Decisions[0]; d.Name != "GOMEMLIMIT" || !slices.Equal(got, c.want) || !strings.Contains(d.Reason, c.reason) {
				t.Errorf("got %q, %+v; want %q, %q", got, d, c.want, c.reason)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	environ := []string{"PATH=/bin", "A=environment", "A=twice", "EMPTY=", "MEMWARDEN_PRESSURE_HIGH=0.85", "=C:=C:\\dir", "broken", ""}
	file := "A=file\nB=file secret\nEMPTY=file\nGOGC=77\nMEMWARDEN_ADMIN_TOKEN=file-secret-file-secret\nMEMWARDEN_LOG_LEVEL=debug\n"
	c := load(t, environ, file, map[string]string{"MEMWARDEN_PRESSURE_HIGH": "0.75"})
	p := prepare(t, Options{Environ: environ, Config: c, Root: root(t, limit100MiB)})
	want := []string{"PATH=/bin", "A=environment", "EMPTY=file", "MEMWARDEN_PRESSURE_HIGH=0.75", "=C:=C:\\dir", "B=file secret", "GOGC=77",
		"MEMWARDEN_ADMIN_TOKEN=file-secret-file-secret", "MEMWARDEN_LOG_LEVEL=debug", "MEMWARDEN_GOMEMLIMIT_DERIVED=1", "GOMEMLIMIT=94371840"}
	if !slices.Equal(p.Env, want) {
		t.Errorf("got  %q\nwant %q", p.Env, want)
	}
	changes := []Change{
		{"EMPTY", "********", c.EnvFile, false}, {"MEMWARDEN_PRESSURE_HIGH", "0.75", "flag", false}, {"B", "********", c.EnvFile, false},
		{"GOGC", "77", c.EnvFile, false}, {"MEMWARDEN_ADMIN_TOKEN", "********", c.EnvFile, false}, {"MEMWARDEN_LOG_LEVEL", "debug", c.EnvFile, false},
		{"MEMWARDEN_GOMEMLIMIT_DERIVED", "1", "memwarden", false}, {"GOMEMLIMIT", "94371840", "memwarden", false},
	}
	if !slices.Equal(p.Changes, changes) {
		t.Errorf("changes: %+v", p.Changes)
	}
	if d := p.Decisions[1]; d.Value != "77" || d.Set || !strings.Contains(d.Reason, c.EnvFile) {
		t.Errorf("GOGC: %+v", d)
	}
}

func TestChangesTellWhatIsTakenAway(t *testing.T) {
	environ := []string{"GOMEMLIMIT=999", "MEMWARDEN_GOMEMLIMIT_DERIVED=1"}
	p := prepare(t, Options{Environ: environ, Config: load(t, environ, "", nil), Root: root(t, nil)})
	want := []Change{{Name: "GOMEMLIMIT", Source: "memwarden", Unset: true}, {Name: "MEMWARDEN_GOMEMLIMIT_DERIVED", Source: "memwarden", Unset: true}}
	if !slices.Equal(p.Changes, want) || len(p.Env) != 0 || p.Env == nil {
		t.Errorf("%+v, %#v", p.Changes, p.Env)
	}
}

func TestProcessors(t *testing.T) {
	older, newer := Program{GoVersion: "go1.24.1", Note: "old"}, Program{GoVersion: "go1.26.0", followsQuota: true}
	cases := []struct {
		program Program
		quota   memstat.Float
		cpus    int
		env     string
		want    string
		reason  string
	}{
		{older, memstat.Known(2.5), 8, "", "3", "the CPU quota of 2.5 rounded up"},
		{older, memstat.Known(4.0), 8, "", "4", "rounded up"},
		{older, memstat.Known(0.1), 8, "", "2", "at least 2"},
		{older, memstat.Known(0.1), 1, "", "", "allows for all 1"},
		{older, memstat.Known(7.5), 8, "", "", "allows for all 8"},
		{older, memstat.Known(1e300), 8, "", "", "allows for all 8"},
		{older, memstat.Float{}, 8, "", "", "no CPU quota"},
		{newer, memstat.Known(2.0), 8, "", "", "follows the CPU quota itself"},
		{Program{Note: "not Go"}, memstat.Known(2.0), 8, "", "", "not Go"},
		{older, memstat.Known(2.0), 8, "GOMAXPROCS=5", "5", "it is set (environment)"},
	}
	for _, c := range cases {
		d := decideProcs(newEnvironment([]string{c.env}), c.program, c.quota, c.cpus)
		if d.Value != c.want || d.Set != (c.want != "" && c.env == "") || !strings.Contains(d.Reason, c.reason) {
			t.Errorf("%+v: got %+v", c, d)
		}
	}
}

func TestWhoFollowsTheQuota(t *testing.T) {
	for _, c := range []struct {
		version, godebug string
		follows          bool
	}{
		{"go1.24.13", "", false}, {"go1.4", "", false}, {"go1.25", "", true}, {"go1.25rc1", "", true}, {"go1.26.8", "", true}, {"go1.24.1 X:nocoverageredesign", "", false},
		{"devel go1.27-abcdef Mon", "", true}, {"go1.26.8", "a=b,containermaxprocs=0", false}, {"go1.26.8", "containermaxprocs=1", true},
	} {
		if follows, note := followsQuota(c.version, c.godebug); follows != c.follows || note == "" {
			t.Errorf("%s %s: %v %s", c.version, c.godebug, follows, note)
		}
	}
}

// Real programs: one whose go.mod asks for the old behaviour does not look at the quota, so the launcher does.
func TestInspect(t *testing.T) {
	p, err := inspect(buildProbe(t, ""))
	if err != nil || !strings.HasPrefix(p.GoVersion, "go1.") || !p.followsQuota {
		t.Errorf("%+v, %v", p, err)
	}
	old := buildProbe(t, "module probe\n\ngo 1.24\n")
	plan := prepare(t, Options{Command: []string{old}, Root: root(t, map[string]string{"memory.max": "max", "cpu.max": "250000 100000\n"})})
	if plan.Program.followsQuota || plan.Decisions[2].Value != "3" || !slices.Contains(plan.Env, "GOMAXPROCS=3") {
		t.Errorf("a program for Go 1.24: %+v", plan)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if p, err := inspect(script); err != nil || p.GoVersion != "" || !strings.Contains(p.Note, "not built with Go") {
		t.Errorf("a script: %+v, %v", p, err)
	}
}

func TestWhatCannotBeStarted(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"no-such-program-anywhere": 127, plain + "-missing": 127, plain: 126, filepath.Dir(plain): 126} {
		_, err := Prepare(Options{Command: []string{name}})
		var start *StartError
		if !errors.As(err, &start) || start.Code != want || err.Error() == "" {
			t.Errorf("%s: %v, want code %d", name, err, want)
		}
	}
	if _, err := Prepare(Options{Command: []string{"no-such-program-anywhere"}}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("%v hides its reason", err)
	}
}

func TestProblemsAreTold(t *testing.T) {
	p := prepare(t, Options{Config: load(t, nil, "", nil), Root: root(t, map[string]string{"memory.current": "1", "memory.max": "lots\n", "memory.stat": "inactive_file 0\n"})})
	if len(p.Problems) != 1 || !strings.Contains(p.Problems[0], "memory.max") {
		t.Errorf("%q", p.Problems)
	}
	var out bytes.Buffer
	p.Log(slog.New(slog.NewJSONHandler(&out, nil)))
	if !strings.Contains(out.String(), "memory.max") {
		t.Error(out.String())
	}

	dir := root(t, nil)
	groups := filepath.Join(dir, "proc", "self", "cgroup")
	if err := errors.Join(os.Remove(groups), os.Mkdir(groups, 0o700)); err != nil {
		t.Fatal(err)
	}
	if p = prepare(t, Options{Config: load(t, nil, "", nil), Root: dir}); len(p.Problems) != 1 || !strings.Contains(p.Problems[0], groups) {
		t.Errorf("control groups that cannot be read: %q", p.Problems)
	}
	if p = prepare(t, Options{Config: load(t, nil, "", nil), Root: t.TempDir()}); len(p.Problems) != 0 {
		t.Errorf("a machine without control groups: %q", p.Problems)
	}
}

func TestLogIsOneLine(t *testing.T) {
	p := prepare(t, Options{Config: load(t, nil, "", nil), Root: root(t, limit100MiB)})
	var out bytes.Buffer
	p.Log(slog.New(slog.NewJSONHandler(&out, nil)))
	for _, want := range []string{`"msg":"memory settings of the program"`, `"gomemlimit":"94371840"`, `"gomemlimit_text":"90.0 MiB"`, `"gomemlimit_reason":"limit 90.0 MiB`, `"gogc_reason":`, `"gomaxprocs_reason":`, `"go_version":"go1.`} {
		if !strings.Contains(out.String(), want) || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
	p.Program = Program{Note: "not Go"}
	p.Log(slog.New(slog.NewTextHandler(&out, nil)))
	if !strings.Contains(out.String(), `note="not Go"`) {
		t.Error(out.String())
	}
}

func TestStartErrors(t *testing.T) {
	if e := startError(&fs.PathError{Op: "fork/exec", Path: "x", Err: fs.ErrNotExist}); e.Code != ExitNotFound {
		t.Errorf("%+v", e)
	}
	if e := startError(&fs.PathError{Op: "fork/exec", Path: "x", Err: fs.ErrPermission}); e.Code != ExitNotExecutable || !errors.Is(e, fs.ErrPermission) {
		t.Errorf("%+v", e)
	}
}
