package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memwarden/memwarden/server/internal/config"
)

// built is where the tests build programs.
var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "memwarden-cmd-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(built)
		os.Exit(code)
	}))
}

// program builds this command and the launcher's probe, once each.
func program(t *testing.T) (memwarden, probe string) {
	t.Helper()
	if err := buildPrograms(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(built, "memwarden"+exe()), filepath.Join(built, "probe"+exe())
}

func exe() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

var buildPrograms = sync.OnceValue(func() error {
	for name, source := range map[string]string{"memwarden": ".", "probe": "../../internal/launch/testdata/probe"} {
		cmd := exec.Command("go", "build", "-ldflags", "-X main.version=v9.8.7", "-o", filepath.Join(built, name+exe()), source)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
	}
	return nil
})

// call is a world in which a command is executed, and what came of it.
type call struct {
	world
	out, errs bytes.Buffer
	stopped   bool // notify's stop was called
}

func newCall(t *testing.T, args ...string) *call {
	t.Helper()
	c := &call{}
	c.world = world{
		args: args, stdin: strings.NewReader(""), stdout: &c.out, stderr: &c.errs,
		notify: func(...os.Signal) (<-chan os.Signal, func()) { return nil, func() { c.stopped = true } },
		now:    time.Now, cpus: 8, maxProcs: 8, dir: t.TempDir(),
	}
	return c
}

// want executes the command and checks its exit code, and texts of its output and its errors.
func (c *call) want(t *testing.T, code int, out, errs string) {
	t.Helper()
	if got := execute(c.world); got != code || !strings.Contains(c.out.String(), out) || !strings.Contains(c.errs.String(), errs) ||
		out == "" && c.out.Len() > 0 || errs == "" && c.errs.Len() > 0 {
		t.Errorf("%q: code %d, want %d\noutput:\n%swant %s\nerrors:\n%swant %s", c.args, got, code, &c.out, out, &c.errs, errs)
	}
}

func TestUsage(t *testing.T) {
	newCall(t).want(t, 2, "", "memwarden: no command was named\nmemwarden: see memwarden --help\n")
	newCall(t, "bogus").want(t, 2, "", `unknown command "bogus"`)
	newCall(t, "config", "--bogus").want(t, 2, "", "unknown flag: --bogus\nmemwarden: see memwarden config --help")
	newCall(t, "config", "extra").want(t, 2, "", "extra")
	newCall(t, "config", "--admin-token", "x").want(t, 2, "", "unknown flag: --admin-token") // secrets have none
	newCall(t, "run").want(t, 2, "", "no program was named")
	newCall(t, "run", "--", "").want(t, 2, "", "no program was named")
	newCall(t, "--help").want(t, 0, "Available Commands:", "")
	help := newCall(t, "run", "--help")
	help.want(t, 0, "--limit-ratio ratio", "")
	for line := range strings.Lines(help.out.String()) {
		if len(line) > 101 {
			t.Errorf("a long line of help: %q", line)
		}
	}
}

func TestConfig(t *testing.T) {
	c := newCall(t, "config", "--addr", ":1", "--gc-tuner", "--reads-need-token=no")
	c.environ = []string{"MEMWARDEN_ADMIN_TOKEN=hunter2-hunter2-hunter2", "MEMWARDEN_DATADIR=x"}
	writeFile(t, filepath.Join(c.dir, ".env"), "MEMWARDEN_DATABASE_URL='postgres://u:hunter2@h/d'\nMEMWARDEN_RATE_LIMIT=7\n")
	c.want(t, 0, "# Database\n", "")
	for _, want := range []string{
		"MEMWARDEN_ADDR :1 flag", "MEMWARDEN_ADMIN_TOKEN ******** environment", "MEMWARDEN_DATABASE_URL ******** " + filepath.Join(c.dir, ".env"),
		"MEMWARDEN_RATE_LIMIT 7 " + filepath.Join(c.dir, ".env"), "MEMWARDEN_REDIS_URL (not set) default", "MEMWARDEN_GC_TUNER true flag",
		"MEMWARDEN_READS_NEED_TOKEN no flag", "warning: MEMWARDEN_DATADIR is not a setting: did you mean MEMWARDEN_DATA_DIR?",
	} {
		if !strings.Contains(strings.Join(strings.Fields(c.out.String()), " "), want) {
			t.Errorf("no %q in\n%s", want, &c.out)
		}
	}
	if strings.Contains(c.out.String(), "hunter2") {
		t.Error("a secret is shown")
	}
}

func TestConfigJSON(t *testing.T) {
	c := newCall(t, "config", "--json", "--addr=nowhere", "--rate-burst=0")
	c.environ = []string{"MEMWARDEN_ADMIN_TOKEN=hunter2-hunter2-hunter2", "MEMWARDEN_DATADIR=x"}
	c.want(t, 2, "{", "")
	var got configDocument
	if err := json.Unmarshal(c.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Mistakes) != 2 || len(got.Warnings) != 1 || len(got.Settings) != len(config.Settings()) || strings.Contains(c.out.String(), "hunter2") {
		t.Error(c.out.String())
	}
	if want := (configSetting{"MEMWARDEN_ADMIN_TOKEN", "Security", "********", "environment", true}); !slices.Contains(got.Settings, want) {
		t.Errorf("%+v is not among %+v", want, got.Settings)
	}
}

func TestConfigListsEveryMistake(t *testing.T) {
	c := newCall(t, "config", "--addr=nowhere", "--rate-burst=0", "--env-file", filepath.Join(t.TempDir(), "missing"))
	c.want(t, 2, "# Server", "memwarden: environment file: ")
	for _, want := range []string{`memwarden: MEMWARDEN_ADDR (flag): "nowhere"`, `memwarden: MEMWARDEN_RATE_BURST (flag): "0"`} {
		if !strings.Contains(c.errs.String(), want) {
			t.Errorf("no %q in\n%s", want, &c.errs)
		}
	}
	for _, args := range [][]string{{"migrate", "--pressure-high=2"}, {"run", "--pressure-high=2", "--", "x"}} {
		newCall(t, args...).want(t, 2, "", `MEMWARDEN_PRESSURE_HIGH (flag): "2": want 0.05 to 1`)
	}
}

func TestEnvFileFlag(t *testing.T) {
	file := filepath.Join(t.TempDir(), "other.env")
	writeFile(t, file, "MEMWARDEN_ADDR=:7\n")
	newCall(t, "config", "--env-file", file).want(t, 0, ":7", "")
	c := newCall(t, "config", "--env-file=")
	writeFile(t, filepath.Join(c.dir, ".env"), "broken")
	c.want(t, 0, "127.0.0.1:8080", "")
}

func TestRun(t *testing.T) {
	_, probe := program(t)
	c := newCall(t, "run", "--env-file=", "--memory-limit", "1000MiB", "--", probe, "settings", "MEMWARDEN_MEMORY_LIMIT", "--not-a-flag")
	c.root = t.TempDir() // nothing there: no container
	c.want(t, 0, "943718400 100 ", `"msg":"memory settings of the program"`)
	if !strings.Contains(c.out.String(), "MEMWARDEN_MEMORY_LIMIT=1000MiB\n") || strings.Count(c.errs.String(), "\n") != 1 || !c.stopped {
		t.Errorf("%s%s%v", &c.out, &c.errs, c.stopped)
	}
	newCall(t, "run", probe, "exit", "7").want(t, 7, "", "the program exited with code 7")
	newCall(t, "run", "no-such-program").want(t, 127, "", "memwarden: exec: \"no-such-program\"")
	newCall(t, "run", t.TempDir()).want(t, 126, "", "memwarden: ")
	if runtime.GOOS != "windows" {
		script := filepath.Join(t.TempDir(), "script")
		writeFile(t, script, "#!/no/such/interpreter\n")
		if err := os.Chmod(script, 0o700); err != nil {
			t.Fatal(err)
		}
		newCall(t, "run", script).want(t, 127, "", "memwarden: fork/exec")
		newCall(t, "run", "--log-format=text", "sh", "-c", "cat; kill -TERM $$").want(t, 143, "", "level=WARN msg=\"the program was killed by signal 15 (terminated)\"")
	}
}

func TestRunWarnsOfUnknownNames(t *testing.T) {
	_, probe := program(t)
	c := newCall(t, "run", "--", probe, "exit", "0")
	c.environ = []string{"MEMWARDEN_LIMIT_RATE=0.5"}
	c.want(t, 0, "", "memwarden: warning: MEMWARDEN_LIMIT_RATE is not a setting: did you mean MEMWARDEN_LIMIT_RATIO? (environment)")
}

func TestDryRun(t *testing.T) {
	_, probe := program(t)
	c := newCall(t, "run", "--dry-run", "--limit-ratio=0.5", "--memory-limit=1000MiB", "--", probe, "exit", "1")
	c.root, c.environ = t.TempDir(), []string{"MEMWARDEN_GOMEMLIMIT_DERIVED=0"}
	writeFile(t, filepath.Join(c.dir, ".env"), "SECRET=hunter2\nGOGC=50\n")
	c.want(t, 0, "GOMEMLIMIT=524288000\n", "")
	for _, want := range []string{"# " + probe + ", built with go1.", "# GOMEMLIMIT: limit 500.0 MiB: 50 % of the configured 1000.0 MiB\n", "# GOGC: left alone: it is set (",
		"\nMEMWARDEN_LIMIT_RATIO=0.5\n", "\nSECRET=********\n", "\nGOGC=50\n", "\nMEMWARDEN_GOMEMLIMIT_DERIVED=1\n"} {
		if !strings.Contains(c.out.String(), want) {
			t.Errorf("no %q in\n%s", want, &c.out)
		}
	}
	if _, err := config.ParseEnvFile("output", &c.out); err != nil {
		t.Errorf("not an environment file: %v", err)
	}
	c = newCall(t, "run", "--dry-run", probe)
	c.root, c.environ = t.TempDir(), []string{"MEMWARDEN_GOMEMLIMIT_DERIVED=1", "GOMEMLIMIT=7"}
	c.want(t, 0, "# GOMEMLIMIT is taken away\n", "")
}

func TestDoctor(t *testing.T) {
	c := newCall(t, "doctor", "--data-dir", t.TempDir())
	c.want(t, 0, "platform", "")
	c = newCall(t, "doctor", "--json", "--data-dir", t.TempDir())
	c.want(t, 0, `"findings": [`, "")
	if !json.Valid(c.out.Bytes()) {
		t.Error(c.out.String())
	}
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "")
	newCall(t, "doctor", "--data-dir", filepath.Join(file, "below")).want(t, 1, "broken", "")
	newCall(t, "doctor", "--addr=nowhere").want(t, 2, "nowhere", "")
}

