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
	types    []wantType
	suspects []wantSuspect
	// paths are of types of which no suspect is.
	paths []wantPath
	// more looks at the rest.
	more func(t *testing.T, a *analysis, m mode, n uint64)
}

type wantType struct {
	name                     string
	count, shallow, retained uint64 // of each of n
}

// wantSuspect is a suspect, exactly: it must be among the suspects with this path. Paths begin with a variable's name, for
// which a stripped program has where the variable is.
type wantSuspect struct {
	of   string // its type
	path []string
	// stripped is the path in a stripped program where that is not the same: nothing tells the type of a variable there, and
	// so not the names of the fields in the variable itself. A variable that is a pointer to a value that the linker laid
	// out, such as globalCache, is not seen either: the value is one more variable, which stands here as "*main.globalCache".
	stripped        []string
	each            uint64 // there is one for so many of n; 0: one in all
	count, retained uint64 // for each of them; retained 0: more looks at it
	allocated       string // is in its allocation stack
	// holders share it; each has count pointers to it. Nil: one variable, or what it names, holds it.
	holders []string
}

// wantPath is how all objects of a type are held: of those that were looked at about as many in each of the ways.
type wantPath struct {
	of              string
	paths, stripped [][]string // stripped: as with a suspect
}

// The sizes are those of the allocator's slots: a Session 32, a User 48, its name 16, its tags 32.
var wants = []want{
	{
		name:  "map-of-structs",
		types: []wantType{{"main.Session", 1, 32, 128}, {"main.User", 1, 48, 96}},
		suspects: []wantSuspect{{
			of: "main.Session", path: []string{"main.globalCache", ".m", "[…]"}, stripped: []string{"*main.globalCache", "[…]"},
			each: 1, count: 1, retained: 128, allocated: "main.newSession",
		}},
	},
	{
		name:  "slices-of-slices",
		types: []wantType{{"main.Cell", 8, 128, 128}, {"[]*main.Cell", 1, 64, 192}},
		suspects: []wantSuspect{{
			of: "main.Cell", path: []string{"main.grid", "[…]", "[…]"}, each: 1, count: 8, retained: 128, allocated: "main.slicesOfSlices",
		}},
		paths: []wantPath{{of: "[]*main.Cell", paths: [][]string{{"main.grid", "[…]"}}}},
	},
	{
		name:     "linked-list",
		types:    []wantType{{"main.Node", 1, 16, 16}},
		suspects: []wantSuspect{listSuspect},
	},
	{
		name:  "channel-backlog",
		types: []wantType{{"main.Job", 1, 32, 96}},
		suspects: []wantSuspect{{
			of: "main.Job", path: []string{"main.queue", "[…]"}, each: 1, count: 1, retained: 96, allocated: "main.channelBacklog",
		}},
	},
	{
		name:  "closures",
		types: []wantType{{"func main.closures.func1", 1, 16, 144}},
		suspects: []wantSuspect{{
			of: "func main.closures.func1", path: []string{"main.handlers", "[…]"}, each: 1, count: 1, retained: 144, allocated: "main.closures",
		}},
		paths: []wantPath{{of: "main.Blob", paths: [][]string{{"main.handlers", "[…]", "{captured}"}}}},
	},
	{
		name:  "goroutine-locals",
		types: []wantType{{"main.Request", 1, 64, 192}, {"main.Blob", 1, 128, 128}},
		suspects: []wantSuspect{{
			of: "goroutine", path: []string{"goroutine main.worker"}, each: 1, count: 1, retained: 192, allocated: "main.newRequest",
		}},
		paths: []wantPath{{
			of: "main.Request", paths: [][]string{{"main.worker:request"}}, stripped: [][]string{{"stack of main.worker"}},
		}},
		more: wantWorkers,
	},
	{
		name:  "context-chain",
		types: []wantType{{"context.valueCtx", 1, 48, 176}, {"main.Blob", 1, 128, 128}},
		suspects: []wantSuspect{{
			of: "context.valueCtx", path: []string{"main.leakedContext"}, stripped: []string{"main.leakedContext…"}, // an interface's second word
			each: 1, count: 1, retained: 176, allocated: "main.contextChain",
		}},
	},
	{
		name:  "sync-pool",
		types: []wantType{{"main.Buffer", 1, 1024, 1152}, {"main.Blob", 1, 128, 128}},
		suspects: []wantSuspect{{
			of: "main.Buffer", path: []string{"main.pool", "[…]"}, stripped: []string{"main.pool…", "[…]"},
			each: 1, count: 1, retained: 1152, allocated: "main.syncPool",
		}},
	},
	{
		name:  "interfaces",
		types: []wantType{{"main.Square", 1, 16, 144}, {"main.Circle", 1, 16, 16}, {"main.Cell", 1, 16, 16}},
		suspects: []wantSuspect{
			{of: "main.Square", path: []string{"main.drawn", "[…]"}, each: 1, count: 1, retained: 144, allocated: "main.interfaces"},
			{of: "main.Circle", path: []string{"main.drawn", "[…]"}, each: 1, count: 1, retained: 16, allocated: "main.interfaces"},
			{of: "main.Cell", path: []string{"main.boxes", "[…]"}, each: 1, count: 1, retained: 16, allocated: "main.interfaces"},
		},
	},
	{
		name:  "finalizer-cycle",
		types: []wantType{{"main.Handle", 2, 48, 48}, {"main.Blob", 1, 128, 128}},
		suspects: []wantSuspect{{
			of: "main.Handle", path: []string{"finalizer of main.Handle"}, each: 1, count: 1, retained: 176, allocated: "main.finalizerCycle",
		}},
		// A finalizer keeps what its object points to, and so the object, for its peer points back to it.
		paths: []wantPath{{of: "main.Handle", paths: [][]string{{"finalizer of main.Handle"}, {"finalizer of main.Handle", ".Peer"}}}},
	},
	{
		name: "weak-pointers",
		suspects: []wantSuspect{
			{of: "main.Session", path: []string{"main.firmly", "[…]"}, each: 2, count: 1, retained: 128, allocated: "main.newSession"},
			{of: "[]weak.Pointer[main.Session]", path: []string{"main.weakly"}, count: 1, allocated: "main.weakPointers"},
		},
		more: wantHalf,
	},
	{
		name:  "pins",
		types: []wantType{{"string", 1, 64 << 10, 64 << 10}},
		suspects: []wantSuspect{
			{of: "string", path: []string{"main.prefixes", "[…]"}, each: 1, count: 1, retained: 64 << 10, allocated: "main.pins"},
			{of: "[]uint8", path: []string{"main.heads", "[…]"}, each: 100, count: 1, retained: 1 << 20, allocated: "main.pins"},
		},
		more: wantPins,
	},
	{
		name:  "maps",
		types: []wantType{{"map[string]int", 1, 48, 256}, {"main.Cell", 1, 16, 16}},
		suspects: []wantSuspect{
			{of: "map[string]int", path: []string{"main.small", "[…]"}, each: 1, count: 1, retained: 256, allocated: "main.maps"},
			{of: "map[string]*main.Cell", path: []string{"main.huge"}, count: 1, allocated: "main.maps"},
		},
		paths: []wantPath{{of: "main.Cell", paths: [][]string{{"main.huge", "[…]"}}}},
		more:  wantHuge,
	},
	{
		name:  "generics",
		types: []wantType{{"main.Element[*main.User]", 1, 16, 64}, {"main.Element[int64]", 1, 16, 16}},
		suspects: []wantSuspect{
			{
				of: "main.Element[*main.User]", path: []string{"main.users", ".head"}, stripped: []string{"main.users"},
				each: 1, count: 1, retained: 64, allocated: "main.generics",
			},
			{
				of: "main.Element[int64]", path: []string{"main.ints", ".head"}, stripped: []string{"main.ints"},
				each: 1, count: 1, retained: 16, allocated: "main.generics",
			},
		},
	},
	{
		name:  "cleanups",
		types: []wantType{{"main.Resource", 1, 48, 48}, {"main.Blob", 1, 128, 128}},
		suspects: []wantSuspect{{
			of: "main.Resource", path: []string{"main.resources", "[…]"}, each: 1, count: 1, retained: 48, allocated: "main.cleanups",
		}},
		more: wantCleanups,
	},
	{
		name:  "timers",
		types: []wantType{{"func main.timers.func1", 1, 16, 144}, {"main.Blob", 1, 128, 128}},
		suspects: []wantSuspect{{
			of: "runtime.timeTimer", path: []string{"runtime.allp", "[…]", ".timers", "[…]"},
			stripped: []string{allProcessors, "[…]|+0", ".timers", "[…]"}, each: 1, count: 1, retained: 112 + 144, allocated: "main.timers",
		}},
		paths: []wantPath{{
			of: "func main.timers.func1", paths: [][]string{{"runtime.allp", "[…]", ".timers", "[…]", ".timer", ".arg"}},
			stripped: [][]string{{allProcessors, "[…]|+0", ".timers", "[…]", ".timer", ".arg"}},
		}},
	},
	{
		name:  "shared",
		types: []wantType{{"main.Holder", 1, 16, 16}},
		suspects: []wantSuspect{
			{
				of: "main.Holder", path: []string{"main.left", "[…]"}, stripped: []string{"main.left|main.right", "[…]"},
				each: 1, count: 1, retained: 16, allocated: "main.shared", holders: []string{"main.left", "main.right"},
			},
			{of: "[]*main.Holder", path: []string{"main.left"}, count: 1, allocated: "main.shared"},
			{of: "[]*main.Holder", path: []string{"main.right"}, count: 1, allocated: "main.shared"},
		},
		paths: []wantPath{{
			of: "main.Config", paths: [][]string{{"main.left", "[…]", ".Config"}}, stripped: [][]string{{"main.left|main.right", "[…]", ".Config"}},
		}},
		more: wantShared,
	},
	{
		name:  "large-objects",
		types: []wantType{{"main.Cell", 1, 16, 16}},
		suspects: []wantSuspect{
			{of: "[1048576]*main.Cell", path: []string{"main.matrix"}, count: 1, retained: 8 << 20, allocated: "main.largeObjects"},
			{
				of: "main.Cell", path: []string{"main.matrix", "[…]"}, stripped: []string{"main.matrix|main.table", "[…]"},
				each: 1, count: 1, retained: 16, allocated: "main.largeObjects", holders: []string{"main.matrix", "main.table"},
			},
			// 100,000 pointers, in pages of 8 KiB.
			{of: "[]*main.Cell", path: []string{"main.table"}, count: 1, retained: 98 * 8 << 10, allocated: "main.largeObjects"},
		},
	},
}

