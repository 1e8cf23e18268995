package gcpolicy

import (
	"strings"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	cfg := DefaultBackoff()
	var state BackoffState
	now := epoch
	if ok, _, _ := Allow(state, false, now); !ok {
		t.Error("the first collection is refused")
	}
	// Little reclaimed: the wait doubles up to the longest. Much reclaimed: it is the shortest again.
	for i, test := range []struct {
		reclaimed float64
		wait      time.Duration
	}{
		{0.5, 10 * time.Second}, {0.049, 20 * time.Second}, {0, 40 * time.Second}, {-1, 80 * time.Second}, {0, 160 * time.Second},
		{0, 300 * time.Second}, {0, 300 * time.Second}, {0.05, 10 * time.Second}, {0.01, 20 * time.Second},
	} {
		state = Record(state, cfg, test.reclaimed, time.Millisecond, now)
		ok, reason, retry := Allow(state, false, now.Add(time.Second))
		if ok || retry != test.wait-time.Second || !strings.Contains(reason, "the last forced collection, 1s ago, reclaimed") {
			t.Errorf("step %d: allowed %v, retry after %v (%s), want %v", i, ok, retry, reason, test.wait-time.Second)
		}
		if ok, _, _ := Allow(state, true, now.Add(time.Second)); !ok {
			t.Errorf("step %d: a forced request is refused", i)
		}
		if ok, _, _ := Allow(state, false, now.Add(test.wait-1)); ok {
			t.Errorf("step %d: allowed too early", i)
		}
		now = now.Add(test.wait)
		if ok, reason, retry := Allow(state, false, now); !ok || retry != 0 || reason != "" {
			t.Errorf("step %d: refused after the wait: %s", i, reason)
		}
	}
	if ok, _, _ := Allow(state, false, now.Add(-time.Hour)); !ok {
		t.Error("refused after the clock was set back")
	}
}

func TestBackoffBoundsTheTime(t *testing.T) {
	cfg := DefaultBackoff()
	state := Record(BackoffState{}, cfg, 0.5, 2*time.Second, epoch)
	for _, force := range []bool{false, true} {
		ok, reason, retry := Allow(state, force, epoch.Add(30*time.Second))
		if ok || retry != 10*time.Second || reason != "forced collections have had their share of the time: the next one may begin in 10s" {
			t.Errorf("force %v: allowed %v, retry after %v: %s", force, ok, retry, reason)
		}
		if ok, _, _ := Allow(state, force, epoch.Add(40*time.Second)); !ok {
			t.Errorf("force %v: refused after 20 times the collection's own time", force)
		}
	}
	state = Record(BackoffState{}, cfg, 0.5, -time.Second, epoch)
	if ok, reason, _ := Allow(state, true, epoch); !ok {
		t.Errorf("a clock that went back during the collection: %s", reason)
	}
}