func TestVersion(t *testing.T) {
	newCall(t, "version").want(t, 0, "memwarden ", "")
	c := newCall(t, "version", "--json")
	c.want(t, 0, runtime.GOOS+"/"+runtime.GOARCH, "")
	var got versionDocument
	if err := json.Unmarshal(c.out.Bytes(), &got); err != nil || got.GoVersion != runtime.Version() || got.Version == "" {
		t.Errorf("%+v, %v", got, err)
	}
	info := &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}}
	info.Main.Version = "v1.2.3"
	if v := describe("", info); v.Version != "v1.2.3" || v.Revision != "abc-dirty" {
		t.Errorf("%+v", v)
	}
	if v := describe("v2.0.0", nil); v.Version != "v2.0.0" || v.Revision != "" {
		t.Errorf("%+v", v)
	}
	if v := describe("", nil); v.Version != "(devel)" {
		t.Errorf("%+v", v)
	}
}

func TestMigrate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	newCall(t, "migrate", "--status", "--data-dir", dir).want(t, 0, "to be applied", "")
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("asking for the status made something: %v", err)
	}
	newCall(t, "migrate", "--data-dir", dir, "--log-level=error").want(t, 0, "applied now: 00001_", "")
	again := newCall(t, "migrate", "--data-dir", dir, "--json", "--log-level=error")
	again.want(t, 0, `"migrations": [`, "")
	if strings.Contains(again.out.String(), `"applied": false`) || !json.Valid(again.out.Bytes()) {
		t.Error(again.out.String())
	}
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "")
	newCall(t, "migrate", "--data-dir", file, "--log-level=error").want(t, 1, "", "memwarden: store: migrate: ")
}

func TestMigrateIsInterrupted(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGTERM
	w := world{notify: func(...os.Signal) (<-chan os.Signal, func()) { return signals, func() {} }}
	ctx, stop := w.interruptible(t.Context())
	defer stop()
	<-ctx.Done()
}

// brokenPipe is an output that nobody reads.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestOutputThatFails(t *testing.T) {
	_, probe := program(t)
	for _, args := range [][]string{
		{"config"}, {"config", "--json"}, {"doctor"}, {"doctor", "--json"}, {"version"}, {"version", "--json"},
		{"run", "--dry-run", probe}, {"migrate", "--status"}, {"migrate", "--status", "--json"},
	} {
		c := newCall(t, append(args, "--data-dir="+t.TempDir())...)
		if args[0] == "run" || args[0] == "version" {
			c = newCall(t, args...)
		}
		c.stdout = brokenPipe{}
		c.want(t, 1, "", io.ErrClosedPipe.Error())
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