// allProcessors are the variables that have them: the scheduler notes in each thread which there were. Nothing tells a
// stripped program the type of the array that they are in but what else has two pointers: it may be unknown.
const allProcessors = "runtime.allp|runtime.m0…"

// listSuspect is what a list must be found to be, however long it is.
var listSuspect = wantSuspect{
	of: "main.Node", path: []string{"main.list", ".Head"}, stripped: []string{"main.list"},
	each: 1, count: 1, retained: 16, allocated: "main.linkedList",
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
					a := capture(t, pid)
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

// TestLongList looks at a list of ten million: an analysis that followed it by recursion, or told all of its steps, would
// not end well.
func TestLongList(t *testing.T) {
	if !*long {
		t.Skip("SKIPPED: it takes a gigabyte; make test-long runs it")
	}
	const n = 10_000_000
	m := mode{name: "default"}
	pid, live := start(t, m.zoo(t), "linked-list", n)
	a := capture(t, pid)
	w := want{
		types:    []wantType{{"main.Node", 1, 16, 16}},
		suspects: []wantSuspect{listSuspect},
		more: func(t *testing.T, a *analysis, _ mode, n uint64) {
			if s := a.Suspects[0]; len(a.Suspects) != 1 || s.Share < 0.99 || s.Share > 1 {
				t.Errorf("suspects %+v, want the list alone", a.Suspects)
			}
			var nodes look
			a.closer(t, &nodes, "--type", "main.Node")
			if nodes.Type != (typ{"main.Node", n, 16 * n, 16 * n}) {
				t.Errorf("type %+v", nodes.Type)
			}
			for _, path := range nodes.Paths {
				if !slices.Equal(path.Steps, []string{"main.list", ".Head"}) && !slices.Equal(path.Steps, []string{"main.list", ".Head", ".Next…"}) {
					t.Errorf("path %q of %d", path.Steps, path.Count)
				}
			}
		},
	}
	w.check(t, a, m, n)
	if apart(a.RuntimeLiveBytes, live) {
		t.Errorf("runtime_live_bytes %d, the runtime itself says %d", a.RuntimeLiveBytes, live)
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
		checkType(t, a, want, n)
	}
	for _, want := range w.suspects {
		want.check(t, a, m, n)
	}
	for _, want := range w.paths {
		want.check(t, a, m)
	}
	if w.more != nil {
		w.more(t, a, m, n)
	}
	if t.Failed() {
		t.Logf("typed %.4f, inferred %.4f, warnings %q", a.TypedRatio, a.InferredRatio, a.Warnings)
		for _, s := range a.Suspects[:min(len(a.Suspects), 3)] {
			t.Log(s.Sentence)
		}
	}
}

// checkType allows the program and its runtime a few strings of their own.
func checkType(t *testing.T, a *analysis, want wantType, n uint64) {
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

func (w wantSuspect) check(t *testing.T, a *analysis, m mode, n uint64) {
	t.Helper()
	times := uint64(1)
	if w.each > 0 {
		times = n / w.each
	}
	i := slices.IndexFunc(a.Suspects, func(s suspect) bool { return s.Type == w.of && m.shows(t, s.Path, w.path, w.stripped) })
	if i < 0 {
		t.Errorf("no suspect %s with the path %q", w.of, w.path)
		for _, s := range a.Suspects {
			t.Logf("but %s with %q", s.Type, s.Path)
		}
		return
	}
	s := a.Suspects[i]
	if s.Count != w.count*times || w.retained > 0 && s.RetainedBytes != w.retained*times {
		t.Errorf("suspect %s: count %d, retained %d; want %d, %d", s.Type, s.Count, s.RetainedBytes, w.count*times, w.retained*times)
	}
	if s.PathShare != 1 {
		t.Errorf("suspect %s: %v of it are held along %q; want all", s.Type, s.PathShare, s.Path)
	}
	if !slices.ContainsFunc(s.AllocStack, func(frame string) bool { return strings.Contains(frame, w.allocated) }) {
		t.Errorf("suspect %s: allocated in %q, want %s", s.Type, s.AllocStack, w.allocated)
	}
	if !strings.Contains(s.Sentence, s.Type) || s.Signature == "" || s.Share <= 0 || s.Share > 1 {
		t.Errorf("suspect %+v", s)
	}
	if w.holders != nil {
		checkHolders(t, s.Holders, m, w.holders, w.count*times)
	}
}

// checkHolders wants variables that hold so many objects each, and no others.
func checkHolders(t *testing.T, got []holder, m mode, variables []string, count uint64) {
	t.Helper()
	ok := len(got) == len(variables)
	for _, name := range variables {
		ok = ok && slices.ContainsFunc(got, func(h holder) bool {
			return h.Kind == "global" && h.Count == count && m.shows(t, []string{h.Name}, []string{name}, nil)
		})
	}
	if !ok {
		t.Errorf("holders %+v, want %q with %d each", got, variables, count)
	}
}

func (w wantPath) check(t *testing.T, a *analysis, m mode) {
	t.Helper()
	var got struct{ Paths []way }
	a.closer(t, &got, "--path-to", w.of)
	total, ok := uint64(0), len(got.Paths) == len(w.paths)
	for _, path := range got.Paths {
		total += path.Count
	}
	for i, wanted := range w.paths {
		var stripped []string
		if w.stripped != nil {
			stripped = w.stripped[i]
		}
		ok = ok && slices.ContainsFunc(got.Paths, func(path way) bool {
			share := float64(path.Count) / float64(total) * float64(len(w.paths))
			return m.shows(t, path.Steps, wanted, stripped) && share > 0.9 && share < 1.1
		})
	}
	if !ok {
		t.Errorf("%s: held along %+v; want %q, about as many along each", w.of, got.Paths, w.paths)
	}
}

// wantWorkers finds the goroutines with what each retains, a request and its blob, and what they wait for.
func wantWorkers(t *testing.T, a *analysis, _ mode, n uint64) {
	t.Helper()
	found := false
	for _, g := range a.Goroutines {
		if g.Function != "main.worker" {
			continue
		}
		if found = true; g.State != "chan receive" || g.CreatedBy != "main.goroutineLocals" || g.Count != n || g.RetainedBytes != 192*n {
			t.Errorf("goroutines %+v: want %d that wait in a chan receive, with %d bytes", g, n, 192*n)
		}
	}
	if !found {
		t.Errorf("no goroutine of main.worker in %+v", a.Goroutines)
	}
}

// wantHalf finds the sessions that are held firmly, and none of those that only weak pointers point to: the slice of weak
// pointers retains handles and nothing else.
func wantHalf(t *testing.T, a *analysis, _ mode, n uint64) {
	t.Helper()
	checkType(t, a, wantType{"main.Session", 1, 32, 128}, n/2)
	var pointers look
	a.closer(t, &pointers, "--type", "[]weak.Pointer[main.Session]")
	sum := pointers.Type.ShallowBytes
	for _, typ := range pointers.Holds {
		if sum += typ.ShallowBytes; !strings.Contains(typ.Name, "andle") {
			t.Errorf("weak pointers retain %+v", typ)
		}
	}
	if pointers.Type.Count != 1 || pointers.Type.ShallowBytes < 8*n || pointers.Type.RetainedBytes != sum {
		t.Errorf("weak pointers %+v hold %+v, %d bytes together", pointers.Type, pointers.Holds, sum)
	}
}

// wantPins finds what is kept beyond the 16 bytes of each string and slice.
func wantPins(t *testing.T, a *analysis, _ mode, n uint64) {
	t.Helper()
	want := []pin{
		{Holder: "[]string[…]", Type: "string", Count: n, UsedBytes: 16 * n, ObjectBytes: n << 16},
		{Holder: "[][]uint8[…]", Type: "[]uint8", Count: n / 100, UsedBytes: 16 * n / 100, ObjectBytes: n / 100 << 20},
	}
	if !slices.Equal(a.Pins, want) {
		t.Errorf("pins %+v, want %+v", a.Pins, want)
	}
}

// wantHuge adds up the map of n cells: its header of 48 bytes, n keys and n cells of 16 bytes each, and tables of groups of
// eight entries, of which the seed of the map decides how full they are: at least a quarter, at most 7/8.
func wantHuge(t *testing.T, a *analysis, _ mode, n uint64) {
	t.Helper()
	var huge look
	a.closer(t, &huge, "--type", "map[string]*main.Cell")
	held, groups := map[string]uint64{}, uint64(0)
	sum := huge.Type.ShallowBytes
	for _, typ := range huge.Holds {
		sum += typ.ShallowBytes
		switch {
		case strings.Contains(typ.Name, "map.group[string]*main.Cell"):
			groups += typ.ShallowBytes
		case typ.Name == "main.Cell" || typ.Name == "string":
			if held[typ.Name] = typ.Count; typ.ShallowBytes != 16*n {
				t.Errorf("%d bytes of %s in the map, want %d", typ.ShallowBytes, typ.Name, 16*n)
			}
		}
	}
	if huge.Type.Count != 1 || huge.Type.ShallowBytes != 48 || huge.Type.RetainedBytes != sum || held["main.Cell"] != n || held["string"] != n {
		t.Errorf("map %+v holds %+v, %d bytes together; want %d cells and keys", huge.Type, huge.Holds, sum, n)
	}
	const group = 8 + 8*24 // bytes
	if least, most := n*group/7, n*group/2; groups < least || groups > most {
		t.Errorf("%d bytes of groups, want %d to %d", groups, least, most)
	}
	for _, s := range a.Suspects {
		if s.Type == huge.Type.Name && s.RetainedBytes != sum {
			t.Errorf("suspect %s retains %d, its parts %d", s.Type, s.RetainedBytes, sum)
		}
	}
}

// wantCleanups finds what the cleanups keep: a blob each.
func wantCleanups(t *testing.T, a *analysis, _ mode, n uint64) {
	t.Helper()
	for _, root := range a.Roots {
		if root.Kind == "cleanup" && root.Name == "cleanup of main.Resource" {
			if root.Count != n || root.RetainedBytes < 128*n || root.RetainedBytes > 192*n {
				t.Errorf("%+v, want %d with a blob of 128 bytes and a closure each", root, n)
			}
			return
		}
	}
	t.Errorf("no root is a cleanup of main.Resource: %+v", a.Roots)
}

// wantShared finds the holders among what is shared, and slices that retain themselves and none of them.
func wantShared(t *testing.T, a *analysis, m mode, n uint64) {
	t.Helper()
	i := slices.IndexFunc(a.Shared, func(s shared) bool { return s.Type == "main.Holder" })
	if i < 0 {
		t.Fatalf("no main.Holder is shared: %+v", a.Shared)
	}
	s := a.Shared[i]
	if s.Count != n || s.RetainedBytes != 16*n || s.HolderCount != 2 {
		t.Errorf("shared %+v, want %d", s, n)
	}
	checkHolders(t, s.Holders, m, []string{"main.left", "main.right"}, n)
	var slice look
	a.closer(t, &slice, "--type", "[]*main.Holder")
	if slice.Type.Count != 2 || slice.Type.RetainedBytes != slice.Type.ShallowBytes || slice.Type.ShallowBytes < 2*8*n {
		t.Errorf("slices %+v", slice.Type)
	}
	for _, s := range a.Suspects {
		if s.Type == slice.Type.Name && 2*s.RetainedBytes != slice.Type.ShallowBytes {
			t.Errorf("suspect %s at %q retains %d, both slices have %d", s.Type, s.Path, s.RetainedBytes, slice.Type.ShallowBytes)
		}
	}
}
