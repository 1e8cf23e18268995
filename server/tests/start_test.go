//go:build unix

package tests

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// TestLife starts the service in an empty directory, uses it, ends it and starts it again.
func TestLife(t *testing.T) {
	t.Parallel()
	how := setup{Env: map[string]string{"DATA_DIR": servicetest.OpenDir(t) + "/made/data", "INCIDENT_TRACE": "true"}}
	s := how.start(t)
	askEverything(t, s)
	checkBanner(t, s)

	for n := range int64(3) {
		if version := s.patch(t, 100+n); version != n+1 {
			t.Errorf("change %d made version %d", n, version)
		}
	}
	changes := s.audit(t, 10)
	kept := acknowledged{}
	servicetest.Within(t, patience, "stores history", func() bool {
		kept.note(s.history(t))
		return len(kept) > 1
	})
	last := s.history(t)
	s.Stop(t)
	s.wantNowhere(t, token)
	// An end in order stores what is not stored yet, save that the newest point was still open.
	for i, at := range last.At[:len(last.At)-1] {
		kept[at] = last.point(i)
	}

	again := how.start(t)
	kept.check(t, again.history(t))
	if got := again.history(t); got.SavedUntil.Before(last.SavedUntil) {
		t.Errorf("saved until %v after a restart, was %v", got.SavedUntil, last.SavedUntil)
	}
	got := servicetest.Decode[config](t, again.Get(t, memory+"/config"))
	if got.Version != 3 || got.Config.Limit.Reserve != 102 || len(got.Overridden) != 1 {
		t.Errorf("the configuration after a restart is %+v", got)
	}
	after := again.audit(t, 10)
	if len(after) != 3 {
		t.Fatalf("%d entries in the audit log after a restart, want 3", len(after))
	}
	for i, c := range after {
		if c.Version != changes[i].Version || c.Actor != "admin" || string(c.Patch) != string(changes[i].Patch) {
			t.Errorf("entry %d of the audit log was %+v and is %+v", i, changes[i], c)
		}
	}
	again.Signal(t, os.Interrupt)
	if code := again.Exit(t); code != 0 {
		t.Errorf("exit code %d after an interrupt, want 0", code)
	}
}

// askEverything asks every route that the index lists.
func askEverything(t *testing.T, s *service) {
	t.Helper()
	index := servicetest.Decode[struct {
		Name, Version string
		Routes        []struct{ Method, Path, Access string }
	}](t, s.Get(t, "/"))
	if index.Name != "memwarden" || index.Version != servicetest.Version || len(index.Routes) < 15 {
		t.Errorf("the index is %+v", index)
	}
	taken := s.snapshot(t)
	bundle := servicetest.Decode[struct{ ID string }](t, s.Send(t, http.StatusCreated, http.MethodPost, memory+"/incidents", "")).ID
	for _, r := range index.Routes {
		if r.Method != http.MethodGet || r.Path == livePath || strings.Contains(r.Path, "/leaks/") { // there is none
			continue
		}
		if r.Access == "admin" {
			s.wantProblem(t, http.StatusUnauthorized, r.Method, r.Path, "", "Authorization", "Bearer wrong")
		}
		id := taken
		if strings.Contains(r.Path, "/incidents/") {
			id = bundle
		}
		path := strings.NewReplacer("{profile}", "heap", "{id}", id).Replace(r.Path)
		switch {
		case strings.HasSuffix(path, "/profile"), strings.HasSuffix(path, "/trace"):
			path += "?seconds=1"
		case strings.HasSuffix(path, "/compare"):
			path += "?from=" + taken + "&to=" + taken
		}
		got := s.Get(t, path)
		if len(got.Body) == 0 {
			t.Errorf("%s answers nothing", path)
		}
	}
	s.Send(t, http.StatusOK, http.MethodPost, memory+"/gc", "")
	if event := firstEvent(t, s); event != "sample" {
		t.Errorf("the live stream begins with %q", event)
	}
}

// snapshot has a heap snapshot taken and analysed.
func (s *service) snapshot(t *testing.T) (id string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("NOT TESTED: heap snapshots of the own process are taken on Linux alone")
	}
	taken := servicetest.Decode[struct {
		ID       string
		Analyzed bool
	}](t, s.Send(t, http.StatusCreated, http.MethodPost, memory+"/snapshots", ""))
	if taken.ID == "" || !taken.Analyzed {
		t.Errorf("the snapshot is %+v", taken)
	}
	return taken.ID
}

// report sends a report as a page does, and returns its number.
func (s *service) report(t *testing.T) (id int64) {
	t.Helper()
	body := `{"schema":1,"sent_at":"2026-01-02T15:04:05Z","items":[{"kind":"error","at":"2026-01-02T15:04:05Z"}]}`
	got := servicetest.Decode[struct{ ID int64 }](t, s.Send(t, http.StatusCreated, http.MethodPost, frontend, body, "Content-Type", "text/plain"))
	if got.ID < 1 {
		t.Errorf("the report is %+v", got)
	}
	return got.ID
}

// firstEvent reads the name of the first server-sent event.
func firstEvent(t *testing.T, s *service) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+livePath, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.Client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			return name
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return ""
}

