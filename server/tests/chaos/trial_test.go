//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

const (
	// maxRSS and maxLiveGrowth bound the memory of the service during and after a fault.
	maxRSS        = 256 << 20
	maxLiveGrowth = 16 << 20
	// soon is the time within which health must tell the truth.
	soon = servicetest.Soon
)

// state is what /api/health says; an answer that does not come is a state, too.
type state struct {
	silent  bool
	status  int
	Details map[string]struct{ Level, Message string }
}

// well: everything is ok.
func (s state) well() bool {
	for _, one := range s.Details {
		if one.Level != "ok" {
			return false
		}
	}
	return s.status == http.StatusOK
}

// level returns whether a check is at a level, and readiness as it must be then: off when something is down.
func level(check, want string) func(state) bool {
	return func(s state) bool {
		return s.Details[check].Level == want && (want == "down") == (s.status == http.StatusServiceUnavailable)
	}
}

// fault is what is done to the service.
type fault struct {
	name  string
	done  string           // in words
	begin func()           // the fault
	end   func()           // takes it back
	seen  func(state) bool // health tells the truth about it; nil: nothing that health should tell
	says  string           // what that is
	// accepts says that reports must be accepted during the fault.
	accepts bool
}

// suffer runs the service under load through a fault and looks at all that is promised.
func suffer(t *testing.T, how servicetest.Setup, f func(*servicetest.Service) fault) {
	t.Helper()
	defaults := map[string]string{"REPORT_RATE_LIMIT": "10000", "SAMPLE_INTERVAL": "100ms", "LOG_LEVEL": "warn"}
	for name, value := range how.Env {
		defaults[name] = value
	}
	how.Env = defaults
	s := how.Start(t)
	l, what := newLedger(), f(s)
	row := outcome{fault: what.name, done: what.done, said: "ok throughout"}
	defer func() {
		row.failed = t.Failed()
		outcomes.add(row)
	}()
	clients := startLoad(t, s, l)
	defer func() { clients.stop() }()
	servicetest.Within(t, servicetest.Patience, "accepted enough to prove something", func() bool { return l.accepted() >= 100 })
	await(t, s, time.Now(), "ok", state.well)
	before := liveHeap(t, s)

	what.begin()
	began := time.Now() // a busy disk may take its time to become a bad one
	if what.seen != nil {
		row.said, row.after = what.says, await(t, s, began, what.says, what.seen)
	}
	at := l.accepted()
	time.Sleep(lasting())
	if what.seen != nil {
		if now := ask1(t, s); !what.seen(now) {
			t.Errorf("while the fault lasts health changes its mind: %+v", now)
		}
	}
	if what.accepts && l.accepted() == at {
		t.Error("nothing is accepted during the fault")
	}
	what.end()
	ended := time.Now()
	at = l.accepted()
	row.recovered = await(t, s, ended, "ok", state.well)
	servicetest.Within(t, soon, "accepted something again", func() bool { return l.accepted() > at })

	clients.stop()
	row.accepted, row.lost = l.accepted(), l.check(t, s)
	row.peakRSS, row.liveDelta = peakRSS(t, s), liveHeap(t, s)-before
	if row.peakRSS > maxRSS || row.liveDelta > maxLiveGrowth {
		t.Errorf("memory is not bounded: peak RSS %d MiB, live heap grown by %d MiB", row.peakRSS>>20, row.liveDelta>>20)
	}
	s.Stop(t)
}

// await asks health until it says what it should, and returns how long after a moment that was.
func await(t *testing.T, s *servicetest.Service, since time.Time, what string, holds func(state) bool) time.Duration {
	t.Helper()
	var last state
	for {
		asked := time.Now()
		last = ask1(t, s)
		if holds(last) {
			return time.Since(since)
		}
		if asked.Sub(since) > soon {
			t.Fatalf("after %v health does not say %s but %+v", time.Since(since), what, last)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// ask1 asks health once, on a connection of its own as probes do.
func ask1(t *testing.T, s *servicetest.Service) state {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+healthPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Close = true
	prober := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := prober.Do(q)
	if err != nil {
		return state{silent: true}
	}
	defer response.Body.Close()
	now := state{status: response.StatusCode}
	if err := json.NewDecoder(response.Body).Decode(&now); err != nil {
		return state{silent: true}
	}
	return now
}

// liveHeap is what is left after a collection.
func liveHeap(t *testing.T, s *servicetest.Service) int64 {
	t.Helper()
	s.Send(t, http.StatusOK, http.MethodPost, memory+"/gc", "")
	return servicetest.Decode[struct {
		Go struct {
			Live int64 `json:"heap_live_bytes"`
		}
	}](t, s.Get(t, memory+"/stats")).Go.Live
}

// peakRSS is the most that the process ever had resident.
func peakRSS(t *testing.T, s *servicetest.Service) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Fatalf("no VmHWM in %s", text)
	return 0
}
