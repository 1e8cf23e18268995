//go:build linux

package heapzoo

import (
	"slices"
	"strings"
	"testing"
)

// want is what a snapshot must say of a case with n of what it is about.
type want struct {
	name string
	// types are exact: count, bytes of their own, retained bytes.
	types []wantType
	// path leads to the suspect whose type is the first of types; its first step is a variable's name, which a stripped
	// program does not have. Nil: it need be no suspect.
	path []string
	// stripped is what a stripped program shows of the path behind its first step, where that is not the same: nothing tells
	// the type of a variable there, and so not the names of the fields in the variable itself. A variable that is a pointer
	// to a value that the linker laid out, such as globalCache, is not seen either: the value is one more variable.
	stripped []string
	// allocated is in the suspect's allocation stack.
	allocated string
	// more looks at the rest.
	more func(t *testing.T, a *analysis, n uint64)
}

type wantType struct {
	name                     string
	count, shallow, retained uint64 // of each of n
}

// The sizes are those of the allocator's slots: a Session 32, a User 48, its name 16, its tags 32.
var wants = []want{
	{
		name:  "map-of-structs",
		types: []wantType{{"main.Session", 1, 32, 128}, {"main.User", 1, 48, 96}},
		path:  []string{"main.globalCache", ".m", "[…]"}, stripped: []string{"[…]"}, allocated: "main.newSession",
	},
	{
		name:  "slices-of-slices",
		types: []wantType{{"main.Cell", 8, 128, 128}, {"[]*main.Cell", 1, 64, 192}},
		path:  []string{"main.grid", "[…]", "[…]"}, allocated: "main.slicesOfSlices",
	},
	{
		name:  "linked-list",
		types: []wantType{{"main.Node", 1, 16, 16}},
		path:  []string{"main.list", ".Head"}, stripped: []string{}, allocated: "main.linkedList",
	},
	{
		name:  "channel-backlog",
		types: []wantType{{"main.Job", 1, 32, 96}},
		path:  []string{"main.queue", "[…]"}, allocated: "main.channelBacklog",
	},
	{
		name:  "closures",
		types: []wantType{{"func main.closures.func1", 1, 16, 144}},
		path:  []string{"main.handlers", "[…]"}, allocated: "main.closures",
	},
	{
		name:  "goroutine-locals",
		types: []wantType{{"main.Request", 1, 64, 192}},
		more:  wantWorkers,
	},
	{
		name:  "context-chain",
		types: []wantType{{"context.valueCtx", 1, 48, 176}, {"main.Blob", 1, 128, 128}},
		path:  []string{"main.leakedContext"}, allocated: "main.contextChain",
	},
	{
		name:  "sync-pool",
		types: []wantType{{"main.Buffer", 1, 1024, 1152}, {"main.Blob", 1, 128, 128}},
	},
	{
		name:  "interfaces",
		types: []wantType{{"main.Square", 1, 16, 144}, {"main.Circle", 1, 16, 16}, {"main.Cell", 1, 16, 16}},
		path:  []string{"main.drawn", "[…]"}, allocated: "main.interfaces",
	},
	{
		name:  "finalizer-cycle",
		types: []wantType{{"main.Handle", 2, 48, 48}, {"main.Blob", 1, 128, 128}},
	},
	{
		name: "weak-pointers",
		more: wantHalf,
	},
	{
		name:  "pins",
		types: []wantType{{"string", 1, 64 << 10, 64 << 10}},
		path:  []string{"main.prefixes", "[…]"}, allocated: "main.pins",
		more: wantPins,
	},
	{
		name:  "maps",
		types: []wantType{{"map[string]int", 1, 48, 256}, {"main.Cell", 1, 16, 16}},
		path:  []string{"main.small", "[…]"}, allocated: "main.maps",
	},
	{
		name:  "generics",
		types: []wantType{{"main.Element[*main.User]", 1, 16, 64}, {"main.Element[int64]", 1, 16, 16}},
		path:  []string{"main.users", ".head"}, stripped: []string{}, allocated: "main.generics",
	},
	{
		name:  "cleanups",
		types: []wantType{{"main.Resource", 1, 48, 48}},
		path:  []string{"main.resources", "[…]"}, allocated: "main.cleanups",
	},
	{
		name:  "timers",
		types: []wantType{{"func main.timers.func1", 1, 16, 144}},
	},
	{
		name:  "shared",
		types: []wantType{{"main.Holder", 1, 16, 16}},
	},
	{
		name:  "large-objects",
		types: []wantType{{"main.Cell", 1, 16, 16}},
	},
}

func TestZoo(t *testing.T) {
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			program := m.zoo(t)
			for _, w := range wants {
				t.Run(w.name, func(t *testing.T) {
					if w.name == "sync-pool" && slices.Contains(m.flags, "-race") {
						t.Skip("SKIPPED: with the race detector a pool drops some of what it gets, at random")
					}
					size := w.size()
					pid, live := start(t, program, w.name, size)
					a := look(t, pid)
					w.check(t, a, m, uint64(size))
					if w.name == "finalizer-cycle" {
						return // the runtime counts an object twice that it marks and whose finalizer it follows
					}
					if apart(a.RuntimeLiveBytes, live) {
						t.Errorf("runtime_live_bytes %d, the runtime itself says %d", a.RuntimeLiveBytes, live)
					}
				})
			}
		})
	}
}

