//go:build unix

package tests

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/memwarden/memwarden/internal/pgtest"
	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// refusal is a start that must fail, and what the service must say and must not say.
type refusal struct {
	setup
	code   int
	says   []string
	hides  []string
	output bool // the log may say something: the service had begun
}

func (r refusal) check(t *testing.T) {
	t.Helper()
	s := r.launch(t)
	if code := s.Exit(t); code != r.code {
		t.Errorf("exit code %d, want %d", code, r.code)
	}
	said := s.Said.String()
	for _, want := range r.says {
		if !strings.Contains(said, want) {
			t.Errorf("the service does not say %q:\n%s", want, said)
		}
	}
	for l := range strings.Lines(said) {
		if !strings.HasPrefix(l, "memwarden: ") {
			t.Errorf("a line of the standard error does not say who speaks: %q", l)
		}
	}
	if strings.Contains(said, "goroutine ") {
		t.Error("the service panicked")
	}
	if !r.output && s.Out.String() != "" {
		t.Errorf("the service logged something, although it could not begin:\n%s", &s.Out)
	}
	s.wantNowhere(t, append(r.hides, token)...)
}

func TestRefusedSettings(t *testing.T) {
	t.Parallel()
	with := func(pairs ...string) setup {
		env := map[string]string{}
		for i := 0; i+1 < len(pairs); i += 2 {
			env[pairs[i]] = pairs[i+1]
		}
		return setup{Env: env}
	}
	for name, r := range map[string]refusal{
		"several at once": {
			setup: with("ADDR", "nonsense", "RATE_LIMIT", "-1", "DATABASE_URL", "mysql://u:hunter2@h/d", "REDIS_URL", "http://:hunter3@h",
				"ADMIN_TOKEN", "short", "LOG_LEVEL", "loud", "PRESSURE_HIGH", "0.95", "SHUTDOWN_TIMEOUT", "soon", "READS_NEED_TOKEN", "perhaps"),
			code: 2, says: []string{"MEMWARDEN_ADDR", "MEMWARDEN_RATE_LIMIT", "MEMWARDEN_DATABASE_URL", "MEMWARDEN_REDIS_URL", "MEMWARDEN_ADMIN_TOKEN",
				"MEMWARDEN_LOG_LEVEL", "MEMWARDEN_PRESSURE_HIGH", "MEMWARDEN_SHUTDOWN_TIMEOUT", "MEMWARDEN_READS_NEED_TOKEN"},
			hides: []string{"hunter2", "hunter3", "short"},
		},
		"short token": {
			setup: with("ADMIN_TOKEN", "hunter2hunter2x"), code: 2, says: []string{"MEMWARDEN_ADMIN_TOKEN", "15 characters", "at least 16"}, hides: []string{"hunter2"},
		},
		"reads without a token": {
			setup: with("READS_NEED_TOKEN", "true", "ADMIN_TOKEN", ""), code: 2, says: []string{"MEMWARDEN_READS_NEED_TOKEN", "MEMWARDEN_ADMIN_TOKEN"},
		},
		"unknown flag":     {setup: setup{Args: []string{"--bogus"}}, code: 2, says: []string{"unknown flag: --bogus", "memwarden serve --help"}},
		"argument":         {setup: setup{Args: []string{"extra"}}, code: 2, says: []string{"extra"}},
		"secret as a flag": {setup: setup{Args: []string{"--admin-token", "hunter2"}}, code: 2, says: []string{"unknown flag: --admin-token"}, hides: []string{"hunter2"}},
		"pid 0":            {setup: setup{Args: []string{"--pid", "0"}}, code: 2, says: []string{"--pid 0"}},
		"pid -1":           {setup: setup{Args: []string{"--pid=-1"}}, code: 2, says: []string{"--pid -1"}},
		"no such process":  {setup: setup{Args: []string{"--pid", "2147483000"}}, code: 1, says: []string{"there is no process 2147483000"}, output: true},
		"Redis URL": {
			setup: with("REDIS_URL", "redis://:hunter2@h:6379/none"), code: 1, says: []string{"MEMWARDEN_REDIS_URL", "redis://user:password@host:6379/0"}, hides: []string{"hunter2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.check(t)
		})
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	r := refusal{setup: setup{Env: map[string]string{"ADDR": address}}, code: 1, says: []string{address, "MEMWARDEN_ADDR", "address already in use"}}
	r.check(t)
}

func TestRefusedDataDirectory(t *testing.T) {
	t.Parallel()
	in := func(dir string) setup { return setup{Env: map[string]string{"DATA_DIR": dir}} }

	t.Run("file", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(servicetest.OpenDir(t), "file")
		if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
		refusal{setup: in(file), code: 1, says: []string{file}}.check(t)
		refusal{setup: in(filepath.Join(file, "below")), code: 1, says: []string{file}}.check(t)
	})
	t.Run("read-only", func(t *testing.T) {
		t.Parallel()
		dir := servicetest.OpenDir(t)
		how := in(dir)
		if os.Geteuid() == 0 {
			how.User = &syscall.Credential{Uid: 65534, Gid: 65534} // nobody, to whom the directory does not belong
		} else if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		refusal{setup: how, code: 1, says: []string{dir, "permission denied"}}.check(t)
		how.Env["DATA_DIR"] = filepath.Join(dir, "below")
		refusal{setup: how, code: 1, says: []string{dir, "permission denied"}}.check(t)
	})
	t.Run("in use", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(servicetest.OpenDir(t), "data")
		first := in(dir).start(t)
		refusal{setup: in(dir), code: 1, says: []string{dir, "in use"}}.check(t)
		first.Get(t, "/livez")
		first.Stop(t)
	})
	t.Run("no database", func(t *testing.T) {
		t.Parallel()
		dir := servicetest.OpenDir(t)
		if err := os.WriteFile(filepath.Join(dir, "memwarden.db"), []byte(strings.Repeat("no database at all ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		refusal{setup: in(dir), code: 1, says: []string{dir, "damaged or not a database"}}.check(t)
	})
}

func TestRefusedPostgres(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	at := func(url string) setup { return setup{Env: map[string]string{"DATABASE_URL": url}} }
	good := server.URL()
	refusal{
		setup: at(strings.Replace(good, server.Password(), "hunter2%2Fhunter2", 1)), code: 1,
		says: []string{server.Host(), "memwarden or its password"}, hides: []string{"hunter2", server.Password()},
	}.check(t)
	refusal{
		setup: at(strings.Replace(good, "/postgres?", "/elsewhere?", 1)), code: 1,
		says: []string{server.Host(), "no database elsewhere"}, hides: []string{server.Password()},
	}.check(t)
	server.Stop(t)
	refusal{setup: at(good), code: 1, says: []string{server.Host(), "cannot connect", "refused"}, hides: []string{server.Password()}}.check(t)

	listener, err := net.Listen("tcp", "127.0.0.1:0") // which never answers
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	silent := listener.Addr().String()
	refusal{
		setup: at(fmt.Sprintf("postgres://u:hunter2@%s/d?sslmode=disable&connect_timeout=2", silent)), code: 1,
		says: []string{silent}, hides: []string{"hunter2"},
	}.check(t)
}
