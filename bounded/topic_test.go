package bounded

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var _ Owner = (*Topic[int])(nil)

func newTopic[T any](t testing.TB, options TopicOptions) *Topic[T] {
	t.Helper()
	options.Name = "test"
	topic, err := NewTopic[T](options)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func subscribe[T any](t testing.TB, topic *Topic[T], options ListenerOptions, handle func(context.Context, T)) func(context.Context) error {
	t.Helper()
	cancel, err := topic.Subscribe(options, handle)
	if err != nil {
		t.Fatal(err)
	}
	return cancel
}

func publish[T any](t testing.TB, topic *Topic[T], events ...T) {
	t.Helper()
	for _, event := range events {
		if err := topic.Publish(context.Background(), event); err != nil {
			t.Fatal(err)
		}
	}
}

func closeTopic[T any](t testing.TB, topic *Topic[T]) {
	t.Helper()
	if err := topic.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestTopicKeepsOrder has several publishers and listeners of every policy at once: each listener sees the events of
// each publisher in their order, and those that block see all.
func TestTopicKeepsOrder(t *testing.T) {
	const publishers, events = 4, 1500
	type event struct{ publisher, number int }
	topic := newTopic[event](t, TopicOptions{})
	var heard [6]atomic.Int64
	for i := range heard {
		last := [publishers]int{}
		subscribe(t, topic, ListenerOptions{Queue: 1 + 7*i, Overflow: OverflowPolicy(i % 3)}, func(_ context.Context, e event) {
			if e.number <= last[e.publisher] {
				t.Errorf("listener %d: event %d of publisher %d after %d", i, e.number, e.publisher, last[e.publisher])
			}
			last[e.publisher] = e.number
			heard[i].Add(1)
		})
	}
	var group sync.WaitGroup
	for publisher := range publishers {
		group.Go(func() {
			for number := range events {
				publish(t, topic, event{publisher, number + 1})
				if usage := topic.Usage(); usage.Entries > usage.MaxEntries || usage.Bytes > usage.MaxBytes || usage.Entries < 6 {
					t.Errorf("a bound is passed: %+v", usage)
				}
			}
		})
	}
	group.Wait()
	closeTopic(t, topic)
	var sum int64
	for i := range heard {
		if count := heard[i].Load(); OverflowPolicy(i%3) == Block && count != publishers*events {
			t.Errorf("listener %d: %d events, want all %d", i, count, publishers*events)
		}
		sum += heard[i].Load()
	}
	stats := topic.Stats()
	want := TopicStats{Published: publishers * events, Delivered: uint64(sum), Dropped: uint64(6*publishers*events - sum)}
	if stats != want {
		t.Errorf("%+v, want %+v", stats, want)
	}
	if usage := topic.Usage(); usage.Entries != 0 || usage.Bytes != topicBytes {
		t.Errorf("after Close: %+v", usage)
	}
}

// gate lets a listener handle one event when the test says so.
type gate struct {
	open  chan struct{}
	heard []int
}

func (g *gate) handle(_ context.Context, event int) {
	<-g.open
	g.heard = append(g.heard, event)
}

// TestTopicPoliciesAgainstAModel publishes and lets a listener work at random, and compares with a slice.
func TestTopicPoliciesAgainstAModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, policy := range []OverflowPolicy{DropOldest, DropNewest, Block} {
		for range 5 {
			synctest.Test(t, func(t *testing.T) { comparePolicy(t, random, policy) })
		}
	}
}

func comparePolicy(t *testing.T, random *rand.Rand, policy OverflowPolicy) {
	queue := 1 + random.IntN(8)
	topic := newTopic[int](t, TopicOptions{EventBytes: 100})
	g := &gate{open: make(chan struct{})}
	var lost atomic.Uint64
	subscribe(t, topic, ListenerOptions{Queue: queue, Overflow: policy, Dropped: &lost}, g.handle)
	gone, leave := context.WithCancel(t.Context())
	leave()

	var waiting, heard []int // waiting[0] is being handled
	dropped, peak := 0, 1
	for number := range 500 {
		switch {
		case random.IntN(2) == 0 && len(waiting) > 0:
			g.open <- struct{}{}
			heard, waiting = append(heard, waiting[0]), waiting[1:]
		case random.IntN(30) == 0:
			few := random.IntN(queue + 1)
			freed := topic.Shrink(t.Context(), int64(few*100))
			few = min(few, max(0, len(waiting)-1))
			if policy == Block {
				few = 0 // a listener that is promised every event
			}
			if freed != int64(few*100) {
				t.Fatalf("event %d: %d bytes freed, want %d", number, freed, few*100)
			}
			if few > 0 {
				waiting = slices.Delete(waiting, 1, 1+few)
			}
			dropped += few
		default:
			err := topic.Publish(gone, number) // a Publish that never waits
			full := len(waiting) == queue+1
			if missed := full && policy == Block; missed != (err != nil) || missed && !errors.Is(err, context.Canceled) {
				t.Fatalf("event %d: %v with %d waiting in a queue of %d", number, err, len(waiting)-1, queue)
			}
			if full {
				dropped++
			}
			if full && policy == DropOldest {
				waiting = slices.Delete(waiting, 1, 2)
			}
			if !full || policy == DropOldest {
				waiting = append(waiting, number)
			}
		}
		synctest.Wait()
		queued := max(0, len(waiting)-1)
		peak = max(peak, 1+queued)
		stats, usage := topic.Stats(), topic.Usage()
		if stats.Queued != queued || stats.Dropped != uint64(dropped) || lost.Load() != uint64(dropped) || usage.Entries != int64(1+queued) ||
			usage.Bytes != topicBytes+listenerBytes+int64(8*queue+100*queued) {
			t.Fatalf("event %d: %d queued, %d dropped; stats %+v, usage %+v", number, queued, dropped, stats, usage)
		}
	}
	close(g.open)
	closeTopic(t, topic)
	if heard = append(heard, waiting...); !slices.Equal(g.heard, heard) {
		t.Errorf("queue of %d: heard\n%v, want\n%v", queue, g.heard, heard)
	}
	// An event is in the queue for a moment before it is handled, which the model does not show.
	if got := topic.Usage().PeakEntries; got != int64(peak) && got != int64(peak+1) && peak > 2 {
		t.Errorf("peak %d, want about %d", got, peak)
	}
}

func TestTopicBlockWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := newTopic[int](t, TopicOptions{})
		g := &gate{open: make(chan struct{})}
		subscribe(t, topic, ListenerOptions{Queue: 2, Overflow: Block}, g.handle)
		lossy := make(chan int, 100)
		subscribe(t, topic, ListenerOptions{}, func(_ context.Context, event int) { lossy <- event })
		publish(t, topic, 1)
		synctest.Wait() // 1 is being handled
		publish(t, topic, 2, 3)
		var published atomic.Int64
		var group sync.WaitGroup
		for event := 4; event < 8; event++ {
			group.Go(func() { publish(t, topic, event); published.Add(1) })
		}
		synctest.Wait()
		if published.Load() != 0 || len(lossy) != 7 {
			t.Errorf("%d of 4 were published into a full queue; the other listener has %d of 7", published.Load(), len(lossy))
		}
		patience, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("out of patience"))
		defer cancel()
		if err := topic.Publish(patience, 8); err == nil || !strings.Contains(err.Error(), "1 listeners missed an event: out of patience") {
			t.Errorf("after a second: %v", err)
		}
		for handled := 1; handled <= 4; handled++ {
			g.open <- struct{}{}
			synctest.Wait()
			if published.Load() != int64(handled) {
				t.Errorf("room for %d, %d published", handled, published.Load())
			}
		}
		group.Wait()
		close(g.open)
		closeTopic(t, topic)
		slices.Sort(g.heard)
		if !slices.Equal(g.heard, []int{1, 2, 3, 4, 5, 6, 7}) {
			t.Errorf("heard %v", g.heard)
		}
	})
}

func TestTopicCancelWaitsForARunningCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := newTopic[int](t, TopicOptions{})
		g := &gate{open: make(chan struct{})}
		var told error
		var lost atomic.Uint64
		cancel := subscribe(t, topic, ListenerOptions{Dropped: &lost}, func(ctx context.Context, event int) {
			g.handle(ctx, event)
			told = context.Cause(ctx)
		})
		publish(t, topic, 1, 2, 3)
		synctest.Wait()
		impatient, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := cancel(impatient); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while the listener is at work: %v", err)
		}
		var returned atomic.Bool
		go func() {
			if err := cancel(t.Context()); err != nil {
				t.Error(err)
			}
			returned.Store(true)
		}()
		synctest.Wait()
		if stats := topic.Stats(); returned.Load() || stats.Listeners != 1 || stats.Queued != 0 || stats.Dropped != 2 {
			t.Errorf("returned %t while the listener is at work: %+v", returned.Load(), stats)
		}
		g.open <- struct{}{}
		synctest.Wait()
		if !returned.Load() || !slices.Equal(g.heard, []int{1}) || !errors.Is(told, errRemoved) {
			t.Errorf("returned %t, heard %v, the listener was told %v", returned.Load(), g.heard, told)
		}
		publish(t, topic, 4)
		if err := cancel(t.Context()); err != nil {
			t.Errorf("once more: %v", err)
		}
		if stats := topic.Stats(); stats != (TopicStats{Published: 4, Delivered: 1, Dropped: 2}) || lost.Load() != 2 {
			t.Errorf("%+v", stats)
		}
	})
}

func TestTopicCancelFromWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := newTopic[int](t, TopicOptions{})
		var heard []int
		var cancel func(context.Context) error
		cancel = subscribe(t, topic, ListenerOptions{}, func(ctx context.Context, event int) {
			heard = append(heard, event)
			inner, stop := context.WithTimeout(ctx, time.Hour)
			defer stop()
			if err := cancel(inner); err != nil {
				t.Errorf("from within: %v", err)
			}
		})
		publish(t, topic, 1, 2, 3)
		synctest.Wait()
		if !slices.Equal(heard, []int{1}) || topic.Stats().Listeners != 0 {
			t.Errorf("heard %v; %+v", heard, topic.Stats())
		}

		// Two that cancel each other: their contexts are done, so that neither waits for good.
		var cancels [2]func(context.Context) error
		var both sync.WaitGroup
		both.Add(2)
		for i := range cancels {
			cancels[i] = subscribe(t, topic, ListenerOptions{}, func(ctx context.Context, _ int) {
				both.Done()
				both.Wait()
				_ = cancels[1-i](ctx) // whether it had to give up waiting depends on who came first
			})
		}
		publish(t, topic, 4)
		synctest.Wait()
		if left := topic.Stats().Listeners; left != 0 {
			t.Errorf("%d listeners wait for each other", left)
		}
	})
}

func TestTopicCloseHandlesWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := newTopic[int](t, TopicOptions{})
		heard := 0
		cancel := subscribe(t, topic, ListenerOptions{}, func(ctx context.Context, _ int) {
			time.Sleep(time.Second)
			heard++
			if ctx.Err() != nil {
				t.Error("told to stop while there was time")
			}
		})
		publish(t, topic, 1, 2, 3)
		closeTopic(t, topic)
		closeTopic(t, topic)
		if heard != 3 || topic.Stats().Listeners != 0 {
			t.Errorf("%d of 3 events handled: %+v", heard, topic.Stats())
		}
		if err := topic.Publish(t.Context(), 4); !errors.Is(err, ErrTopicClosed) {
			t.Errorf("Publish after Close: %v", err)
		}
		if _, err := topic.Subscribe(ListenerOptions{}, func(context.Context, int) {}); !errors.Is(err, ErrTopicClosed) {
			t.Errorf("Subscribe after Close: %v", err)
		}
		if err := cancel(t.Context()); err != nil {
			t.Errorf("cancel after Close: %v", err)
		}
	})
}

func TestTopicCloseWithADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := newTopic[int](t, TopicOptions{})
		deaf := make(chan struct{})
		subscribe(t, topic, ListenerOptions{Queue: 1, Overflow: Block}, func(context.Context, int) { <-deaf })
		told := false
		subscribe(t, topic, ListenerOptions{}, func(ctx context.Context, _ int) { <-ctx.Done(); told = true })
		publish(t, topic, 1)
		synctest.Wait()
		publish(t, topic, 2)
		blocked := make(chan error, 1)
		go func() { blocked <- topic.Publish(context.Background(), 3) }()
		synctest.Wait()

		deadline, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := topic.Close(deadline); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 listeners at work") {
			t.Errorf("Close with a deaf listener: %v", err)
		}
		if err := <-blocked; !errors.Is(err, ErrTopicClosed) {
			t.Errorf("the publisher that waited got %v", err)
		}
		synctest.Wait()
		if stats := topic.Stats(); !told || stats.Listeners != 1 || stats.Queued != 0 {
			t.Errorf("the listener that listens to its context was told: %t; %+v", told, stats)
		}
		close(deaf)
		closeTopic(t, topic)
		if usage := topic.Usage(); usage.Entries != 0 || usage.Bytes != topicBytes {
			t.Errorf("%+v", usage)
		}
	})
}

func TestTopicCloseFromWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := newTopic[int](t, TopicOptions{})
		var both sync.WaitGroup
		both.Add(2)
		for range 2 {
			subscribe(t, topic, ListenerOptions{}, func(ctx context.Context, _ int) {
				both.Done()
				both.Wait()
				if err := topic.Close(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		publish(t, topic, 1)
		synctest.Wait()
		if left := topic.Stats().Listeners; left != 0 {
			t.Errorf("%d listeners wait for each other", left)
		}
	})
}

// TestTopicUnderFire subscribes, cancels, publishes, shrinks and at last closes, all at once.
func TestTopicUnderFire(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	topic := newTopic[*int](t, TopicOptions{MaxListeners: 20, MaxQueue: 16, EventBytes: 10, OnPanic: func(ListenerPanic) {}})
	var group, ready sync.WaitGroup
	for worker := range 4 {
		ready.Add(1)
		group.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(worker)))
			hurry, stop := context.WithCancel(t.Context())
			stop()
			for step := 0; ; step++ {
				if step == 200 {
					ready.Done()
				}
				err := topic.Publish([]context.Context{t.Context(), hurry}[random.IntN(2)], new(int))
				if errors.Is(err, ErrTopicClosed) {
					return
				}
				topic.Shrink(t.Context(), 30)
				var removed atomic.Bool
				cancel, err := topic.Subscribe(ListenerOptions{Queue: 1 + random.IntN(16), Overflow: OverflowPolicy(random.IntN(3))},
					func(_ context.Context, event *int) {
						if removed.Load() || event == nil {
							t.Error("called after it was removed, or with nothing")
						}
						if step%7 == 0 {
							panic("now and then")
						}
					})
				if err != nil {
					continue
				}
				if usage := topic.Usage(); usage.Entries > usage.MaxEntries || usage.Bytes > usage.MaxBytes {
					t.Errorf("a bound is passed: %+v", usage)
				}
				if random.IntN(3) > 0 {
					if err := cancel(t.Context()); err != nil {
						t.Error(err)
					}
					removed.Store(true)
				}
			}
		})
	}
	ready.Wait()
	closeTopic(t, topic)
	group.Wait()
	if usage := topic.Usage(); usage.Entries != 0 || usage.Bytes != topicBytes || topic.Stats().Listeners != 0 {
		t.Errorf("after Close: %+v, %+v", usage, topic.Stats())
	}
}

func TestTopicIsolatesPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []ListenerPanic
		topic := newTopic[int](t, TopicOptions{OnPanic: func(p ListenerPanic) { reports = append(reports, p) }})
		var bad, good []int
		subscribe(t, topic, ListenerOptions{}, func(_ context.Context, event int) {
			bad = append(bad, event)
			switch event {
			case 1:
				panicsOnPurpose()
			case 2:
				runtime.Goexit()
			}
		})
		subscribe(t, topic, ListenerOptions{}, func(_ context.Context, event int) { good = append(good, event) })
		publish(t, topic, 1, 2, 3)
		closeTopic(t, topic)
		if !slices.Equal(bad, []int{1, 2, 3}) || !slices.Equal(good, bad) || topic.Stats().Panics != 2 || len(reports) != 2 {
			t.Fatalf("heard %v and %v, %d reports, %+v", bad, good, len(reports), topic.Stats())
		}
		first, second := reports[0], reports[1]
		if first.Value != "on purpose" || !strings.Contains(string(first.Stack), "panicsOnPurpose") || first.Topic != "test" {
			t.Errorf("%s: %v, at\n%s", first.Topic, first.Value, first.Stack)
		}
		if second.Value != nil || !strings.Contains(string(second.Stack), "Goexit") {
			t.Errorf("%v, at\n%s", second.Value, second.Stack)
		}
		if !strings.HasSuffix(first.Site.File, "topic_test.go") || !strings.HasSuffix(first.Site.Function, "bounded.subscribe[...]") {
			t.Errorf("subscribed at %+v", first.Site)
		}
	})
}

func panicsOnPurpose() { panic("on purpose") }

func TestTopicWithoutOnPanicCounts(t *testing.T) {
	topic := newTopic[int](t, TopicOptions{})
	subscribe(t, topic, ListenerOptions{}, func(context.Context, int) { panicsOnPurpose() })
	publish(t, topic, 1, 2)
	closeTopic(t, topic)
	if got := topic.Stats().Panics; got != 2 {
		t.Errorf("%d panics, want 2", got)
	}
}
