//go:build unix

package start

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// TestStart has a file with every kind of quoting and line ends of Windows, named from another working directory.
func TestStart(t *testing.T) {
	t.Parallel()
	dir := root(t)
	addr := freeAddr(t)
	write(t, filepath.Join(dir, "elsewhere", "our settings.env"), strings.ReplaceAll("\ufeff# production\n\nexport MEMWARDEN_ADDR = "+addr+" # here\n"+
		"MEMWARDEN_ADMIN_TOKEN=\""+token+"\"\nMEMWARDEN_DATA_DIR='our data #1'\nMEMWARDEN_LOG_MEMORY_INTERVAL=1s\n"+
		"INNOCENT=$(touch evaluated) `touch evaluated`; touch evaluated\n", "\n", "\r\n"), 0o600)
	r := start(t, dir, addr, "--env-file", "our settings.env")
	if status, body, err := get(addr, "/api/health"); status != http.StatusOK || !strings.Contains(body, `"status":"ok"`) {
		t.Errorf("health: %d %s %v", status, body, err)
	}
	if status, body, err := get(addr, "/api/monitoring/memory/config"); status != http.StatusOK {
		t.Errorf("an admin route: %d %s %v", status, body, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "our data #1", "memwarden.db")); err != nil {
		t.Error(err)
	}
	follow(t, dir)
	// A group's signal reaches the service once: it is not hurried.
	if err := syscall.Kill(-r.command.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r.wantExit(t, 0)
	log, err := os.ReadFile(filepath.Join(dir, "logs", "application.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(r.out.String()) {
		if !strings.Contains(string(log), line) {
			t.Errorf("a line of the output is not in the log file: %s", line)
		}
	}
	if !strings.Contains(r.out.String(), `"msg":"memory"`) || !strings.Contains(string(log), "applied now: ") {
		t.Errorf("no line sums up the memory, or the migration is not in the log:\n%s", log)
	}
	if strings.Contains(r.out.String()+r.errs.String()+string(log), "battery") {
		t.Error("the token is shown")
	}
	for _, place := range []string{dir, filepath.Join(dir, "elsewhere")} {
		if _, err := os.Stat(filepath.Join(place, "evaluated")); err == nil {
			t.Error("a value was evaluated")
		}
	}
}

// follow looks at the log as the guide says.
func follow(t *testing.T, dir string) {
	t.Helper()
	tail := exec.Command("bash", "-c", "tail -f logs/application.log | grep --line-buffered -i -m 1 memory")
	tail.Dir = dir
	tail.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out servicetest.Text
	tail.Stdout = &out
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-tail.Process.Pid, syscall.SIGKILL) // tail ends at its next line only
		_ = tail.Wait()
	}()
	servicetest.Within(t, patience, "has a line about memory in the log", func() bool { return strings.Contains(out.String(), "memory") })
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string // empty: there is none
		code int
		says []string
	}{
		"no file":      {code: 2, says: []string{".env.production", "no such file"}},
		"bad value":    {file: "# x\n\nMEMWARDEN_RATE_LIMIT=lots\n", code: 2, says: []string{`.env.production:3: MEMWARDEN_RATE_LIMIT: "lots": want a whole number`}},
		"out of range": {file: "MEMWARDEN_LIMIT_RATIO=0\n", code: 2, says: []string{".env.production:1: MEMWARDEN_LIMIT_RATIO: "}},
		"a secret":     {file: "A=1\nMEMWARDEN_ADMIN_TOKEN=hunter2\n", code: 2, says: []string{".env.production:2: MEMWARDEN_ADMIN_TOKEN: "}},
		"several": {file: "MEMWARDEN_ADDRESS=:1\nno assignment\nA='hunter2\nGOMEMLIMIT=1GB\n", code: 2,
			says: []string{".env.production:1: MEMWARDEN_ADDRESS is not a setting", ".env.production:2: want NAME=value", ".env.production:3: A: the single quote", ".env.production:4: GOMEMLIMIT: "}},
		"migration": {file: "MEMWARDEN_DATABASE_URL=postgres://u:hunter2@127.0.0.1:1/d?sslmode=disable\n", code: 1, says: []string{"cannot connect"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := root(t)
			if c.file != "" {
				write(t, filepath.Join(dir, ".env.production"), c.file, 0o600)
			}
			before := tree(t, dir)
			r := launch(t, dir, "production", "--addr", freeAddr(t))
			r.wantExit(t, c.code)
			for _, want := range c.says {
				if !strings.Contains(r.errs.String(), want) {
					t.Errorf("it does not say %q", want)
				}
			}
			if strings.Contains(r.out.String()+r.errs.String(), "hunter2") {
				t.Error("a secret is shown")
			}
			if strings.Contains(r.errs.String(), "watches itself") {
				t.Error("the service was started")
			}
			if c.code == 2 && before != tree(t, dir) {
				t.Errorf("something was made or changed: %s, was %s", tree(t, dir), before)
			}
			if c.code == 1 && !strings.Contains(r.out.String(), "the service was not started") {
				t.Error("it does not say that the service was not started")
			}
		})
	}
	dir := root(t)
	usage := launch(t, dir)
	usage.wantExit(t, 2)
	launch(t, dir, "staging").wantExit(t, 2)
	help := launch(t, dir, "production", "--help")
	help.wantExit(t, 0)
	if !strings.Contains(help.out.String(), "--dry-run") || help.out.String() != usage.errs.String() {
		t.Error("no help")
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	dir := root(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	envFile(t, dir)
	before := tree(t, dir)
	r := launch(t, dir, "production", "--addr", listener.Addr().String())
	r.wantExit(t, 1)
	if !strings.Contains(r.errs.String(), listener.Addr().String()) || !strings.Contains(r.errs.String(), "address already in use") || before != tree(t, dir) {
		t.Errorf("it does not name the address, or has made something: %s", tree(t, dir))
	}
}

// tree lists what is below a directory, with sizes and times.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			all.WriteString(path + " " + strconv.FormatInt(info.Size(), 10) + " " + info.ModTime().String() + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestDryRun: every value, no secret, no connection, nothing changed.
func TestDryRun(t *testing.T) {
	t.Parallel()
	dir := root(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections atomic.Int64
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			conn.Close()
		}
	})
	at := listener.Addr().String()
	addr := envFile(t, dir, "MEMWARDEN_DATABASE_URL=postgres://u:battery@"+at+"/d", "MEMWARDEN_REDIS_URL=redis://:battery@"+at, "MEMWARDEN_DATA_DIR='a # b'",
		"MEMWARDEN_MEMORY_LIMIT=1000MiB", "OTHER='battery staple'")
	before := tree(t, dir)
	r := launch(t, dir, "production", "--dry-run")
	r.wantExit(t, 0)
	listener.Close()
	accepting.Wait()
	if before != tree(t, dir) || connections.Load() != 0 {
		t.Errorf("%d connections; changed: %s, was %s", connections.Load(), tree(t, dir), before)
	}
	values := assignments(t, r.out.String())
	for _, s := range append(config.RuntimeSettings(), config.Settings()...) {
		if _, ok := values[s.Name]; !ok {
			t.Errorf("no value of %s", s.Name)
		}
	}
	for name, want := range map[string]string{
		"MEMWARDEN_ADDR": addr, "MEMWARDEN_ADMIN_TOKEN": "********", "MEMWARDEN_DATABASE_URL": "********", "OTHER": "********",
		"MEMWARDEN_DATA_DIR": "a # b", "GOGC": "100", "MEMWARDEN_MEMORY_LIMIT": "1000MiB",
	} {
		if values[name] != want {
			t.Errorf("%s=%s, want %s", name, values[name], want)
		}
	}
	if strings.Contains(r.out.String()+r.errs.String(), "battery") {
		t.Error("a secret is shown")
	}

	template := launch(t, dir, "production", "--env-file", filepath.Join(dir, ".env.production.template"), "--dry-run")
	template.wantExit(t, 0)
	if values := assignments(t, template.out.String()); values["MEMWARDEN_ADDR"] != "127.0.0.1:8080" || template.errs.String() != "" {
		t.Errorf("the template's dry run: %v", values)
	}
}

