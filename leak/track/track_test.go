package track

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bounded"
)

// session is what the tests track.
type session struct {
	user string
	next *session
	data [40]int64
}

// kept is where the tests leak to.
var kept sync.Map

// world is a time and the collections of the process.
type world struct {
	t   *testing.T
	tr  *Tracker
	now time.Time
}

func newWorld(t *testing.T, o Options) *world {
	t.Helper()
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tr.Close()
		kept.Clear()
	})
	return &world{t, tr, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func cycles() uint64 {
	read := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(read)
	return read[0].Value.Uint64()
}

// look collects so many times, lets so much time go by, and looks.
func (w *world) look(collections int, passed time.Duration, p Patience) []Overdue {
	w.t.Helper()
	for range collections {
		runtime.GC()
	}
	w.now = w.now.Add(passed)
	return w.tr.Look(w.now, cycles(), p)
}

func mustTrack[T any](t testing.TB, tr *Tracker, object *T, owner string) *Handle {
	t.Helper()
	h, err := Track(tr, object, owner)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// await waits for what the runtime does in its own time.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute it is still not so: %s", what)
		}
		runtime.GC()
	}
}

//go:noinline
func open(t testing.TB, tr *Tracker, name string, keep bool) *Handle {
	s := &session{user: name}
	if keep {
		kept.Store(name, s)
	}
	return mustTrack(t, tr, s, "sessions")
}

// TestHeldObjectsAreFound: those that were released and are held, and no others, once patience is over.
func TestHeldObjectsAreFound(t *testing.T) {
	w := newWorld(t, Options{})
	patience := Patience{Collections: 3, Age: time.Minute}
	for i := range 20 {
		open(t, w.tr, fmt.Sprint("leaked ", i), true).Release()
	}
	for i := range 10 {
		open(t, w.tr, fmt.Sprint("in use ", i), true)
	}
	for i := range 15 {
		open(t, w.tr, fmt.Sprint("healthy ", i), false).Release()
	}
	if list := w.look(0, 0, patience); len(list) != 0 {
		t.Errorf("at once: %+v", list)
	}
	if list := w.look(10, time.Minute-1, patience); len(list) != 0 {
		t.Errorf("after many collections within a minute: %+v", list)
	}
	list := w.look(0, time.Minute, patience)
	if len(list) != 1 {
		t.Fatalf("%+v", list)
	}
	o := list[0]
	if o.Owner != "sessions" || o.Type != "track.session" || o.Count != 20 || len(o.Objects) != 20 || o.Collections < 9 || o.Age != 2*time.Minute-1 ||
		!o.Since.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("%+v", o)
	}
	frame, _ := runtime.CallersFrames(o.Site).Next()
	if !strings.Contains(frame.Function, "mustTrack") {
		t.Errorf("it was tracked in %s", frame.Function)
	}
	first, _ := kept.Load("leaked 0")
	if o.Objects[0].Address() != reflect.ValueOf(first).Pointer() {
		t.Error("the first is not where it is")
	}
	await(t, "the healthy ones are gone", func() bool { return w.tr.Usage().Entries == 30 })
	if list := w.tr.Tracked(); len(list) != 1 || list[0] != (Tracked{"sessions", "track.session", 10, 20}) {
		t.Errorf("%+v", list)
	}
	kept.Clear()
	if list := w.look(3, 0, patience); len(list) != 0 {
		t.Errorf("when they are gone: %+v", list)
	}
	await(t, "all are gone", func() bool { return w.tr.Usage().Entries == 0 })
	if u := w.tr.Usage(); u.PeakEntries > 45 || u.PeakEntries < 30 || u.MaxEntries != DefaultMaxObjects || u.PeakBytes != objectBytes*u.PeakEntries {
		t.Errorf("%+v", u)
	}
}

// TestCollectionsAreCountedFromTheRelease: a collection under way does not count, nor do those before somebody looked.
func TestCollectionsAreCountedFromTheRelease(t *testing.T) {
	w := newWorld(t, Options{})
	h := open(t, w.tr, "a", true)
	at := func(cycles uint64) int {
		for _, o := range w.tr.Look(w.now, cycles, Patience{Collections: 3}) {
			return o.Count
		}
		return 0
	}
	at(100)
	h.Release()
	h.Release()
	for _, step := range []struct {
		cycles uint64
		want   int
	}{{1 << 33, 0}, {1<<33 + 3, 0}, {1<<33 + 4, 1}, {1<<33 + 5, 1}} {
		if got := at(step.cycles); got != step.want {
			t.Errorf("at collection %d: %d are overdue, want %d", step.cycles, got, step.want)
		}
	}
	if list := w.tr.Tracked(); list[0].Released != 1 {
		t.Errorf("%+v", list)
	}
}

