//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

const (
	reporters = 4
	readers   = 2
	// pause is what a client waits between two requests, longer where it was refused.
	pause, refusedPause = 5 * time.Millisecond, 50 * time.Millisecond
	// answerTimeout is more than the service takes for any answer.
	answerTimeout = 30 * time.Second
)

// load are clients that write and read until they are stopped.
type load struct {
	stop func() // waits for them
}

// startLoad begins to write and read. What is acknowledged is put down in the ledger; a refusal must be 503 or no answer
// at all, in which case the outcome is open.
func startLoad(t *testing.T, s *servicetest.Service, l *ledger) load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for range reporters {
		clients.Go(func() { l.write(ctx, t, s, http.MethodPost, frontend, http.StatusCreated, reportBody, noteReport) })
	}
	clients.Go(func() { l.write(ctx, t, s, http.MethodPatch, memory+"/config", http.StatusOK, patchBody, noteChange) })
	paths := []string{memory + "/stats", memory + "/stats?history=1s", memory + "/limits", frontend, memory + "/config", "/metrics"}
	for i := range readers {
		clients.Go(func() { read(ctx, t, s, paths, i) })
	}
	return load{func() { cancel(); clients.Wait() }}
}

// write sends one thing after the other.
func (l *ledger) write(ctx context.Context, t *testing.T, s *servicetest.Service, method, path string, want int, body func(int64) string,
	note func(*ledger, []byte, int64) error,
) {
	for ctx.Err() == nil {
		number := l.next.Add(1)
		got, err := ask(ctx, s, method, path, body(number))
		wait := pause
		switch {
		case err != nil:
			wait = refusedPause
		case got.Status == want:
			if err := note(l, got.Body, number); err != nil {
				t.Errorf("%s %s: %v: %s", method, path, err, got.Body)
			}
		case got.Status == http.StatusServiceUnavailable:
			wait = refusedPause
		default:
			t.Errorf("%s %s: status %d: %s", method, path, got.Status, got.Body)
			return
		}
		rest(ctx, wait)
	}
}

func noteReport(l *ledger, answer []byte, number int64) error {
	var received struct{ ID int64 }
	err := json.Unmarshal(answer, &received)
	if err == nil {
		l.noteReport(received.ID, number)
	}
	return err
}

func noteChange(l *ledger, answer []byte, number int64) error {
	var config struct{ Version int64 }
	err := json.Unmarshal(answer, &config)
	if err == nil {
		l.noteChange(config.Version, patchBody(number))
	}
	return err
}

func read(ctx context.Context, t *testing.T, s *servicetest.Service, paths []string, from int) {
	for i := from; ctx.Err() == nil; i++ {
		path := paths[i%len(paths)]
		got, err := ask(ctx, s, http.MethodGet, path, "")
		wait := pause
		switch {
		case err != nil || got.Status == http.StatusServiceUnavailable:
			wait = refusedPause
		case got.Status != http.StatusOK:
			t.Errorf("GET %s: status %d: %s", path, got.Status, got.Body)
			return
		}
		rest(ctx, wait)
	}
}

// ask does not break off a request because the load ends: what is on its way may be acknowledged.
func ask(ctx context.Context, s *servicetest.Service, method, path, body string) (servicetest.Answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	return s.Ask(ctx, method, path, body)
}

func rest(ctx context.Context, long time.Duration) {
	select {
	case <-time.After(long):
	case <-ctx.Done():
	}
}
