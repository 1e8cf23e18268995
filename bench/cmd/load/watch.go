package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/memwarden/memwarden/bench/internal/process"
	"github.com/memwarden/memwarden/bench/internal/service"
	"github.com/memwarden/memwarden/leak/trend"
)

const (
	interval = time.Second
	// standstill is from when on the machine is taken to have stood still: not even the watcher, which does next to
	// nothing, got its turn.
	standstill = 5 * time.Second
	// mostFailures is how often on end the service may not answer the watcher.
	mostFailures = 30
)

// watched is what was seen of the service, once a second.
type watched struct {
	at         []float64 // seconds since the beginning
	rss        []float64 // as the kernel says
	heapLive   []float64 // as the service says; NaN before its first collection
	goroutines []float64
	waiting    float64       // share of the time in which something on the machine waited for a processor
	still      time.Duration // how long the machine stood still, in all
	err        error
}

// watch looks at the service until ctx ends, or until it cannot be seen any more.
func watch(ctx context.Context, s *service.Service) (w watched) {
	waited, known := process.ReadProcessorPressure("/proc")
	w.waiting = math.NaN() // before Linux 5.2 nobody counts
	if known == nil {
		defer func(began time.Time) {
			if now, err := process.ReadProcessorPressure("/proc"); err == nil {
				w.waiting = (now - waited).Seconds() / time.Since(began).Seconds()
			}
		}(time.Now())
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	began := time.Now().Round(0) // times of day: a machine that is halted may halt its monotonic clock, too
	last, failures := began, 0
	for {
		select {
		case <-ctx.Done():
			return w
		case <-ticker.C:
		}
		now := time.Now().Round(0)
		if gap := now.Sub(last); gap > standstill {
			w.still += gap
		}
		last = now
		err := w.look(ctx, s, now.Sub(began).Seconds())
		last = time.Now().Round(0) // how long the service took for its answer is not the machine's standstill
		if err == nil {
			failures = 0
		} else if failures++; ctx.Err() == nil && failures >= mostFailures {
			w.err = fmt.Errorf("the service was not seen %d times on end: %w", failures, err)
			return w
		}
	}
}

func (w *watched) look(ctx context.Context, s *service.Service, at float64) error {
	rss, err := process.ReadRSS("/proc", s.PID)
	if err != nil {
		return err
	}
	var stats struct {
		Go struct {
			HeapLive   float64 `json:"heap_live_bytes"`
			Goroutines float64
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := s.Read(ctx, http.MethodGet, service.StatsPath, "", &stats); err != nil {
		return err
	}
	if stats.Go.HeapLive == 0 {
		stats.Go.HeapLive = math.NaN()
	}
	w.at, w.rss = append(w.at, at), append(w.rss, float64(rss))
	w.heapLive, w.goroutines = append(w.heapLive, stats.Go.HeapLive), append(w.goroutines, stats.Go.Goroutines)
	return nil
}

const (
	// alpha is the significance from which on a slope is distinguishable from 0.
	alpha = 0.01
	// floorSeconds is how long a stretch of the live heap is, of which the least is judged: what requests under way hold
	// comes on top.
	floorSeconds = 10
	// leastJudged is how long a run must be for its slope to be judged: in a shorter one what fills up once would count.
	leastJudged = 10 * time.Minute
)

// warmUp is the part of a run in which caches fill, the one of known reports last: its entries live for ten minutes. It is
// not judged.
func warmUp(d time.Duration) time.Duration { return min(d*2/5, 12*time.Minute) }

// slope judges the floors of the live heap after a warm-up.
func (w *watched) slope(after time.Duration) trend.Trend {
	var at, floors []float64
	for i, live := range w.heapLive {
		if w.at[i] < after.Seconds() || math.IsNaN(live) {
			continue
		}
		if n := len(at); n > 0 && w.at[i]-at[n-1] < floorSeconds {
			floors[n-1] = min(floors[n-1], live)
			continue
		}
		at, floors = append(at, w.at[i]), append(floors, live)
	}
	return trend.Of(at, floors, alpha)
}
