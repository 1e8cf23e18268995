package gcpolicy

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/memstat"
)

// plant is a heap that collections act on as told.
type plant struct {
	mu                      sync.Mutex
	objects, live, released int64
	took                    time.Duration // of each collection
	collected, returned     int
	hold                    chan struct{} // what a collection waits for; nil: nothing
}

func (p *plant) measure() Figures {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Figures{HeapLiveBytes: mebibytes(p.live), HeapObjectsBytes: mebibytes(p.objects), UsedBytes: mebibytes(500 - p.released), ReleasedBytes: mebibytes(p.released)}
}

func (p *plant) collect() {
	if p.hold != nil {
		<-p.hold
	}
	time.Sleep(p.took)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.objects = p.live
	p.collected++
}

func (p *plant) returnToOS() {
	time.Sleep(p.took)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.objects = p.live
	p.released = 400 - p.live
	p.returned++
}

func (p *plant) collector(t *testing.T) *Collector {
	t.Helper()
	c, err := NewCollector(CollectorOptions{Config: DefaultBackoff(), Measure: p.measure, Now: time.Now, Collect: p.collect, ReturnToOS: p.returnToOS})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func run(t *testing.T, c *Collector, request Request) Result {
	t.Helper()
	r, err := c.Run(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plant{objects: 300, live: 100, took: 100 * time.Millisecond}
		c := p.collector(t)
		r := run(t, c, Request{Reason: "asked"})
		if !r.Ran || r.Shared || r.ReturnedToOS || r.Reason != "asked" || r.FreedBytes != mebibytes(200) || r.ReturnedBytes != mebibytes(0) ||
			r.Duration != p.took || r.RetryAfter != 10*time.Second || r.Before.HeapObjectsBytes != mebibytes(300) || r.After.HeapObjectsBytes != mebibytes(100) {
			t.Errorf("%+v", r)
		}
		time.Sleep(time.Second)
		r = run(t, c, Request{Reason: "again"})
		if r.Ran || r.RetryAfter != 9*time.Second || r.Reason != "not run: the last forced collection, 1s ago, reclaimed 66.7 %: the next one may begin in 9s" {
			t.Errorf("%+v", r)
		}
		// 0.1 s of collection is paid for with 2 s of rest, by those who force too.
		if r = run(t, c, Request{Force: true}); r.Ran || r.RetryAfter != time.Second {
			t.Errorf("%+v", r)
		}
		time.Sleep(time.Second)
		if r = run(t, c, Request{Force: true}); !r.Ran || r.RetryAfter != 20*time.Second {
			t.Errorf("a collection that reclaims nothing: %+v", r)
		}
		time.Sleep(20 * time.Second)
		p.live = 99 // returning memory is worth while even if no garbage is left
		if r = run(t, c, Request{ReturnToOS: true}); !r.Ran || !r.ReturnedToOS || r.ReturnedBytes != mebibytes(301) || r.RetryAfter != 10*time.Second {
			t.Errorf("%+v", r)
		}
		if p.collected != 2 || p.returned != 1 {
			t.Errorf("%d collections, %d returns", p.collected, p.returned)
		}
	})
}

func TestCollectorIsSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plant{objects: 300, live: 100, hold: make(chan struct{})}
		c := p.collector(t)
		var ran, shared, returned atomic.Int32
		for i := range 10 {
			go func() {
				r, err := c.Run(context.Background(), Request{Reason: "crowd", ReturnToOS: i == 7})
				if err != nil || r.FreedBytes != mebibytes(200) || !r.Ran {
					t.Errorf("%+v, %v", r, err)
				}
				if r.Shared {
					shared.Add(1)
				} else {
					ran.Add(1)
				}
				if r.ReturnedToOS {
					returned.Add(1)
				}
			}()
			synctest.Wait() // the first leads
		}
		// Who waits may leave.
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := c.Run(ctx, Request{})
			left <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "waiting for a collection that is under way") {
			t.Errorf("%v", err)
		}
		close(p.hold)
		synctest.Wait()
		if ran.Load() != 1 || shared.Load() != 9 || p.collected != 1 {
			t.Errorf("%d ran, %d shared, %d collections", ran.Load(), shared.Load(), p.collected)
		}
		// One of those who joined asked for memory to be returned, so it was, for all.
		if returned.Load() != 10 || p.returned != 1 {
			t.Errorf("%d of 10 got memory returned, %d times", returned.Load(), p.returned)
		}
		if _, err := c.Run(ctx, Request{}); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "not begun") {
			t.Errorf("%v", err)
		}
	})
}

func TestCollectorSurvivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plant{objects: 300, live: 100}
		hold, broken := make(chan struct{}), true
		c, err := NewCollector(CollectorOptions{Config: DefaultBackoff(), Measure: p.measure, Now: time.Now, Collect: func() {
			if broken {
				<-hold
				panic("broken")
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is swallowed")
				}
			}()
			_, _ = c.Run(context.Background(), Request{})
		}()
		synctest.Wait()
		waiting := make(chan error)
		go func() {
			_, err := c.Run(context.Background(), Request{})
			waiting <- err
		}()
		synctest.Wait()
		close(hold)
		if err := <-waiting; !errors.Is(err, errUnfinished) {
			t.Errorf("who waited is told %v", err)
		}
		broken = false
		if r := run(t, c, Request{}); !r.Ran {
			t.Errorf("%+v", r)
		}
	})
}

func TestCollectorWithoutFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewCollector(CollectorOptions{Config: DefaultBackoff(), Measure: func() Figures { return Figures{} }, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		r := run(t, c, Request{Reason: "blind"})
		if _, ok := r.FreedBytes.Get(); ok || r.RetryAfter < 20*time.Second {
			t.Errorf("what is not known counts as nothing: %+v", r)
		}
		text, err := json.Marshal(r)
		if err != nil || strings.Contains(string(text), "freed_bytes") || !strings.Contains(string(text), `"retry_after_seconds":20`) {
			t.Errorf("%s, %v", text, err)
		}
	})
}

// TestCollectorOnTheRuntime forces a real collection and returns real memory.
func TestCollectorOnTheRuntime(t *testing.T) {
	measure := func() Figures {
		read := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		metrics.Read(read)
		return Figures{HeapObjectsBytes: memstat.Known(int64(read[0].Value.Uint64())), ReleasedBytes: memstat.Known(int64(read[1].Value.Uint64()))}
	}
	c, err := NewCollector(CollectorOptions{Config: DefaultBackoff(), Measure: measure, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	garbage := make([]byte, 64*mib)
	for i := range garbage {
		garbage[i] = 1
	}
	runtime.KeepAlive(garbage)
	r := run(t, c, Request{Reason: "test", ReturnToOS: true})
	if !r.Ran || r.FreedBytes.Or(0) < 60*mib || r.ReturnedBytes.Or(0) < 30*mib || r.Duration <= 0 {
		t.Errorf("%+v", r)
	}
	r = run(t, c, Request{Reason: "test", ReturnToOS: true})
	if r.Ran || r.RetryAfter <= 0 {
		t.Errorf("%+v", r)
	}
}

func TestNewCollectorRejects(t *testing.T) {
	_, err := NewCollector(CollectorOptions{})
	if err == nil {
		t.Fatal("nothing is enough")
	}
	for _, part := range []string{"gcpolicy: collector: ", "backoff.min_interval_seconds", "measure: missing", "now: missing"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v: want %s", err, part)
		}
	}
	c := (&plant{}).collector(t)
	if err := c.SetConfig(BackoffConfig{}); err == nil {
		t.Error("a wrong configuration is accepted")
	}
	short := DefaultBackoff()
	short.MinInterval = time.Second
	if err := c.SetConfig(short); err != nil {
		t.Error(err)
	}
	if r := run(t, c, Request{Force: true}); r.RetryAfter != 2*time.Second {
		t.Errorf("%+v", r)
	}
}

func TestFiguresOf(t *testing.T) {
	var s memstat.Sample
	s.Go.HeapLiveBytes, s.Go.HeapObjectsBytes, s.Go.HeapFreeBytes = mebibytes(1), mebibytes(2), mebibytes(3)
	s.Go.UsedBytes, s.Go.HeapReleasedBytes, s.Process.RSSBytes = mebibytes(4), mebibytes(5), mebibytes(6)
	want := Figures{mebibytes(1), mebibytes(2), mebibytes(3), mebibytes(4), mebibytes(5), mebibytes(6)}
	if got := FiguresOf(&s); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
