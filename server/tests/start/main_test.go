//go:build unix

// Package start runs the start script as an operator does: in a directory that looks like a checkout, with an environment
// file, signals and a look at what is left.
package start

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memwarden/memwarden/internal/freeport"
	"github.com/memwarden/memwarden/server/internal/servicetest"
)

const (
	script   = "scripts/start-production-memory-optimized.sh"
	token    = "correct horse # battery's staple"
	patience = 90 * time.Second
)

// built is the directory of the program under test.
var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "memwarden-start-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(built)
		os.Exit(code)
	}))
}

// program builds the service as make build does, once, and returns its path.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "memwarden")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "../../cmd/memwarden")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return path, nil
})

// root is a directory with the script and the built program, and a space in its name.
func root(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "check out")
	for _, name := range []string{"bin", "scripts", "elsewhere"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{script, ".env.production.template"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(data), 0o755)
	}
	if err := os.Link(path, filepath.Join(dir, "bin", "memwarden")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// freeAddr is an address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// envFile writes .env.production with a free address, a token and what else is asked for, and returns the address.
func envFile(t *testing.T, dir string, lines ...string) (addr string) {
	t.Helper()
	addr = freeAddr(t)
	text := "MEMWARDEN_ADDR=" + addr + "\nMEMWARDEN_ADMIN_TOKEN=\"" + token + "\"\nMEMWARDEN_DRAIN_DELAY=100ms\nMEMWARDEN_RATE_LIMIT=0\n" +
		"MEMWARDEN_ADMIN_RATE_LIMIT=0\n" + strings.Join(lines, "\n") + "\n"
	write(t, filepath.Join(dir, ".env.production"), text, 0o600)
	return addr
}

// running is a script that was started.
type running struct {
	command   *exec.Cmd
	addr      string
	out, errs servicetest.Text
	ended     chan struct{}
}

// launch runs the script of a root from another working directory, in a process group of its own.
func launch(t *testing.T, dir string, arguments ...string) *running {
	t.Helper()
	r := &running{command: exec.Command(filepath.Join(dir, script), arguments...), ended: make(chan struct{})}
	r.command.Dir = filepath.Join(dir, "elsewhere")
	r.command.Env = environment()
	r.command.Stdout, r.command.Stderr = &r.out, &r.errs
	r.begin(t)
	return r
}

func (r *running) begin(t *testing.T) {
	t.Helper()
	r.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.command.Wait() // what it says is in the state
		close(r.ended)
	}()
	t.Cleanup(func() {
		_ = r.command.Process.Kill() // most have ended
		<-r.ended
		if t.Failed() {
			t.Logf("%v\noutput:\n%s\nerrors:\n%s", r.command.Args, r.out.String(), r.errs.String())
		}
	})
}

// environment is the test's own without settings.
func environment() (all []string) {
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "MEMWARDEN_") && !strings.HasPrefix(entry, "GOMEMLIMIT=") {
			all = append(all, entry)
		}
	}
	return all
}

var ready = regexp.MustCompile(`"msg":"the service is ready"`)

// start launches the script and waits until it says that the service is ready.
func start(t *testing.T, dir, addr string, arguments ...string) *running {
	t.Helper()
	r := launch(t, dir, append([]string{"production"}, arguments...)...)
	r.addr = addr
	r.waitUntilReady(t)
	return r
}

func (r *running) waitUntilReady(t *testing.T) {
	t.Helper()
	servicetest.Within(t, patience, "says that the service is ready", func() bool {
		if r.hasEnded() {
			t.Fatalf("the script ended: %v", r.command.ProcessState)
		}
		return ready.MatchString(r.out.String())
	})
}

func (r *running) hasEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

func (r *running) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := r.command.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end of the script.
func (r *running) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(patience):
		t.Fatal("the script does not end")
	}
	if status, ok := r.command.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		t.Errorf("the script was killed by %v", status.Signal())
	}
	return r.command.ProcessState.ExitCode()
}

func (r *running) wantExit(t *testing.T, code int) {
	t.Helper()
	if got := r.exit(t); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
}

// get asks a route on a connection of its own, with the token.
func get(addr, path string) (status int, body string, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	request, err := http.NewRequest(http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}
