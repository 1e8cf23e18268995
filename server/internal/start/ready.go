package start

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// readiness waits until the service says where it listens, and then until its readiness route says yes. It asks nobody
// before: another service may have the address.
type readiness struct {
	logger *slog.Logger
	now    func() time.Time
	url    chan string // of the service
	known  bool        // whether the URL was found; used by the goroutine that reads alone

	cancel context.CancelFunc
	work   sync.WaitGroup
}

// pollInterval is how often readiness is asked for.
const pollInterval = 50 * time.Millisecond

// watch begins; stop ends it.
func watch(logger *slog.Logger, now func() time.Time) *readiness {
	ctx, cancel := context.WithCancel(context.Background())
	r := &readiness{logger: logger, now: now, url: make(chan string, 1), cancel: cancel}
	r.work.Go(func() { r.wait(ctx) })
	return r
}

func (r *readiness) stop() {
	r.cancel()
	r.work.Wait()
}

// healthURL is in what the service says once it listens.
var healthURL = regexp.MustCompile(`^  health +(http://\S+)/api/health$`)

func (r *readiness) read(line []byte) {
	if r.known {
		return
	}
	if found := healthURL.FindSubmatch(line); found != nil {
		r.known = true
		r.url <- string(found[1])
	}
}

func (r *readiness) wait(ctx context.Context) {
	began := r.now()
	warn := time.NewTicker(patience)
	defer warn.Stop()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	// The service is on this machine: no proxy, and no connection that is kept when it ends.
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	url, why := "", "it does not listen yet"
	for {
		select {
		case url = <-r.url:
		case <-warn.C:
			r.logger.Error("the service is not ready", "after", r.now().Sub(began).Round(time.Second).String(), "reason", why)
			continue
		case <-poll.C:
		case <-ctx.Done():
			return
		}
		if url == "" {
			continue
		}
		if why = ask(ctx, client, url+"/readyz?verbose"); why == "" {
			r.logger.Info("the service is ready", "url", url, "after", r.now().Sub(began).Round(time.Millisecond).String())
			return
		}
	}
}

// ask returns why the service is not ready; nothing if it is.
func ask(ctx context.Context, client *http.Client, url string) (why string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }() // only read
	if response.StatusCode == http.StatusOK {
		return ""
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s: %s", response.Status, strings.TrimSpace(string(body)))
}
