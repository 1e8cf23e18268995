package memwarden

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/bounded"
)

func TestSlowSubscribersLoseTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "max").options()
		w := begin(t, o)
		before := w.events.topic.Stats().Published
		slow, fast := subscribe(t, w), subscribe(t, w)
		heard := make(chan int64)
		go func() {
			var samples int64
			for e := range fast.Events {
				if e.Kind == EventSample {
					samples++
				}
			}
			heard <- samples
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		published := w.events.topic.Stats().Published - before
		if got := slow.Dropped(); got != int64(published)-eventQueue-1 || fast.Dropped() != 0 {
			t.Errorf("of %d events the slow reader lost %d, the fast one %d", published, got, fast.Dropped())
		}
		ticks := w.State().Sequence - 1 // the first was before they came
		if list := waiting(slow); len(list) != eventQueue+1 || list[eventQueue].Data != any(w.State()) || list[0].Data.(*State).Sequence != 2 ||
			list[1].Data.(*State).Sequence != ticks+1-(eventQueue-1) {
			t.Errorf("%d events waited after %d ticks", len(list), ticks)
		}
		slow.Close()
		slow.Close()
		if _, open := <-slow.Events; open {
			t.Error("an event after the end")
		}
		if err := w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := <-heard; got != ticks {
			t.Errorf("the fast reader got %d of %d samples", got, ticks)
		}
	})
}

// TestCloseWaitsForNoReader: subscriptions that nobody reads end with the warden, and nobody can subscribe any more.
func TestCloseWaitsForNoReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "max").options()
		w := begin(t, o)
		before := w.events.topic.Stats().Published
		var unread []*Subscription
		for range 20 {
			unread = append(unread, subscribe(t, w))
		}
		time.Sleep(time.Minute)
		began := time.Now()
		if err := w.Close(context.Background()); err != nil || time.Since(began) > 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		for _, s := range unread {
			if _, open := <-s.Events; open {
				t.Error("an event after the end")
			}
			s.Close()
			if all := int64(w.events.topic.Stats().Published - before); s.Dropped() != all {
				t.Errorf("%d events of %d are counted as dropped", s.Dropped(), all)
			}
		}
		if _, err := w.Subscribe(); !errors.Is(err, bounded.ErrTopicClosed) || !strings.Contains(err.Error(), "the warden is closed") {
			t.Errorf("subscribed to a closed warden: %v", err)
		}
		w.events.publish(Event{Kind: EventSample})
		if usage := w.events.topic.Usage(); usage.Entries != 0 {
			t.Errorf("the closed bus holds %+v", usage)
		}
	})
}

// TestSubscribersComeAndGo closes subscriptions and the warden while events come: the race detector sees to the rest.
func TestSubscribersComeAndGo(t *testing.T) {
	w := begin(t, Options{})
	var group sync.WaitGroup
	over := make(chan struct{})
	for range 4 {
		group.Go(func() {
			for {
				w.events.publish(Event{Kind: EventGC})
				select {
				case <-over:
					return
				default:
				}
			}
		})
		group.Go(func() {
			for taken := 0; ; taken++ {
				s, err := w.Subscribe()
				if err != nil {
					if taken == 0 || !errors.Is(err, bounded.ErrTopicClosed) {
						t.Errorf("after %d subscriptions: %v", taken, err)
					}
					return
				}
				<-s.Events
				if taken%2 == 0 {
					s.Close()
				}
				if taken == 50 {
					go w.Close(context.Background())
				}
			}
		})
	}
	<-w.Done()
	if err := w.Close(context.Background()); err != nil {
		t.Error(err)
	}
	close(over)
	group.Wait()
	if usage := w.events.topic.Usage(); usage.Entries != 0 || usage.PeakEntries < 1 || usage.MaxEntries < usage.PeakEntries {
		t.Errorf("the closed bus holds %+v", usage)
	}
}

// TestManySubscribersAreNamed has a place in the program subscribe and never close.
func TestManySubscribersAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		manySubscribers(t)
	})
}

func manySubscribers(t *testing.T) {
	o, log := newContainer(t, "max").options()
	o.WarnSubscribers = 4
	w := begin(t, o)
	for range 8 {
		subscribe(t, w)
	}
	synctest.Wait()
	if list := leaksOf(t, w, 0, 9); len(list) != 2 || list[0].Kind != "subscriptions" || list[0].Owner != "event_bus" ||
		!strings.Contains(list[0].Sentence, "8 subscriptions to events are open, more than ever before, 8 of them from one place") ||
		len(list[0].AllocStack) != 1 || !strings.HasPrefix(list[0].AllocStack[0], "github.com/memwarden/memwarden.subscribe ") {
		t.Errorf("the leak reports are %+v", list)
	}
	if n := strings.Count(log.String(), "more and more subscribers"); n != 2 {
		t.Errorf("warned %d times:\n%s", n, log)
	}
	if !strings.Contains(log.String(), "8 from github.com/memwarden/memwarden.subscribe ") || !strings.Contains(log.String(), "fixture_test.go:") {
		t.Errorf("the log does not say who:\n%s", log)
	}
}

// TestEventsCostNothing: the sampling loop publishes.
func TestEventsCostNothing(t *testing.T) {
	w := begin(t, Options{})
	s := subscribe(t, w)
	state := w.State()
	if n := testing.AllocsPerRun(1000, func() {
		w.events.publish(Event{EventSample, state.Sample.At, state})
		<-s.Events
	}); n != 0 {
		t.Errorf("an event costs %v allocations", n)
	}
}