// TestABusyGoroutineIsNoLeak: what is a variable of a function that is about to return is not told of within its age.
func TestABusyGoroutineIsNoLeak(t *testing.T) {
	w := newWorld(t, Options{})
	patience := Patience{Collections: 2, Age: time.Minute}
	leave, left := make(chan bool), make(chan bool)
	go func() {
		s := &session{user: "busy"}
		mustTrack(t, w.tr, s, "sessions").Release()
		leave <- true
		<-leave
		runtime.KeepAlive(s)
		close(left)
	}()
	<-leave
	if list := w.look(0, 0, patience); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	if list := w.look(10, time.Second, patience); len(list) != 0 {
		t.Errorf("a burst of collections: %+v", list)
	}
	leave <- true
	<-left
	await(t, "it is gone", func() bool { return w.tr.Usage().Entries == 0 })
	if list := w.look(0, time.Hour, patience); len(list) != 0 {
		t.Errorf("after it has left: %+v", list)
	}
}

type (
	empty  struct{}
	number struct{ a, b uint32 }
	odd    struct {
		a int64
		b bool
		_ [0]*int
	}
	holder struct{ p *int }
	pair   struct{ a, b int64 }
)

var global session

// TestWhatCannotBeTracked is refused with the reason.
func TestWhatCannotBeTracked(t *testing.T) {
	w := newWorld(t, Options{})
	errOf := func(_ *Handle, err error) error { return err }
	var none *session
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"nil", errOf(Track(w.tr, none, "a")), "nil pointer"},
		{"no size", errOf(Track(w.tr, &empty{}, "a")), "track.empty has no size"},
		{"array without elements", errOf(Track(w.tr, &[0]*int{}, "a")), "has no size"},
		{"number", errOf(Track(w.tr, new(int64), "a")), "int64 has 8 bytes and no pointers"},
		{"struct", errOf(Track(w.tr, &number{}, "a")), "one block with others"},
		{"array", errOf(Track(w.tr, &[15]byte{}, "a")), "make it 16 bytes"},
		{"variable", errOf(Track(w.tr, &global, "a")), "not on the heap"},
		{"no owner", errOf(Track(w.tr, &session{}, "")), "owner"},
		{"long owner", errOf(Track(w.tr, &session{}, strings.Repeat("x", 129))), "owner"},
		{"lines", errOf(Track(w.tr, &session{}, "a\nb")), "one line"},
		{"no text", errOf(Track(w.tr, &session{}, "\xff")), "one line"},
	} {
		if !errors.Is(c.err, ErrUntrackable) || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.name, c.err, c.want)
		}
	}
	for name, err := range map[string]error{
		"small with a pointer": errOf(Track(w.tr, &holder{}, "a")), "small with a map": errOf(Track(w.tr, new(map[int]int), "a")),
		"16 bytes": errOf(Track(w.tr, &pair{}, "a")), "padded": errOf(Track(w.tr, &odd{}, "a")), "array": errOf(Track(w.tr, new([1]holder), "a")),
		"string": errOf(Track(w.tr, new(string), "a")),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.tr.Refused() != 0 {
		t.Errorf("%d refused for want of room", w.tr.Refused())
	}
	var h *Handle
	h.Release()
	h.ReleaseAfter(t.Context())
}

// TestInteriorPointers track the whole that they point into.
func TestInteriorPointers(t *testing.T) {
	w := newWorld(t, Options{})
	whole := make([]session, 8)
	h := mustTrack(t, w.tr, &whole[3], "elements")
	field := mustTrack(t, w.tr, &whole[5].data, "fields")
	if want := reflect.ValueOf(&whole[3]).Pointer(); h.Address() != want || field.Address() == want {
		t.Errorf("%x and %x, want %x", h.Address(), field.Address(), want)
	}
	h.Release()
	field.Release()
	if list := w.look(0, 0, Patience{Collections: 1}); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	if list := w.look(3, 0, Patience{Collections: 1}); len(list) != 2 || list[0].Owner != "elements" || list[1].Type != "[40]int64" {
		t.Errorf("%+v", list)
	}
	runtime.KeepAlive(whole)
	whole = nil
	await(t, "they are gone", func() bool { return w.tr.Usage().Entries == 0 })
}