func assignments(t *testing.T, text string) map[string]string {
	t.Helper()
	list, err := config.ParseEnvFile("output", strings.NewReader(text))
	if err != nil {
		t.Fatalf("the output is no environment file: %v", err)
	}
	values := map[string]string{}
	for _, a := range list {
		values[a.Name] = string(a.Value)
	}
	return values
}

// TestSignalsUnderLoad: nobody who was let in is turned away.
func TestSignalsUnderLoad(t *testing.T) {
	t.Parallel()
	dir := root(t)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		addr := envFile(t, dir)
		r := start(t, dir, addr)
		var ending atomic.Bool
		var answered atomic.Int64
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for {
					status, body, err := get(addr, "/api/monitoring/memory/stats")
					if err != nil && ending.Load() && doorIsClosed(addr) {
						return
					}
					if err != nil || status != http.StatusOK || !strings.HasSuffix(strings.TrimSpace(body), "}") {
						t.Errorf("%d %.100s %v", status, body, err)
						return
					}
					answered.Add(1)
				}
			})
		}
		servicetest.Within(t, patience, "answered enough to prove something", func() bool { return answered.Load() > 200 || t.Failed() })
		ending.Store(true)
		r.signal(t, s)
		r.wantExit(t, 0)
		clients.Wait()
	}
}

