package limit

import (
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

// runtimeLimit stands in for the runtime's memory limit, so that tests do not disturb each other.
type runtimeLimit struct {
	mu     sync.Mutex
	limit  int64
	onRead func() // what the program does right after the limit was read
}

func (r *runtimeLimit) set(limit int64) int64 {
	r.mu.Lock()
	previous := r.limit
	if limit >= 0 {
		r.limit = limit
	}
	hook := r.onRead
	if limit < 0 {
		r.onRead = nil
	}
	r.mu.Unlock()
	if limit < 0 && hook != nil {
		hook()
	}
	return previous
}

func newOwner(t *testing.T, options Options) *Owner {
	t.Helper()
	o, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOwnerOnTheRuntime(t *testing.T) {
	before := debug.SetMemoryLimit(None)
	defer debug.SetMemoryLimit(before)
	o := newOwner(t, Options{Config: Default()})
	if d := o.Decision(); d.LimitBytes != None || !strings.Contains(d.Reason, "nothing is known") {
		t.Errorf("before the first update: %+v", d)
	}
	inForce := func(want int64) {
		t.Helper()
		if got := debug.SetMemoryLimit(-1); got != want || o.Decision().LimitBytes != want {
			t.Errorf("limit %d in force, decided %d, want %d", got, o.Decision().LimitBytes, want)
		}
	}
	inForce(None)
	o.Update(1000*mib, true, epoch)
	inForce(900 * mib)
	o.Relieve(1.05, epoch.Add(time.Minute))
	inForce(945 * mib)
	o.Update(1000*mib, true, epoch.Add(time.Minute))
	inForce(900 * mib)
	if err := o.SetConfig(Config{Manage: true, Ratio: 0.5}); err != nil {
		t.Error(err)
	}
	inForce(500 * mib)
	if err := o.SetConfig(Config{Manage: true, Ratio: 5}); err == nil || !strings.Contains(err.Error(), "limit: ratio: 5") {
		t.Errorf("a wrong configuration: %v", err)
	}
	inForce(500 * mib)
	o.Close()
	inForce(None)
	o.Update(1000*mib, true, epoch.Add(time.Hour))
	o.Relieve(1.1, epoch.Add(2*time.Hour))
	ended := o.Decision()
	o.Close()
	inForce(None)
	if ended != o.Decision() || ended.Reason != "limit none: management has ended" {
		t.Errorf("%+v, after a second Close %+v", ended, o.Decision())
	}
}

func TestOwnerCloseKeepsTheProgramsLimit(t *testing.T) {
	r := &runtimeLimit{limit: None}
	o := newOwner(t, Options{Config: Default(), SetMemoryLimit: r.set})
	o.Update(1000*mib, true, epoch)
	r.set(700 * mib)
	o.Close()
	if r.limit != 700*mib || o.Decision().LimitBytes != r.limit || !strings.Contains(o.Decision().Reason, "the program has set it since") {
		t.Errorf("limit %d after Close: %+v", r.limit, o.Decision())
	}
}

func TestOwnerEnvironment(t *testing.T) {
	r := &runtimeLimit{limit: 400 * mib}
	o := newOwner(t, Options{Config: Default(), ExplicitEnv: "400MiB", SetMemoryLimit: r.set})
	if d := o.Update(1000*mib, true, epoch); d.Source != SourceExplicit || r.limit != 400*mib {
		t.Errorf("%+v", d)
	}
	o.Close()
	o = newOwner(t, Options{Config: Default(), ExplicitEnv: "400MiB", Derived: "1", SetMemoryLimit: r.set})
	if d := o.Update(1000*mib, true, epoch); d.Source != SourceDerived || r.limit != 900*mib {
		t.Errorf("%+v", d)
	}
	o.Close()
	if r.limit != 400*mib {
		t.Errorf("limit %d after Close", r.limit)
	}
}

// TestOwnerRace: the program sets a limit between the Owner's reading and its writing.
func TestOwnerRace(t *testing.T) {
	for _, updates := range []int{0, 1} {
		r := &runtimeLimit{limit: None}
		o := newOwner(t, Options{Config: Default(), SetMemoryLimit: r.set})
		for range updates {
			o.Update(1000*mib, true, epoch)
		}
		r.onRead = func() { r.set(123 * mib) }
		d := o.Update(2000*mib, true, epoch)
		if r.limit != 123*mib || d.Source != SourceProgram || d.Apply {
			t.Errorf("after %d updates: limit %d, %+v", updates, r.limit, d)
		}
		o.Close()
		if r.limit != 123*mib {
			t.Errorf("limit %d after Close", r.limit)
		}
	}
}

func TestOwnerConcurrently(t *testing.T) {
	r := &runtimeLimit{limit: None}
	o := newOwner(t, Options{Config: Default(), SetMemoryLimit: r.set})
	var all sync.WaitGroup
	for worker := range uint64(4) {
		all.Go(func() {
			random := rand.New(rand.NewPCG(worker, 2))
			for i := range 200 {
				now := epoch.Add(time.Duration(i) * time.Second)
				switch random.IntN(4) {
				case 0:
					o.Relieve(1.1, now.Add(time.Minute))
				case 1:
					if err := o.SetConfig(Config{Manage: random.IntN(2) == 0, Ratio: 0.8}); err != nil {
						t.Error(err)
					}
				default:
					o.Update((100+random.Int64N(1000))*mib, random.IntN(5) > 0, now)
				}
				if d := o.Decision(); d.Source == SourceProgram {
					t.Errorf("takes its own limit for the program's: %+v", d)
				}
			}
		})
	}
	all.Wait()
	o.Close()
	if r.limit != None {
		t.Errorf("limit %d after Close", r.limit)
	}
}

func TestNewRejects(t *testing.T) {
	if _, err := New(Options{}); err == nil || !strings.HasPrefix(err.Error(), "limit: ratio: 0") {
		t.Errorf("%v", err)
	}
}

func BenchmarkOwnerUpdate(b *testing.B) {
	r := &runtimeLimit{limit: None}
	o, err := New(Options{Config: Default(), SetMemoryLimit: r.set})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		o.Update(512*mib, true, epoch)
	}
}