// TestBounds: beyond them it is counted what was refused.
func TestBounds(t *testing.T) {
	w := newWorld(t, Options{Name: "mine", MaxObjects: 10})
	for i := range 10 {
		open(t, w.tr, fmt.Sprint(i), true)
	}
	for range 5 {
		if h, err := Track(w.tr, &session{}, "sessions"); !errors.Is(err, ErrFull) || h != nil {
			t.Errorf("%v, %v", h, err)
		}
	}
	if u := w.tr.Usage(); u.Entries != 10 || u.MaxEntries != 10 || u.PeakEntries != 10 || u.Bytes != u.MaxBytes || w.tr.Refused() != 5 {
		t.Errorf("%+v, %d refused", u, w.tr.Refused())
	}
	var _ bounded.Owner = w.tr
	if w.tr.Name() != "mine" || w.tr.Shrink(t.Context(), 1000) != 0 {
		t.Error("it is called otherwise, or has given back what it has not")
	}
	kept.Clear()
	await(t, "there is room again", func() bool {
		_, err := Track(w.tr, &session{}, "sessions")
		return err == nil
	})
	many := newWorld(t, Options{})
	for i := range MaxGroups {
		mustTrack(t, many.tr, &session{}, fmt.Sprint("owner ", i))
	}
	if _, err := Track(many.tr, &session{}, "one more"); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "made of what differs") {
		t.Error(err)
	}
	mustTrack(t, many.tr, &session{}, "owner 7")
	for _, most := range []int{-1, MostObjects + 1} {
		if _, err := New(Options{MaxObjects: most}); err == nil {
			t.Errorf("%d objects are a bound", most)
		}
	}
}

// generic has a long name with a long argument.
type generic[T any] struct{ v *T }

// TestNames: types of one name are one, and no name is too long for a report.
func TestNames(t *testing.T) {
	w := newWorld(t, Options{})
	{
		type local struct{ p *int }
		mustTrack(t, w.tr, &local{}, "a")
	}
	{
		type local struct{ p *string }
		mustTrack(t, w.tr, &local{}, "a")
	}
	if list := w.tr.Tracked(); len(list) != 1 || list[0].Type != "track.local" {
		t.Errorf("%+v", list)
	}
	mustTrack(t, w.tr, new(generic[generic[generic[generic[generic[generic[generic[session]]]]]]]), "b")
	if name := w.tr.Tracked()[1].Type; len(name) > maxTypeBytes || !strings.HasPrefix(name, "track.generic[") || !strings.HasSuffix(name, "session]]]]]]]") {
		t.Errorf("%q", name)
	}
}

