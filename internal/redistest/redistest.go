// Package redistest runs a real Redis server for tests, those of the other modules of the repository included.
//
// It knows how to start one in a temporary directory on a free loopback port, stop it, kill it and start it again. It
// does not know what it is used for. The tests of packages that use Redis stand above; nothing that is shipped imports
// it.
//
// The server asks for a password, listens on 127.0.0.1 only, and keeps nothing on disk: after a restart it is empty. It
// needs redis-server on PATH.
package redistest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/freeport"
)

const (
	program      = "redis-server"
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
	pollInterval = 10 * time.Millisecond
	logTail      = 4 << 10 // bytes of the server's log shown in a failure
)

// Server is a running Redis of its own. Its methods are safe for concurrent use.
type Server struct {
	program  string
	dir      string // holds configuration and log
	port     int
	password string

	mu      sync.Mutex
	process *process // nil while the server is down
}

// Start starts a server and waits until it answers, some hundredths of a second. It is stopped and its directory
// removed when the test is over; on Linux the server also dies with the test process, however that ends.
//
// Without Redis on the machine it skips the test, or fails it when CI=true or MEMWARDEN_TEST_REQUIRE_REDIS=1.
func Start(t testing.TB) *Server {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		message, fatal := absent(err, os.Getenv)
		if fatal {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	s, err := newServer(path)
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(s.stop(), os.RemoveAll(s.dir))) })
	must(t, s.start())
	return s
}

// URL is the redis:// address of database 0, with the password.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", User: url.UserPassword("", s.password), Host: s.Host(), Path: "/0"}
	return u.String()
}

// Host is where the server listens: 127.0.0.1 and its port, the same after a Restart.
func (s *Server) Host() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Password is the password in the URL, to look for where it must not be.
func (s *Server) Password() string { return s.password }

// Stop shuts the server down in order: open connections are cut.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	must(t, s.stop())
}

// Kill ends the server with SIGKILL and returns when it is gone.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	must(t, s.kill())
}

// Restart starts the server on its old port, stopping it first if it runs, and waits until it answers.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	must(t, s.stop())
	must(t, s.start())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
}

func newServer(path string) (*Server, error) {
	dir, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 16)
	rand.Read(secret) // never fails, by its documentation
	return &Server{program: path, dir: dir, password: hex.EncodeToString(secret)}, nil
}

// start runs the server and waits until it answers. A port that another process took meanwhile is worth another attempt.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	deadline := time.Now().Add(startTimeout)
	for {
		p, err := s.launch()
		if err != nil {
			return err
		}
		if err = s.answering(p, deadline); err == nil {
			s.process = p
			return nil
		}
		err = errors.Join(err, p.kill())
		if !strings.Contains(err.Error(), "already in use") || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pollInterval)
	}
}

// launch runs the server program, on a free port the first time. The password is in a file of its own: every user of a
// machine can read its command lines.
func (s *Server) launch() (*process, error) {
	if s.port == 0 {
		port, err := freeport.Find()
		if err != nil {
			return nil, err
		}
		s.port = port
	}
	config := filepath.Join(s.dir, "redis.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport %d\nrequirepass %s\nsave \"\"\nappendonly no\n", s.port, s.password)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(s.log())
	if err != nil {
		return nil, err
	}
	defer log.Close() // the server has its own descriptor
	command := exec.Command(s.program, config)
	command.Dir, command.SysProcAttr = s.dir, attributes()
	command.Stdout, command.Stderr = log, log
	return startProcess(command)
}

// answering waits until a client gets an answer, the server ends or the deadline is over.
func (s *Server) answering(p *process, deadline time.Time) error {
	for {
		err := s.ping(deadline)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			output, err := os.ReadFile(s.log())
			return errors.Join(fmt.Errorf("the server ended at its start:\n%s", tail(output)), err)
		default:
		}
		if time.Now().After(deadline) {
			output, _ := os.ReadFile(s.log())
			return fmt.Errorf("the server does not answer: %w\n%s", err, tail(output))
		}
		time.Sleep(pollInterval)
	}
}

// ping asks the server whether it is there, as a client with the password.
func (s *Server) ping(deadline time.Time) error {
	conn, err := net.Dial("tcp", s.Host())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\nPING\r\n", s.password); err != nil {
		return err
	}
	const want = "+OK\r\n+PONG\r\n"
	var answer bytes.Buffer
	for part := make([]byte, len(want)); answer.Len() < len(want); {
		n, err := conn.Read(part)
		answer.Write(part[:n])
		if err != nil {
			return fmt.Errorf("%w after %q", err, answer.Bytes())
		}
	}
	if answer.String() != want {
		return fmt.Errorf("the server answers %q", answer.Bytes())
	}
	return nil
}

func (s *Server) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.process
	if p == nil {
		return nil
	}
	s.process = nil
	if runtime.GOOS == "windows" { // which knows no such signal
		return p.kill()
	}
	if err := p.signal(os.Interrupt); err != nil {
		return errors.Join(err, p.kill())
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("the server did not stop within %v", stopTimeout), p.kill())
	}
}

func (s *Server) kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.process
	if p == nil {
		return errors.New("the server does not run")
	}
	s.process = nil
	return p.kill()
}

func (s *Server) log() string { return filepath.Join(s.dir, "server.log") }

func tail(output []byte) []byte { return output[max(0, len(output)-logTail):] }

// absent tells what to say where there is no Redis, and whether that fails the test instead of skipping it.
func absent(cause error, getenv func(string) string) (message string, fatal bool) {
	fatal = getenv("CI") == "true" || getenv("MEMWARDEN_TEST_REQUIRE_REDIS") == "1"
	if fatal {
		return fmt.Sprintf("Redis is required here (CI or MEMWARDEN_TEST_REQUIRE_REDIS is set) but not found: %v", cause), true
	}
	return fmt.Sprintf("NOT TESTED AGAINST REDIS: %s not found; install Redis to run this test: %v", program, cause), false
}
