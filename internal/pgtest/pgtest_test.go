package pgtest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// ask runs a statement on a database and returns the first column.
func ask(t *testing.T, s *Server, database, statement string) []string {
	t.Helper()
	column, err := s.query(t.Context(), database, statement)
	if err != nil {
		t.Fatal(err)
	}
	return column
}

// databaseOf is the name of the database in a URL.
func databaseOf(t *testing.T, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

func TestLifeOfAServer(t *testing.T) {
	s := Start(t)
	url := s.NewDatabase(t)
	if other := s.NewDatabase(t); other == url {
		t.Fatalf("two databases share the URL %s", url)
	}
	database := databaseOf(t, url)
	ask(t, s, database, "create table kept (n int); insert into kept values (1), (2)")
	if fsync := ask(t, s, database, "show fsync"); !slices.Equal(fsync, []string{"on"}) {
		t.Errorf("fsync is %q: a killed server could lose what it acknowledged", fsync)
	}
	if _, err := s.query(t.Context(), database, "select none"); err == nil || !strings.Contains(err.Error(), "42703") {
		t.Errorf("a wrong statement: %v", err)
	}

	s.Kill(t)
	if _, err := s.query(t.Context(), database, "select 1"); err == nil {
		t.Error("the killed server takes connections")
	}
	s.Restart(t)
	if rows := ask(t, s, database, "select n from kept order by n"); !slices.Equal(rows, []string{"1", "2"}) {
		t.Errorf("rows %q after a kill, want 1 and 2", rows)
	}
	s.Stop(t)
	s.Stop(t) // of a server that is down: nothing to do
	if err := s.kill(); err == nil {
		t.Error("killing a stopped server reports no error")
	}
	s.Restart(t)
	s.Restart(t) // of a running server
	if rows := ask(t, s, database, "select n from kept order by n"); !slices.Equal(rows, []string{"1", "2"}) {
		t.Errorf("rows %q after a restart, want 1 and 2", rows)
	}
}

// TestPasswordIsAskedFor connects as everybody does: over TCP.
func TestPasswordIsAskedFor(t *testing.T) {
	s := Start(t)
	if !strings.Contains(s.URL(), s.Password()) {
		t.Fatal("the URL has no password")
	}
	conn, err := net.Dial("tcp", s.Host())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	startup := binary.BigEndian.AppendUint32(nil, protocol)
	if err := sendMessage(conn, 0, append(startup, "user\x00"+userName+"\x00\x00"...)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 256)
	n, err := conn.Read(answer)
	if err != nil || answer[0] != 'R' || !strings.Contains(string(answer[:n]), "SCRAM-SHA-256") {
		t.Errorf("the server answers %q, %v: want to be asked for a password", answer[:n], err)
	}
}

// TestAnswersThatAreNone feeds what no server says.
func TestAnswersThatAreNone(t *testing.T) {
	for _, answer := range []string{"", "Z", "Z\x00\x00\x00", "Z\x00\x00\x00\x03", "Z\xff\xff\xff\xff", "Z\x00\x00\x00\x05", "D\x00\x00\x00\x05a",
		"D\x00\x00\x00\x0a\x00\x01\xff\xff\xff\xff", "D\x00\x00\x00\x0a\x00\x01\x00\x00\x00\x01"} {
		if column, err := readAnswer(bufio.NewReader(strings.NewReader(answer))); err == nil {
			t.Errorf("%q is read as %q", answer, column)
		}
	}
}

// TestServerDiesWithItsParent runs itself as a child that starts a server and then kills itself.
func TestServerDiesWithItsParent(t *testing.T) {
	const child = "PGTEST_CHILD"
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
	if _, err := findPrograms(); err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "pgtest-parent-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // for the user that the server runs as
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "-test.run=^TestServerDiesWithItsParent$")
	command.Env = append(os.Environ(), child+"=1", "TMPDIR="+dir)
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
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
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(text), "postgres")
}

func TestStartFailures(t *testing.T) {
	found, err := findPrograms()
	if err != nil {
		t.Skip(err)
	}
	s, err := newServer(programs{initdb: filepath.Join(t.TempDir(), "initdb"), postgres: found.postgres})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(s.dir) })
	if err := s.initialize(); err == nil || !strings.Contains(err.Error(), "initdb") {
		t.Errorf("initdb that is not there: %v", err)
	}
	if err := s.start(); err == nil || !strings.Contains(err.Error(), "ended at its start") {
		t.Errorf("a server without a cluster: %v", err)
	}
	s.programs.postgres = s.programs.initdb
	if err := s.start(); err == nil {
		t.Error("a server program that is not there starts")
	}
}

func TestNewestPrograms(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"9", "15", "16", "extra"} {
		dir := filepath.Join(root, version, "bin")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"initdb", "postgres"} {
			if version == "16" && name == "initdb" {
				continue // a client package without the server
			}
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	found, ok := newest(filepath.Join(root, "*", "bin"))
	if want := filepath.Join(root, "15", "bin", "postgres"); !ok || found.postgres != want {
		t.Errorf("newest is %q, want %q", found.postgres, want)
	}
	if _, ok := newest(filepath.Join(root, "none", "*")); ok {
		t.Error("found programs where there are none")
	}
}

func TestProgramsOffPath(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	found, err := findPrograms()
	if packaged, ok := newest(packaged); ok && (err != nil || found != packaged) {
		t.Errorf("found %v, %v, want %v", found, err, packaged)
	} else if !ok && err == nil {
		t.Errorf("found %v where there are none", found)
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
		{"MEMWARDEN_TEST_REQUIRE_POSTGRES", "1", true},
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

// FuzzReadAnswer looks for what a server could say that reading does not survive.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("T\x00\x00\x00\x04D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x01aZ\x00\x00\x00\x05I"))
	f.Add([]byte("E\x00\x00\x00\x0cSERROR\x00\x00Z\x00\x00\x00\x05I"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		column, err := readAnswer(bufio.NewReader(bytes.NewReader(answer)))
		for _, value := range column {
			if err == nil && !bytes.Contains(answer, []byte(value)) {
				t.Errorf("%q is not in %q", value, answer)
			}
		}
	})
}