// TestContexts release when they are done, and keep nothing of what was collected before.
func TestContexts(t *testing.T) {
	w := newWorld(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	releasedOf := func() (n int) {
		for _, g := range w.tr.Tracked() {
			n += g.Released
		}
		return n
	}
	open(t, w.tr, "a", true).ReleaseAfter(ctx)
	open(t, w.tr, "healthy", false).ReleaseAfter(ctx)
	byHand := open(t, w.tr, "b", true)
	byHand.ReleaseAfter(ctx)
	byHand.Release()
	byHand.ReleaseAfter(ctx)
	twice := open(t, w.tr, "c", true)
	twice.ReleaseAfter(ctx)
	longer, end := context.WithCancel(t.Context())
	defer end()
	twice.ReleaseAfter(longer)
	await(t, "the healthy one is gone", func() bool { return w.tr.Usage().Entries == 3 })
	if n := releasedOf(); n != 1 {
		t.Errorf("%d are released, want the one by hand", n)
	}
	cancel()
	await(t, "the context has released its own", func() bool { return releasedOf() == 2 })
	end()
	await(t, "and the longer one the other", func() bool { return releasedOf() == 3 })
	gone := open(t, w.tr, "d", true)
	gone.ReleaseAfter(ctx)
	await(t, "a context that is done releases at once", func() bool { return releasedOf() == 4 })
}

// TestClose ends it, with handles that are still about.
func TestClose(t *testing.T) {
	w := newWorld(t, Options{})
	waiting, later := open(t, w.tr, "a", true), open(t, w.tr, "b", true)
	waiting.Release()
	open(t, w.tr, "c", true) // is collected after the end
	w.tr.Close()
	w.tr.Close()
	later.Release()
	waiting.Release()
	if _, err := Track(w.tr, &session{}, "sessions"); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := w.tr.newGroup(groupKey{"late", reflect.TypeFor[session]()}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if list := w.look(3, time.Hour, Patience{Collections: 1}); len(list) != 0 || len(w.tr.Tracked()) != 0 {
		t.Errorf("%+v", list)
	}
	if n := w.tr.Usage().Entries; n != 1 {
		t.Errorf("%d are tracked, want the one that nobody has released", n)
	}
	kept.Clear()
	await(t, "all are gone", func() bool { return w.tr.Usage().Entries == 0 })
}

// TestALateCleanup: an object that is gone is not told of when the runtime's goroutine for cleanups is busy with
// others.
func TestALateCleanup(t *testing.T) {
	w := newWorld(t, Options{})
	const cleaners = 64 // more than the runtime has goroutines for them
	goOn, stuck := make(chan bool), atomic.Int64{}
	for range cleaners {
		runtime.AddCleanup(&session{}, func(int) { stuck.Add(1); <-goOn }, 1)
	}
	defer close(goOn)
	await(t, "one cleanup at least is stuck", func() bool { return stuck.Load() > 0 })
	for i := range 100 {
		open(t, w.tr, fmt.Sprint(i), false).Release()
	}
	w.look(0, 0, Patience{Collections: 2})
	if list := w.look(5, time.Hour, Patience{Collections: 2}); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	await(t, "they are not counted", func() bool {
		w.look(1, 0, Patience{})
		return w.tr.Usage().Entries == 0
	})
}

// TestManyGoroutines track, release and drop by a plan, while others look: what is overdue in the end is what was
// leaked.
func TestManyGoroutines(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newWorld(t, Options{})
	var leaked, unreleased atomic.Int64
	var work, looking sync.WaitGroup
	done := make(chan bool)
	looking.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
				w.tr.Look(time.Now(), cycles(), Patience{Collections: 1 << 20})
				w.tr.Tracked()
				w.tr.Usage()
			}
		}
	})
	for worker := range 8 {
		work.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(worker)))
			for i := range 1000 {
				keep := random.IntN(10) == 0
				h := open(t, w.tr, fmt.Sprint(worker, " ", i), keep)
				release := random.IntN(4) != 0
				if keep && release {
					leaked.Add(1)
				}
				if keep && !release {
					unreleased.Add(1)
				}
				if release {
					h.Release()
					h.Release()
				}
			}
		})
	}
	work.Wait()
	close(done)
	looking.Wait()
	await(t, "what is not kept is gone", func() bool { return w.tr.Usage().Entries == leaked.Load()+unreleased.Load() })
	w.now = time.Now()
	w.look(0, 0, Patience{Collections: 2})
	list := w.look(3, time.Hour, Patience{Collections: 2})
	if len(list) != 1 || int64(list[0].Count) != leaked.Load() {
		t.Fatalf("%+v, want %d", list, leaked.Load())
	}
	for _, h := range list[0].Objects {
		if h.Address() == 0 {
			t.Error("one is nowhere")
		}
	}
	if !slices.IsSortedFunc(list[0].Objects, func(a, b *Handle) int { return int(a.at - b.at) }) {
		t.Error("they are not in the order in which they were released")
	}
}

// TestFootprint: what is kept of an object on the heap is what Usage says.
func TestFootprint(t *testing.T) {
	w := newWorld(t, Options{})
	const n = 20_000
	objects, handles := make([]*session, n), make([]*Handle, n)
	for i := range objects {
		objects[i] = new(session)
	}
	mustTrack(t, w.tr, objects[0], "sessions")
	live := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := live()
	for i, o := range objects {
		handles[i] = mustTrack(t, w.tr, o, "sessions")
	}
	got := float64(live()-before) / n
	if got < 0.9*objectBytes || got > 1.1*objectBytes {
		t.Errorf("%.1f bytes an object, want %d", got, objectBytes)
	}
	runtime.KeepAlive(objects)
	runtime.KeepAlive(handles)
}
