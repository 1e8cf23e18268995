package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func soon() time.Time { return time.Now().Add(startTimeout) }

func TestLifeOfAServer(t *testing.T) {
	s := Start(t)
	if !strings.Contains(s.URL(), s.Password()) || !strings.HasPrefix(s.URL(), "redis://:") || !strings.Contains(s.URL(), s.Host()) {
		t.Fatalf("the URL is %s", s.URL())
	}
	host := s.Host()
	if err := s.ping(soon()); err != nil {
		t.Fatal(err)
	}
	s.Kill(t)
	if err := s.ping(soon()); err == nil {
		t.Error("the killed server answers")
	}
	if err := s.kill(); err == nil {
		t.Error("killing it once more reports no error")
	}
	s.Restart(t)
	if err := s.ping(soon()); err != nil || s.Host() != host {
		t.Errorf("after a restart: %v, at %s, was at %s", err, s.Host(), host)
	}
	s.Stop(t)
	s.Stop(t) // of a server that is down: nothing to do
	if err := s.ping(soon()); err == nil {
		t.Error("the stopped server answers")
	}
	s.Restart(t)
	s.Restart(t) // of a running server
	if err := s.ping(soon()); err != nil {
		t.Error(err)
	}
}

func TestPasswordIsAskedFor(t *testing.T) {
	s := Start(t)
	if err := (&Server{port: s.port, password: "wrong"}).ping(soon()); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("a wrong password: %v", err)
	}
	if runtime.GOOS == "linux" {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.process.command.Process.Pid))
		if err != nil || strings.Contains(string(line), s.password) {
			t.Errorf("the command line is %q, %v", line, err)
		}
	}
}

// TestServerDiesWithItsParent runs itself as a child that starts a server and then kills itself.
func TestServerDiesWithItsParent(t *testing.T) {
	const child = "REDISTEST_CHILD"
	if os.Getenv(child) != "" {
		s := Start(t)
		fmt.Printf("server %d\n", s.process.command.Process.Pid)
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		self.Kill()
		select {}
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a process that its parent died")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "-test.run=^TestServerDiesWithItsParent$")
	command.Env = append(os.Environ(), child+"=1", "TMPDIR="+t.TempDir())
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "server %d", &pid); err == nil {
			break
		}
	}
	if err := command.Wait(); err == nil || pid == 0 {
		t.Fatalf("child: %v, server process %d", err, pid)
	}
	for deadline := time.Now().Add(stopTimeout); serverRuns(pid); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			t.Fatalf("server process %d outlived the process that started it", pid)
		}
	}
}

// serverRuns asks the kernel whether the process still has a command line: one that has ended has none.
func serverRuns(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err == nil && strings.Contains(string(text), "redis")
}

func TestStartFailures(t *testing.T) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip(err)
	}
	s, err := newServer(filepath.Join(t.TempDir(), "redis-server"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(s.dir) })
	if err := s.start(); err == nil {
		t.Error("a server program that is not there starts")
	}
	s.program, s.password = path, "two words" // which its configuration cannot have
	if err := s.start(); err == nil || !strings.Contains(err.Error(), "ended at its start") {
		t.Errorf("a server that cannot read its configuration: %v", err)
	}
}

// TestSilentServer has something else listen at the server's port.
func TestSilentServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := &Server{port: listener.Addr().(*net.TCPAddr).Port, dir: t.TempDir()}
	p := &process{done: make(chan struct{})}
	if err := s.answering(p, time.Now().Add(2*pollInterval)); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("a server that says nothing: %v", err)
	}
}

func TestAbsence(t *testing.T) {
	for _, c := range []struct {
		name, value string
		fatal       bool
	}{
		{"", "", false},
		{"CI", "true", true},
		{"CI", "", false},
		{"MEMWARDEN_TEST_REQUIRE_REDIS", "1", true},
	} {
		getenv := func(name string) string {
			if name == c.name {
				return c.value
			}
			return ""
		}
		message, fatal := absent(errors.New("nowhere"), getenv)
		if fatal != c.fatal || !strings.Contains(message, "nowhere") {
			t.Errorf("%s=%s: fatal %v, want %v; %s", c.name, c.value, fatal, c.fatal, message)
		}
	}
}
