//go:build unix

package tests

import (
	"bytes"
	"context"
	"encoding/json"
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

	"github.com/memwarden/memwarden/internal/testprogram"
)

const (
	// token is the admin token of every service here.
	token = "correct horse battery staple"
	// patience bounds what is waited for where no requirement states a bound.
	patience = 60 * time.Second
	memory   = "/api/monitoring/memory"
	livePath = "/api/monitoring/live"
	frontend = "/api/monitoring/frontend/reports"
)

// setup says how a service is run.
type setup struct {
	env  map[string]string // without the prefix MEMWARDEN_; an empty value removes what is set by itself
	args []string
	user *syscall.Credential // nil: the user of the test
	// group is a control group that the process joins before it becomes the service: its file of processes.
	group string
}

// arguments of serve and its environment, in which nothing of the test's own is left.
func (s setup) command(t *testing.T) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	line := append([]string{path, "serve"}, s.args...)
	if s.group != "" {
		line = append([]string{"sh", "-c", `echo $$ > "$0" && exec "$@"`, s.group}, line...)
	}
	command := exec.Command(line[0], line[1:]...)
	command.Dir = openDir(t)
	settings := map[string]string{
		"ADDR": "127.0.0.1:0", "ADMIN_TOKEN": token, "DRAIN_DELAY": "0s", "SNAPSHOT_DEADLINE": "5m", "RATE_LIMIT": "0", "ADMIN_RATE_LIMIT": "0",
		"DATA_DIR": filepath.Join(command.Dir, "data"),
	}
	if raceDetector && s.user == nil { // without it the service is its own helper
		settings["SNAPSHOT_HELPER"] = testprogram.SnapshotHelper(t)
	}
	for name, value := range s.env {
		settings[name] = value
	}
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + command.Dir}
	for name, value := range settings {
		if value != "" {
			command.Env = append(command.Env, "MEMWARDEN_"+name+"="+value)
		}
	}
	command.SysProcAttr = attributes(s.user)
	return command
}

// openDir makes a directory that other users can look into, unlike those of testing.T.
func openDir(t *testing.T) string {
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

// service is a running process.
type service struct {
	command *exec.Cmd
	out     text // the log
	said    text // the standard error
	url     string
	client  *http.Client

	ended chan struct{} // closed when it has ended and was waited for
}

// launch starts the process and does not wait for anything.
func (s setup) launch(t *testing.T) *service {
	t.Helper()
	r := &service{
		command: s.command(t), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 5 * patience}, // a snapshot by a race-detecting helper takes its time
		ended: make(chan struct{}),
	}
	r.command.Stdout, r.command.Stderr = &r.out, &r.said
	if err := startProcess(r.command, r.ended); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.command.Process.Kill() // most have ended
		<-r.ended
		r.client.CloseIdleConnections()
		if t.Failed() {
			t.Logf("the service said:\n%s\nand logged, at the end:\n%s", &r.said, r.out.tail(8<<10))
		}
		if strings.Contains(r.said.String(), "DATA RACE") {
			t.Errorf("the race detector of the service reports:\n%s", &r.said)
		}
	})
	return r
}

// start starts the process and waits until it says where it listens.
func (s setup) start(t *testing.T) *service {
	t.Helper()
	r := s.launch(t)
	r.url = r.waitForText(t, &r.said, regexp.MustCompile(`http://[^/\s]+`))
	return r
}

// waitForText waits for a part of what the service writes.
func (s *service) waitForText(t *testing.T, in *text, pattern *regexp.Regexp) (found string) {
	t.Helper()
	within(t, patience, "writes "+pattern.String(), func() bool {
		found = pattern.FindString(in.String())
		if found == "" && s.hasEnded() {
			found = pattern.FindString(in.String()) // what it wrote last
			if found == "" {
				t.Fatalf("the service ended (%v) and did not write %s:\n%s", s.command.ProcessState, pattern, &s.said)
			}
		}
		return found != ""
	})
	return found
}

func (s *service) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

func (s *service) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end of the process and returns its exit code.
func (s *service) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.signal(t, syscall.SIGQUIT) // its stacks are in the failure
		t.Fatal("the service does not end")
	}
	return s.command.ProcessState.ExitCode()
}

// stop ends the service in order.
func (s *service) stop(t *testing.T) {
	t.Helper()
	s.client.CloseIdleConnections()
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}

