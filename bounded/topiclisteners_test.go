package bounded

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"
)

func ignore(context.Context, int) {}

func TestTopicWarnsOfGrowth(t *testing.T) {
	var told []TopicGrowth
	topic := newTopic[int](t, TopicOptions{MaxListeners: 50, WarnListeners: 4, OnGrowth: func(g TopicGrowth) { told = append(told, g) }})
	if _, err := topic.Subscribe(ListenerOptions{}, ignore); err != nil { // the only one of this line
		t.Fatal(err)
	}
	for range 5 { // who comes and goes is no growth
		if err := subscribe(t, topic, ListenerOptions{}, ignore)(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 0 {
		t.Fatalf("told of %+v", told)
	}
	for range 49 {
		subscribe(t, topic, ListenerOptions{Queue: 1, Overflow: Block}, ignore)
	}
	var numbers []int
	for _, growth := range told {
		numbers = append(numbers, growth.Listeners)
		sites := growth.Sites
		if growth.Topic != "test" || len(sites) != 2 || sites[0].Listeners != growth.Listeners-1 || sites[1].Listeners != 1 ||
			!strings.HasSuffix(sites[1].Function, ".TestTopicWarnsOfGrowth") || !strings.HasSuffix(sites[1].File, "topiclisteners_test.go") ||
			sites[1].Line == 0 || !strings.Contains(sites[0].Function, ".subscribe") {
			t.Errorf("%+v", growth)
		}
	}
	if len(numbers) != 4 || numbers[0] != 4 || numbers[3] != 32 {
		t.Errorf("told at %v listeners, want 4, 8, 16, 32", numbers)
	}
	_, err := topic.Subscribe(ListenerOptions{}, ignore)
	if !errors.Is(err, ErrTooManyListeners) || !strings.Contains(err.Error(), "there are 50, 49 of them from /") {
		t.Errorf("one more than there may be: %v", err)
	}
	closeTopic(t, topic)
}

// TestTopicNamesWhoWraps: a function that subscribes for its caller has that one named.
func TestTopicNamesWhoWraps(t *testing.T) {
	var told TopicGrowth
	topic := newTopic[int](t, TopicOptions{WarnListeners: 1, OnGrowth: func(g TopicGrowth) { told = g }})
	wrap := func() { subscribe(t, topic, ListenerOptions{Skip: 2}, ignore) }
	wrap()
	if site := told.Sites[0]; !strings.HasSuffix(site.Function, ".TestTopicNamesWhoWraps") {
		t.Errorf("named is %+v", site)
	}
	closeTopic(t, topic)
}

// TestTopicTellsTheEnd of listeners that are removed in each way: once, after the last call, before whoever waits goes on.
func TestTopicTellsTheEnd(t *testing.T) {
	topic := newTopic[int](t, TopicOptions{MaxListeners: 3})
	var ended [3]int
	var heard int
	options := func(i int) ListenerOptions { return ListenerOptions{OnEnd: func() { ended[i]++ }} }
	first := subscribe(t, topic, options(0), func(_ context.Context, n int) { heard += n })
	subscribe(t, topic, options(1), ignore)
	own := make(chan func(context.Context) error, 1)
	var answer error
	own <- subscribe(t, topic, options(2), func(ctx context.Context, _ int) { answer = (<-own)(ctx) })
	if _, err := topic.Subscribe(ListenerOptions{OnEnd: func() { t.Error("told of a listener that was refused") }}, ignore); err == nil {
		t.Error("a fourth listener of three was taken")
	}
	publish(t, topic, 1)
	if err := errors.Join(first(t.Context()), first(t.Context())); err != nil || ended[0] != 1 || heard > 1 {
		t.Errorf("cancelled: %v, told %d times, heard %d", err, ended[0], heard)
	}
	closeTopic(t, topic)
	closeTopic(t, topic)
	if answer != nil || ended != [3]int{1, 1, 1} {
		t.Errorf("told of the ends %v times; within a listener: %v", ended, answer)
	}
}

func TestTopicListsFewSites(t *testing.T) {
	listeners := make([]*listener[int], 100)
	for i := range listeners {
		listeners[i] = &listener[int]{site: callSite(0) + uintptr(i/2)}
	}
	if got := sites(listeners); len(got) != maxSites || cap(got) > 2*maxSites || got[0].Listeners != 2 {
		t.Errorf("%d places, the first of %d listeners", len(got), got[0].Listeners)
	}
}

func TestTopicAllocatesNothing(t *testing.T) {
	topic := newTopic[[4]int](t, TopicOptions{})
	handled := make(chan struct{})
	for _, policy := range []OverflowPolicy{DropOldest, DropNewest, Block} {
		subscribe(t, topic, ListenerOptions{Overflow: policy}, func(context.Context, [4]int) { handled <- struct{}{} })
	}
	publishOne := func() { // each starts and ends three goroutines
		publish(t, topic, [4]int{})
		for range 3 {
			<-handled
		}
	}
	if n := testing.AllocsPerRun(1000, publishOne); n != 0 {
		t.Errorf("Publish makes %v allocations, want none", n)
	}
	if n := testing.AllocsPerRun(100, func() { topic.Usage() }); n != 0 {
		t.Errorf("Usage makes %v allocations, want none", n)
	}
	closeTopic(t, topic)
}

// TestTopicMemory compares Usage with the heap, and sees to it that events and listeners are let go.
func TestTopicMemory(t *testing.T) {
	const listeners, queue = 500, 100
	topic := newTopic[[2]int](t, TopicOptions{})
	cancels := make([]func(context.Context) error, listeners)
	before := heapBytes()
	for i := range cancels {
		cancels[i] = subscribe(t, topic, ListenerOptions{Queue: queue}, func(context.Context, [2]int) {})
	}
	held, usage := heapBytes()-before, topic.Usage()
	t.Logf("%d listeners: %d bytes on the heap, %d in Usage", listeners, held, usage.Bytes)
	if held > usage.Bytes || held < usage.Bytes/2 {
		t.Errorf("%d bytes on the heap, Usage says %+v", held, usage)
	}
	closeTopic(t, topic)
	if left := heapBytes() - before; left > 1200*listeners { // what is kept by whoever keeps cancel
		t.Errorf("%d bytes left after Close", left)
	}
	runtime.KeepAlive(cancels)
	if left := heapBytes() - before; left > 16<<10 {
		t.Errorf("%d bytes left after the last cancel is gone", left)
	}
	runtime.KeepAlive(topic)
}

func TestTopicKeepsNoEvent(t *testing.T) {
	topic := newTopic[*[1000]int](t, TopicOptions{})
	subscribe(t, topic, ListenerOptions{}, func(context.Context, *[1000]int) {})
	event := new([1000]int)
	kept := weak.Make(event)
	publish(t, topic, event, event, event)
	for deadline := time.Now().Add(10 * time.Second); kept.Value() != nil; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("a handled event is kept in the queue")
		}
	}
	closeTopic(t, topic)
}