// checkBanner follows every URL that the service named.
func checkBanner(t *testing.T, s *service) {
	t.Helper()
	banner := s.Said.String()
	for _, want := range []string{"memwarden " + servicetest.Version + " watches itself", "/api/health", "/stats", "/limits", "/metrics", "/openapi.yaml", "MEMWARDEN_ADMIN_TOKEN"} {
		if !strings.Contains(banner, want) {
			t.Errorf("the banner says nothing of %s:\n%s", want, banner)
		}
	}
	for _, url := range regexp.MustCompile(`http://\S+`).FindAllString(banner, -1) {
		if !strings.HasSuffix(url, livePath) { // which does not end
			s.Get(t, strings.TrimPrefix(url, s.URL))
		}
	}
}

// TestWithoutToken closes what needs one.
func TestWithoutToken(t *testing.T) {
	t.Parallel()
	s := setup{Env: map[string]string{"ADMIN_TOKEN": "", "ADDR": ":0"}}.start(t)
	if !strings.Contains(s.Said.String(), "admin routes are closed: set MEMWARDEN_ADMIN_TOKEN") {
		t.Errorf("the banner does not say that admin routes are closed:\n%s", &s.Said)
	}
	s.wantProblem(t, http.StatusForbidden, http.MethodPost, memory+"/gc", "")
	s.Get(t, memory+"/stats") // at the address in the banner, although the service listens everywhere
	s.Stop(t)
}

// TestSignalAtOnce sends SIGTERM as soon as the service says that it is there.
func TestSignalAtOnce(t *testing.T) {
	t.Parallel()
	for range 10 {
		command := servicetest.Setup{}.Command(t)
		said, err := command.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		if err := servicetest.StartProcess(command, ended); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(said).ReadString('\n')
		if err != nil {
			t.Errorf("%v after %q", err, line)
		}
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-ended
		if code := command.ProcessState.ExitCode(); code != 0 {
			t.Fatalf("exit code %d, want 0: %v", code, command.ProcessState)
		}
	}
}

// TestDrain has the service go on for a while after SIGTERM, and cut that short at the second.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := setup{Env: map[string]string{"DRAIN_DELAY": "10m", "SHUTDOWN_TIMEOUT": "11m"}}.start(t)
	s.Get(t, "/readyz")
	s.Signal(t, syscall.SIGTERM)
	servicetest.Within(t, patience, "turned readiness off", func() bool {
		got, err := s.Ask(t.Context(), http.MethodGet, "/readyz", "")
		return err == nil && got.Status == http.StatusServiceUnavailable
	})
	s.Get(t, "/livez")
	if got := s.Get(t, memory+"/stats"); !got.Closing {
		t.Error("a client is not asked to leave its connection")
	}
	if report, status := s.health(t); status != http.StatusServiceUnavailable || report.Status != "shutting_down" {
		t.Errorf("health is %d, %+v while the service drains", status, report)
	}
	s.patch(t, 1) // what comes in is done, still
	s.Signal(t, syscall.SIGTERM)
	if code := s.Exit(t); code != 3 {
		t.Errorf("exit code %d after a second SIGTERM, want 3", code)
	}
	if !strings.Contains(s.Said.String(), "forced") {
		t.Errorf("the service does not say that its end was forced:\n%s", &s.Said)
	}
}

// TestForcedWhileAnswering sends the second signal while a request is under way that does not end.
func TestForcedWhileAnswering(t *testing.T) {
	t.Parallel()
	s := setup{Env: map[string]string{"SHUTDOWN_TIMEOUT": "10m"}}.start(t)
	conn := openRequest(t, s)
	s.Signal(t, syscall.SIGTERM)
	s.WaitForText(t, &s.Out, regexp.MustCompile(`"phase":"hubs"`))
	s.Signal(t, syscall.SIGTERM)
	if code := s.Exit(t); code != 3 {
		t.Errorf("exit code %d after a second SIGTERM, want 3", code)
	}
	wantCut(t, conn)
}

// TestRequestThatDoesNotEnd is cut off in time, and the exit code tells.
func TestRequestThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	s := setup{Env: map[string]string{"SHUTDOWN_TIMEOUT": "3s"}}.start(t)
	conn := openRequest(t, s)
	before := time.Now()
	s.Signal(t, syscall.SIGTERM)
	if code, took := s.Exit(t), time.Since(before); code != 1 || took > 10*time.Second {
		t.Errorf("exit code %d after %v, want 1 after some 3 s", code, took)
	}
	if !strings.Contains(s.Said.String(), "cut off") {
		t.Errorf("the service does not say that a request was cut off:\n%s", &s.Said)
	}
	wantCut(t, conn)
}

// TestIdleConnections do not hold up the end, nor make it fail: nobody waits for an answer.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	s := setup{Env: map[string]string{"SHUTDOWN_TIMEOUT": "3s"}}.start(t)
	for range 3 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	s.Get(t, "/livez") // on a connection that is kept
	s.Signal(t, syscall.SIGTERM)
	if code := s.Exit(t); code != 0 {
		t.Errorf("exit code %d, want 0:\n%s", code, &s.Said)
	}
}

// openRequest sends a request whose body does not come.
func openRequest(t *testing.T, s *service) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	request := "PATCH " + memory + "/config HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + token +
		"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	s.Get(t, "/livez")                 // the service has had time to accept the connection before this one
	time.Sleep(100 * time.Millisecond) // and to begin with the request
	return conn
}

// wantCut reads the end of a connection.
func wantCut(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is not cut: %d bytes, %v", n, err)
	}
}
