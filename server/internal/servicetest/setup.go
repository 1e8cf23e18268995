//go:build unix

package servicetest

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/testprogram"
)

const (
	// Token is the admin token of every service here.
	Token = "correct horse battery staple"
	// Patience bounds what is waited for where no requirement states a bound.
	Patience = 60 * time.Second
	// Soon is how long the service may take to notice that something it needs has gone or come back.
	Soon = 10 * time.Second
)

// Setup says how a service is run.
type Setup struct {
	Env  map[string]string // without the prefix MEMWARDEN_; an empty value removes what is set by itself
	Args []string
	User *syscall.Credential // nil: the user of the test
	// Before are shell commands that the process runs before it becomes the service: limits, a control group.
	Before string
}

// Launch starts the process and does not wait for anything. It ends with the test.
func (s Setup) Launch(t testing.TB) *Service {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 5 * Patience} // a snapshot by a race-detecting helper takes its time
	return Run(t, s.Command(t), client)
}

// Start starts the process and waits until it says where it listens.
func (s Setup) Start(t testing.TB) *Service {
	t.Helper()
	r := s.Launch(t)
	r.URL = r.WaitForText(t, &r.Said, regexp.MustCompile(`http://[^/\s]+`))
	return r
}

// Command has the arguments of serve and its environment, in which nothing of the test's own is left.
func (s Setup) Command(t testing.TB) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	line := append([]string{path, "serve"}, s.Args...)
	if s.Before != "" {
		line = append([]string{"sh", "-ec", s.Before + "\n" + `exec "$0" "$@"`}, line...)
	}
	command := exec.Command(line[0], line[1:]...)
	command.Dir = OpenDir(t)
	settings := map[string]string{
		"ADDR": "127.0.0.1:0", "ADMIN_TOKEN": Token, "DRAIN_DELAY": "0s", "SNAPSHOT_DEADLINE": "5m", "RATE_LIMIT": "0", "ADMIN_RATE_LIMIT": "0",
		"DATA_DIR": filepath.Join(command.Dir, "data"),
	}
	if raceDetector && s.User == nil { // without it the service is its own helper
		settings["SNAPSHOT_HELPER"] = testprogram.SnapshotHelper(t)
	}
	for name, value := range s.Env {
		settings[name] = value
	}
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + command.Dir}
	for name, value := range settings {
		if value != "" {
			command.Env = append(command.Env, "MEMWARDEN_"+name+"="+value)
		}
	}
	command.SysProcAttr = Attributes(s.User)
	return command
}

// OpenDir makes a directory that other users can look into, unlike those of testing.T.
func OpenDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "memwarden-service-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Run starts a command, which ends with the test, and tells what it wrote if the test fails.
func Run(t testing.TB, command *exec.Cmd, client *http.Client) *Service {
	t.Helper()
	r := &Service{Command: command, Client: client, ended: make(chan struct{})}
	command.Stdout, command.Stderr = &r.Out, &r.Said
	if err := StartProcess(command, r.ended); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // most have ended
		<-r.ended
		r.Client.CloseIdleConnections()
		if t.Failed() {
			t.Logf("the service said, at the end:\n%s\nand logged, at the end:\n%s", r.Said.tail(8<<10), r.Out.tail(8<<10))
		}
		if strings.Contains(r.Said.String(), "DATA RACE") {
			t.Errorf("the race detector of the service reports:\n%s", &r.Said)
		}
	})
	return r
}