// size is how many there are of what a case is about: so many that the heap has more than a megabyte, in which a thread
// that the runtime starts after the last collection, 5 KiB, is not 1 %.
func (w want) size() int {
	few, many := 4_000, 15_000
	if *long {
		few, many = 10_000, 40_000
	}
	switch w.name {
	case "pins", "sync-pool": // large ones; and a collection meanwhile would empty the pool
		return 500
	case "goroutine-locals":
		return few
	case "linked-list", "shared", "large-objects": // small ones
		return 100_000
	default:
		return many
	}
}

func (w want) check(t *testing.T, a *analysis, m mode, n uint64) {
	t.Helper()
	if err := a.gate(); err != nil {
		t.Error(err)
	}
	if a.Method != "injected fork" || a.PauseSeconds <= 0 {
		t.Errorf("method %q with a pause of %v seconds", a.Method, a.PauseSeconds)
	}
	for _, want := range w.types {
		w.checkType(t, a, want, n)
	}
	if w.path != nil {
		w.checkSuspect(t, a, m, n)
	}
	if w.more != nil {
		w.more(t, a, n)
	}
	if t.Failed() {
		t.Logf("typed %.4f, inferred %.4f, warnings %q", a.TypedRatio, a.InferredRatio, a.Warnings)
		for _, s := range a.Suspects[:min(len(a.Suspects), 3)] {
			t.Log(s.Sentence)
		}
	}
}

// checkType allows the program and its runtime a few strings of their own.
func (w want) checkType(t *testing.T, a *analysis, want wantType, n uint64) {
	t.Helper()
	own := uint64(0)
	if want.name == "string" {
		own = 400
	}
	for _, got := range a.Types {
		if got.Name != want.name {
			continue
		}
		if got.Count < want.count*n || got.Count > want.count*n+own ||
			got.ShallowBytes < want.shallow*n || got.ShallowBytes > want.shallow*n+own*256 ||
			got.RetainedBytes < want.retained*n || got.RetainedBytes > want.retained*n+own*256 {
			t.Errorf("%s: count %d, shallow %d, retained %d; want %d, %d, %d", want.name, got.Count, got.ShallowBytes,
				got.RetainedBytes, want.count*n, want.shallow*n, want.retained*n)
		}
		return
	}
	t.Errorf("there is no type %s", want.name)
}

func (w want) checkSuspect(t *testing.T, a *analysis, m mode, n uint64) {
	t.Helper()
	wanted := w.types[0]
	i := slices.IndexFunc(a.Suspects, func(s suspect) bool { return s.Type == wanted.name })
	if i < 0 {
		t.Errorf("no suspect holds %s", wanted.name)
		return
	}
	s := a.Suspects[i]
	if s.Count != wanted.count*n || s.RetainedBytes != wanted.retained*n {
		t.Errorf("suspect %s: count %d, retained %d; want %d, %d", s.Type, s.Count, s.RetainedBytes, wanted.count*n, wanted.retained*n)
	}
	path := w.path
	if m.stripped {
		path, s.Path = path[1:], s.Path[min(1, len(s.Path)):]
		if w.stripped != nil {
			path = w.stripped
		}
	}
	if !slices.Equal(s.Path, path) {
		t.Errorf("suspect %s: path %q, want %q", s.Type, s.Path, path)
	}
	if !slices.ContainsFunc(s.AllocStack, func(frame string) bool { return strings.Contains(frame, w.allocated) }) {
		t.Errorf("suspect %s: allocated in %q, want %s", s.Type, s.AllocStack, w.allocated)
	}
	if !strings.Contains(s.Sentence, s.Type) || s.Signature == "" || s.Share <= 0 || s.Share > 1 {
		t.Errorf("suspect %+v", s)
	}
}

// wantWorkers finds the goroutines with what each retains: a request and its blob.
func wantWorkers(t *testing.T, a *analysis, n uint64) {
	t.Helper()
	for _, g := range a.Goroutines {
		if g.Function == "main.worker" && g.Count == n && g.RetainedBytes >= 192*n {
			return
		}
	}
	t.Errorf("goroutines %+v: want %d of main.worker with %d bytes", a.Goroutines[:min(len(a.Goroutines), 5)], n, 192*n)
}

// wantHalf finds the sessions that are held firmly, and none of those that only weak pointers point to.
func wantHalf(t *testing.T, a *analysis, n uint64) {
	t.Helper()
	want{}.checkType(t, a, wantType{"main.Session", 1, 32, 128}, n/2)
}

// wantPins finds what is kept beyond the 16 bytes of each string and slice.
func wantPins(t *testing.T, a *analysis, n uint64) {
	t.Helper()
	found := 0
	for _, p := range a.Pins {
		switch {
		case p.Type == "string" && p.Count == n && p.UsedBytes == 16*n && p.ObjectBytes == n<<16,
			p.Type == "[]uint8" && p.Count == n/100 && p.UsedBytes == 16*n/100 && p.ObjectBytes == n/100<<20:
			found++
		}
	}
	if found != 2 {
		t.Errorf("pins %+v", a.Pins)
	}
}
