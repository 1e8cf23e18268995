package store

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary runs itself as a child for what only another process can do; these tell it what.
const (
	childTask = "STORE_TEST_TASK"
	childDir  = "STORE_TEST_DIR"
	childURL  = "STORE_TEST_URL"
)

func TestMain(m *testing.M) {
	if task := os.Getenv(childTask); task != "" {
		os.Exit(runChild(task, Options{DataDir: os.Getenv(childDir), DatabaseURL: os.Getenv(childURL)}))
	}
	goleak.VerifyTestMain(m)
}

// runChild does what a child process is for and returns its exit code.
func runChild(task string, o Options) int {
	if task == "write" {
		return writeUntilKilled(o)
	}
	before := residentKiB()
	s, err := Open(context.Background(), o)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("open", before, residentKiB())
	if task == "hold" {
		io.Copy(io.Discard, os.Stdin) // until it is killed, or its parent is gone
	}
	if err := s.Close(); err != nil {
		fmt.Println("error", err)
		return 1
	}
	return 0
}

// child prepares the test binary to run itself for a task.
func child(t testing.TB, task string, o Options) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program)
	command.Env = append(os.Environ(), childTask+"="+task, childDir+"="+o.DataDir, childURL+"="+o.DatabaseURL)
	return command
}

// open opens a store that is closed at the end of the test.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// change is a valid configuration change.
func change(version int64) ConfigChange {
	return ConfigChange{
		Version: version, At: noon.Add(time.Duration(version) * time.Second), Actor: "admin", Peer: "192.0.2.7:4711",
		Patch:     json.RawMessage(fmt.Sprintf(`{"interval_seconds": %d}`, version)),
		Overrides: json.RawMessage(fmt.Sprintf(`{"interval_seconds":%d,"name":"ü \u0000 \"x\""}`, version)),
	}
}

func same(a, b ConfigChange) bool {
	return a.Version == b.Version && a.At.Equal(b.At) && a.Actor == b.Actor && a.Peer == b.Peer &&
		string(a.Patch) == string(b.Patch) && string(a.Overrides) == string(b.Overrides)
}

func save(t testing.TB, s *Store, versions ...int64) {
	t.Helper()
	for _, v := range versions {
		if err := s.SaveConfig(context.Background(), change(v)); err != nil {
			t.Fatal(err)
		}
	}
}

// newestVersion returns the newest configuration version, 0 if there is none, and fails unless it is what was saved.
func newestVersion(t testing.TB, s *Store) int64 {
	t.Helper()
	c, ok, err := s.LatestConfig(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if ok && !same(c, change(c.Version)) {
		t.Fatalf("version %d is\n%+v, saved was\n%+v", c.Version, c, change(c.Version))
	}
	return c.Version
}

// execute runs SQL on a store's database, past the store.
func execute(t testing.TB, s *Store, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := s.db.writer().ExecContext(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// residentKiB reads the resident memory of this process; 0 where there is no /proc.
func residentKiB() (kib int64) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	fmt.Sscan(string(text), &size, &resident)
	return resident * int64(os.Getpagesize()) / 1024
}
