package bounded

import (
	"cmp"
	"runtime"
	"slices"

	"github.com/memwarden/memwarden/internal/sorting"
)

// maxSites bounds the places that a TopicGrowth lists.
const maxSites = 10

// maxStack bounds the stack of a ListenerPanic.
const maxStack = 64 << 10

// TopicGrowth tells that more listen to a topic than ever before.
type TopicGrowth struct {
	Topic     string // its name
	Listeners int    // now
	// Sites are the calls of Subscribe that most listeners come from, most first, at most 10.
	Sites []ListenerSite
}

// ListenerSite is a place in the program that subscribed to a topic.
type ListenerSite struct {
	Function  string // with its package's path
	File      string
	Line      int
	Listeners int // of the topic that come from here
}

// ListenerPanic tells of a listener that panicked.
type ListenerPanic struct {
	Topic string // its name
	// Site is where the listener subscribed; its Listeners is 0.
	Site ListenerSite
	// Value is what the listener panicked with; nil if it ended its goroutine by runtime.Goexit.
	Value any
	// Stack is the listener's, as text, the first 64 KiB of it.
	Stack []byte
}

// callSite returns the caller of the exported function that it is called from, or one that stands so many callers above.
func callSite(above int) uintptr {
	var pcs [1]uintptr
	runtime.Callers(3+above, pcs[:]) // 0 is Callers, 1 is callSite, 2 the exported function
	return pcs[0]
}

func siteOf(pc uintptr) ListenerSite {
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	return ListenerSite{Function: frame.Function, File: frame.File, Line: frame.Line}
}

// sites returns where most listeners come from.
func sites[T any](listeners []*listener[T]) []ListenerSite {
	counts := make(map[uintptr]int)
	for _, l := range listeners {
		counts[l.site]++
	}
	all := make([]ListenerSite, 0, len(counts))
	for pc, count := range counts {
		site := siteOf(pc)
		site.Listeners = count
		all = append(all, site)
	}
	sorting.By(all, func(a, b ListenerSite) int {
		return cmp.Or(cmp.Compare(b.Listeners, a.Listeners), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return slices.Clone(all[:min(len(all), maxSites)])
}

// panicked counts and reports a panic of a listener, on whose goroutine it is called.
func (t *Topic[T]) panicked(site uintptr, value any) {
	t.panics.Add(1)
	if t.options.OnPanic == nil {
		return
	}
	stack := make([]byte, maxStack)
	stack = slices.Clone(stack[:runtime.Stack(stack, false)])
	t.options.OnPanic(ListenerPanic{Topic: t.options.Name, Site: siteOf(site), Value: value, Stack: stack})
}
