//go:build unix

package servicetest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Service is a running process.
type Service struct {
	Command *exec.Cmd
	Out     Text // the log
	Said    Text // the standard error
	URL     string
	Client  *http.Client

	ended chan struct{} // closed when it has ended and was waited for
}

// WaitForText waits for a part of what the service writes.
func (s *Service) WaitForText(t testing.TB, in *Text, pattern *regexp.Regexp) (found string) {
	t.Helper()
	Within(t, Patience, "writes "+pattern.String(), func() bool {
		found = pattern.FindString(in.String())
		if found == "" && s.HasEnded() {
			found = pattern.FindString(in.String()) // what it wrote last
			if found == "" {
				t.Fatalf("the service ended (%v) and did not write %s:\n%s", s.Command.ProcessState, pattern, &s.Said)
			}
		}
		return found != ""
	})
	return found
}

// HasEnded tells whether the process has ended and was waited for.
func (s *Service) HasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Signal sends a signal to the process.
func (s *Service) Signal(t testing.TB, signal os.Signal) {
	t.Helper()
	if err := s.Command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// Exit waits for the end of the process and returns its exit code.
func (s *Service) Exit(t testing.TB) int {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(Patience):
		s.Signal(t, syscall.SIGQUIT) // its stacks are in the failure
		t.Fatal("the service does not end")
	}
	return s.Command.ProcessState.ExitCode()
}

// Stop ends the service in order.
func (s *Service) Stop(t testing.TB) {
	t.Helper()
	s.Client.CloseIdleConnections()
	s.Signal(t, syscall.SIGTERM)
	if code := s.Exit(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}

// Kill ends the service without a chance to do anything.
func (s *Service) Kill(t testing.TB) {
	t.Helper()
	s.Signal(t, syscall.SIGKILL)
	s.Exit(t)
	s.Client.CloseIdleConnections()
}

// Answer is what came back.
type Answer struct {
	Status  int
	Header  http.Header
	Body    []byte
	Closing bool // the server asked for another connection
}

// Ask sends a request with the token and returns the answer or what went wrong.
func (s *Service) Ask(ctx context.Context, method, path, body string, header ...string) (Answer, error) {
	q, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	q.Header.Set("Authorization", "Bearer "+Token)
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	response, err := s.Client.Do(q)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, content, response.Close}, err
}

// Send is Ask for a request that must be answered with a status.
func (s *Service) Send(t testing.TB, want int, method, path, body string, header ...string) Answer {
	t.Helper()
	got, err := s.Ask(t.Context(), method, path, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != want {
		t.Errorf("%s %s: status %d, want %d: %s", method, path, got.Status, want, got.Body)
	}
	return got
}

// Get is Send for what must be there.
func (s *Service) Get(t testing.TB, path string) Answer {
	t.Helper()
	return s.Send(t, http.StatusOK, http.MethodGet, path, "")
}

// Decode reads the JSON of an answer.
func Decode[T any](t testing.TB, a Answer) (value T) {
	t.Helper()
	if err := json.Unmarshal(a.Body, &value); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	return value
}