// kill ends the service without a chance to do anything.
func (s *service) kill(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGKILL)
	s.exit(t)
	s.client.CloseIdleConnections()
}

// answer is what came back.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	closing bool // the server asked for another connection
}

// ask sends a request with the token and returns the answer or what went wrong.
func (s *service) ask(ctx context.Context, method, path, body string, header ...string) (answer, error) {
	q, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	q.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	response, err := s.client.Do(q)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, content, response.Close}, err
}

// send is ask for a request that must be answered with a status.
func (s *service) send(t *testing.T, want int, method, path, body string, header ...string) answer {
	t.Helper()
	got, err := s.ask(t.Context(), method, path, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	if got.status != want {
		t.Errorf("%s %s: status %d, want %d: %s", method, path, got.status, want, got.body)
	}
	return got
}

func (s *service) get(t *testing.T, path string) answer {
	t.Helper()
	return s.send(t, http.StatusOK, http.MethodGet, path, "")
}

// decode reads the JSON of an answer.
func decode[T any](t *testing.T, a answer) (value T) {
	t.Helper()
	if err := json.Unmarshal(a.body, &value); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return value
}

// problem is an error answer.
type problem struct {
	Type, Title, Detail string
	Status              int
}

// wantProblem sends a request that must be refused.
func (s *service) wantProblem(t *testing.T, status int, method, path, body string, header ...string) problem {
	t.Helper()
	got := s.send(t, status, method, path, body, header...)
	p := decode[problem](t, got)
	if p.Status != got.status || got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: no problem document: %s: %s", method, path, got.header.Get("Content-Type"), got.body)
	}
	return p
}

// healthReport is the answer of /api/health.
type healthReport struct {
	Status  string
	Details map[string]struct{ Status, Level, Message string }
}

// health asks for it and checks that status code and status agree.
func (s *service) health(t *testing.T) (healthReport, int) {
	t.Helper()
	got, err := s.ask(t.Context(), http.MethodGet, "/api/health", "")
	if err != nil {
		t.Fatal(err)
	}
	report := decode[healthReport](t, got)
	if (got.status == http.StatusOK) != (report.Status == "ok") {
		t.Errorf("health answers %d: %s", got.status, got.body)
	}
	return report, got.status
}

// within asks again and again until something holds, for so long at most.
func within(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v passed and the service never %s", limit, what)
		}
	}
}

// text is what a process writes; it may be read meanwhile.
type text struct {
	mu      sync.Mutex
	content bytes.Buffer
}

func (w *text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.content.Write(p)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.content.String()
}

func (w *text) tail(bytes int) string {
	all := w.String()
	return all[max(0, len(all)-bytes):]
}

// line is one line of the log.
type line struct{ Level, Msg string }

// logged returns the lines of a log in JSON. A line that cannot be read fails the test.
func (s *service) logged(t *testing.T) (lines []line) {
	t.Helper()
	for one := range strings.Lines(s.out.String()) {
		var l line
		if err := json.Unmarshal([]byte(one), &l); err != nil {
			t.Fatalf("a line of the log is %q: %v", one, err)
		}
		lines = append(lines, l)
	}
	return lines
}

// wantNowhere fails if a secret is in anything that the service wrote.
func (s *service) wantNowhere(t *testing.T, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		for name, where := range map[string]*text{"log": &s.out, "standard error": &s.said} {
			if strings.Contains(where.String(), secret) {
				t.Errorf("a secret is in the %s", name)
			}
		}
	}
}

// patchBody is a change of the configuration that can be told from others by its number.
func patchBody(n int64) string { return fmt.Sprintf(`{"limit":{"off_heap_reserve_bytes":%d}}`, n) }

// config is the part of the configuration that the tests change.
type config struct {
	Version    int64
	Overridden []string
	Config     struct {
		Limit struct {
			Reserve int64 `json:"off_heap_reserve_bytes"`
		}
	}
}

// patch changes the configuration and returns its version.
func (s *service) patch(t *testing.T, n int64) int64 {
	t.Helper()
	got := decode[config](t, s.send(t, http.StatusOK, http.MethodPatch, memory+"/config", patchBody(n)))
	if got.Config.Limit.Reserve != n {
		t.Errorf("the answer to %s is %+v", patchBody(n), got)
	}
	return got.Version
}