// doorIsClosed: a connection that still waited to be accepted when the listener closed was never the service's.
func doorIsClosed(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}

func TestSecondSignal(t *testing.T) {
	t.Parallel()
	dir := root(t)
	addr := envFile(t, dir, "MEMWARDEN_SHUTDOWN_TIMEOUT=11m")
	r := start(t, dir, addr, "--drain-delay", "10m")
	r.signal(t, syscall.SIGTERM)
	servicetest.Within(t, patience, "turned readiness off", func() bool {
		status, _, err := get(addr, "/readyz")
		return err == nil && status == http.StatusServiceUnavailable
	})
	r.signal(t, syscall.SIGTERM)
	r.wantExit(t, 3)
}

// TestLauncherIsKilled: the service ends in order, although nobody reads its log any more.
func TestLauncherIsKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("NOT TESTED: only Linux tells a program of its launcher's death")
	}
	t.Parallel()
	dir := root(t)
	addr := envFile(t, dir)
	r := start(t, dir, addr)
	r.signal(t, syscall.SIGKILL)
	<-r.ended
	servicetest.Within(t, patience, "closed its address", func() bool { return doorIsClosed(addr) })
	servicetest.Within(t, patience, "gave up its database", func() bool { // it ends after its address is closed
		again := launch(t, dir, "production")
		servicetest.Within(t, patience, "began or ended", func() bool { return again.hasEnded() || ready.MatchString(again.out.String()) })
		if again.hasEnded() {
			return false
		}
		if strings.Contains(again.out.String(), "was not closed") {
			t.Error("the service did not end in order")
		}
		again.signal(t, syscall.SIGTERM)
		again.wantExit(t, 0)
		return true
	})
}

// TestServiceIsKilled: the script's exit code is the service's.
func TestServiceIsKilled(t *testing.T) {
	t.Parallel()
	dir := root(t)
	addr := envFile(t, dir)
	r := start(t, dir, addr)
	pid, err := exec.Command("pgrep", "-P", strconv.Itoa(r.command.Process.Pid), "memwarden").Output()
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.wantExit(t, 137)
	if !strings.Contains(r.out.String(), "killed by signal 9") {
		t.Error("it does not say what killed the service")
	}
}
