// Package pgtest runs a real PostgreSQL server for tests, those of the other modules of the repository included.
//
// It knows how to make a cluster in a directory of package scratch, start it on a free loopback port, stop it, kill it and
// start it again. It does not know what is kept in it. The tests of packages that use PostgreSQL stand above; nothing that
// is shipped imports it.
//
// The server writes its log with fsync on, as in production, so that tests may kill it and count what survived: on disk,
// or in memory where package scratch finds room there. It asks for passwords (SCRAM), listens on 127.0.0.1 only, and keeps its socket, on which it asks for none, in a
// directory that nobody else may enter. It needs initdb and postgres on PATH or under /usr/lib/postgresql/*/bin.
// PostgreSQL refuses to run as root: there it runs as the user postgres or nobody.
package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/freeport"
	"github.com/memwarden/memwarden/internal/scratch"
)

const (
	userName     = "memwarden"
	startTimeout = 60 * time.Second
	stopTimeout  = 30 * time.Second
	logTail      = 4 << 10 // bytes of the server's log shown in a failure
	pollInterval = 20 * time.Millisecond
)

// Server is a running PostgreSQL cluster of its own. Its methods are safe for concurrent use.
type Server struct {
	programs programs
	account  account
	dir      string // holds the data, the socket and the log
	port     int
	password string

	mu        sync.Mutex
	process   *process // nil while the server is down
	databases int
}

// Start makes a cluster, starts it and waits until it answers: about two seconds. It is stopped and its directory
// removed when the test is over; on Linux the server also dies with the test process, however that ends.
//
// Without PostgreSQL on the machine it skips the test, or fails it when CI=true or MEMWARDEN_TEST_REQUIRE_POSTGRES=1.
func Start(t testing.TB) *Server {
	t.Helper()
	programs, err := findPrograms()
	if err != nil {
		message, fatal := absent(err, os.Getenv)
		if fatal {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	s, err := newServer(programs)
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(s.stop(), os.RemoveAll(s.dir))) })
	must(t, s.initialize())
	must(t, s.start())
	return s
}

// URL is the postgres:// address of the database "postgres", with a user that may do everything and its password.
func (s *Server) URL() string { return s.url("postgres") }

// Host is where the server listens: 127.0.0.1 and its port, the same after a Restart.
func (s *Server) Host() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Password is the password in the URL, to look for where it must not be.
func (s *Server) Password() string { return s.password }

// NewDatabase makes an empty database and returns its URL. It goes with the server.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	s.databases++
	name := fmt.Sprintf("test_%d", s.databases)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	_, err := s.query(ctx, "postgres", "create database "+name)
	must(t, err)
	return s.url(name)
}

// Stop shuts the server down in order: open connections are cut, transactions rolled back.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	must(t, s.stop())
}

// Kill ends the server and, on Linux, all its processes with SIGKILL, and returns when they are gone.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	must(t, s.kill())
}

// Restart starts the server on its old port, stopping it first if it runs, and waits until it has recovered.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	must(t, s.stop())
	must(t, s.start())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

func newServer(p programs) (*Server, error) {
	who, err := chooseAccount()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(scratch.Parent(), "pgtest-")
	if err != nil {
		return nil, err
	}
	s := &Server{programs: p, account: who, dir: dir}
	secret := make([]byte, 16)
	rand.Read(secret) // never fails, by its documentation
	s.password = hex.EncodeToString(secret)
	if err := who.own(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// initialize makes the cluster's files.
func (s *Server) initialize() error {
	passwordFile := filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	if err := s.account.own(passwordFile); err != nil {
		return err
	}
	command := s.command(s.programs.initdb, "--pgdata="+s.data(), "--username="+userName, "--pwfile="+passwordFile,
		"--auth-host=scram-sha-256", "--auth-local=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, tail(output))
	}
	return nil
}

// start runs the server and waits until it answers. A port that another process took meanwhile, and shared memory that
// processes of a killed server have not left yet, are worth another attempt.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	deadline := time.Now().Add(startTimeout)
	for {
		if s.port == 0 {
			port, err := freeport.Find()
			if err != nil {
				return err
			}
			s.port = port
		}
		p, err := s.launch()
		if err != nil {
			return err
		}
		if err = s.answering(p, deadline); err == nil {
			s.process = p
			return nil
		}
		p.kill()
		text := err.Error()
		again := strings.Contains(text, "pre-existing shared memory") || strings.Contains(text, "already in use")
		if !again || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pollInterval)
	}
}

// launch runs the server program with its log going to a new file.
func (s *Server) launch() (*process, error) {
	log, err := os.Create(s.log())
	if err != nil {
		return nil, err
	}
	defer log.Close() // the server has its own descriptor
	command := s.command(s.programs.postgres, "-D", s.data(),
		"-c", "listen_addresses=127.0.0.1", "-c", "port="+strconv.Itoa(s.port), "-c", "unix_socket_directories="+s.dir,
		"-c", "fsync=on", "-c", "shared_buffers=16MB", "-c", "max_connections=60", "-c", "logging_collector=off")
	command.Stdout, command.Stderr = log, log
	return startProcess(command)
}

// answering waits until a client gets an answer, the server ends or the deadline is over.
func (s *Server) answering(p *process, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	var last error
	for {
		select {
		case <-p.done:
			output, err := os.ReadFile(s.log())
			return errors.Join(fmt.Errorf("the server ended at its start:\n%s", tail(output)), err)
		case <-ctx.Done():
			output, err := os.ReadFile(s.log())
			return errors.Join(fmt.Errorf("the server does not answer: %w\n%s", last, tail(output)), err)
		default:
		}
		if _, last = s.query(ctx, "postgres", "select 1"); last == nil {
			return nil
		}
		time.Sleep(pollInterval)
	}
}

func (s *Server) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.process
	if p == nil {
		return nil
	}
	s.process = nil
	if err := p.interrupt(); err != nil {
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

// command runs a program of PostgreSQL as the user it may run as, with nothing of our environment that it would heed.
func (s *Server) command(program string, arguments ...string) *exec.Cmd {
	command := exec.Command(program, arguments...)
	command.Dir = s.dir
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LC_ALL=C", "TZ=UTC"}
	command.SysProcAttr = s.account.attributes()
	return command
}

func (s *Server) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(userName, s.password), Host: s.Host(), Path: "/" + database,
		RawQuery: "sslmode=disable"}
	return u.String()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
func (s *Server) log() string  { return filepath.Join(s.dir, "server.log") }

func tail(output []byte) []byte { return output[max(0, len(output)-logTail):] }