// TestTopicLetsGoOfListeners keeps a cancel function, and nothing of what its listener held.
func TestTopicLetsGoOfListeners(t *testing.T) {
	topic := newTopic[int](t, TopicOptions{})
	state := new([1000]int)
	kept := weak.Make(state)
	cancel := subscribe(t, topic, ListenerOptions{}, func(_ context.Context, event int) { state[0] = event })
	publish(t, topic, 1)
	if err := cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); kept.Value() != nil; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("what a removed listener held is kept")
		}
	}
	runtime.KeepAlive(topic)
	runtime.KeepAlive(cancel)
}

func TestNewTopicListsEveryMistake(t *testing.T) {
	for _, test := range []struct {
		options TopicOptions
		want    []string
	}{
		{TopicOptions{}, []string{`name ""`}},
		{
			TopicOptions{Name: "a b", MaxListeners: -1, MaxQueue: math.MaxInt, EventBytes: -1, WarnListeners: 2},
			[]string{`name "a b"`, "max listeners -1", "max queue 9223372036854775807", "event bytes -1", "warn listeners 2: want 1 to"},
		},
		{TopicOptions{Name: "a", MaxListeners: 1e6, MaxQueue: 1e6, EventBytes: 1 << 30}, []string{"no machine holds that"}},
	} {
		_, err := NewTopic[int](test.options)
		if err == nil {
			t.Errorf("%+v: accepted", test.options)
			continue
		}
		if lines := strings.Split(err.Error(), "\n"); len(lines) != len(test.want) {
			t.Errorf("%+v: %d mistakes, want %d:\n%v", test.options, len(lines), len(test.want), err)
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v\nlacks %q", test.options, err, want)
			}
		}
	}
}

func TestSubscribeListsEveryMistake(t *testing.T) {
	topic := newTopic[int](t, TopicOptions{MaxQueue: 10})
	_, err := topic.Subscribe(ListenerOptions{Queue: 11, Overflow: 3, Skip: -1}, nil)
	for _, want := range []string{"listener of topic test: queue 11: want 1 to the topic's 10", "overflow policy 3", "skip -1", "no function"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	if usage := topic.Usage(); topic.Name() != "test" || usage.MaxEntries != 11_000 || usage.Entries != 0 || topic.Shrink(t.Context(), 1) != 0 {
		t.Errorf("%s: %+v", topic.Name(), usage)
	}
}
