// Package track follows objects that a program says should become garbage, and finds those that do not.
//
// It knows weak pointers, cleanups, and the number of collections and the time that it is given. It does not know what
// holds an object: the facade above looks when collections have passed, takes a snapshot, and reports. See Tracker for
// what can be tracked and what that costs.
package track

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
	"weak"

	"github.com/memwarden/memwarden/bounded"
)

// Errors of Track.
var (
	// ErrUntrackable means that nothing could be told of an object, or of any of its type; the error says why.
	ErrUntrackable = errors.New("it cannot be tracked")
	// ErrFull means that as many objects are tracked as may be, or as many pairs of owner and type.
	ErrFull = errors.New("no more can be tracked")
	// ErrClosed means that the tracker was closed.
	ErrClosed = errors.New("the tracker was closed")
)

const (
	// DefaultMaxObjects is how many objects are tracked at most where Options do not say.
	DefaultMaxObjects = 100_000
	// MostObjects is the highest bound. If so many are overdue, Look takes some 20 ms.
	MostObjects = 1_000_000
	// MaxGroups bounds the pairs of owner and type.
	MaxGroups = 1024
	// MaxSample bounds how many objects of a group an Overdue has.
	MaxSample = 1024

	maxOwnerBytes = 128
	maxTypeBytes  = 200
	maxSiteFrames = 32
	// objectBytes is what is on the Go heap for each object: its Handle, what the runtime keeps of its cleanup, and the
	// handle of its weak pointer. The runtime has about 90 bytes more outside of the heap, which an owner of bytes on the
	// heap must not count.
	objectBytes = 104
	// tinyBytes is the size below which the runtime puts objects without pointers into one block with others.
	tinyBytes = 16
)

// Options of a Tracker. They are read once, by New.
type Options struct {
	// Name is the tracker's as an Owner; default "tracked_objects".
	Name string
	// MaxObjects bounds how many objects are tracked at once, at most MostObjects; default DefaultMaxObjects.
	MaxObjects int
}

// Tracker follows objects until they are collected. It is safe for concurrent use, starts no goroutine, and is a
// bounded.Owner of what it keeps for each: a bound of 100,000 objects is one of 10 MiB on the heap, and some 9 MiB that
// the runtime has outside of it.
//
// An object is a place in memory that the runtime frees as a whole. A pointer into one, to a field or an element,
// tracks the whole: it is collected when nothing points to any part of it. Refused are types without a size; those of
// less than 16 bytes without pointers, which the runtime puts into one block with others that keep it; and what the
// runtime never frees, such as a package's variables.
//
// To track an object takes four small allocations and, with its release and what the runtime does when it is freed,
// three quarters of a microsecond: see BenchmarkTrack. It keeps nothing alive.
type Tracker struct {
	o      Options
	closed atomic.Bool
	groups atomic.Pointer[groups] // never changed, but replaced with mu
	mu     sync.Mutex

	count, peak, refused atomic.Int64

	looking sync.Mutex
	epoch   time.Time // of the first Look; with looking
}

// groups are all there are. Types of one name are one to a reader: their objects are in one group.
type groups struct {
	of   map[groupKey]*group
	list []*group
}

type groupKey struct {
	owner string
	typ   reflect.Type
}

// group are the objects of one owner and type.
type group struct {
	t          *Tracker
	owner, typ string
	site       []uintptr // where the first of them was tracked

	mu          sync.Mutex
	closed      bool
	held        int     // tracked and not released
	waiting     int     // released and not collected: those of the list
	first, last *Handle // in the order in which they were released
}

// New makes a Tracker.
func New(o Options) (*Tracker, error) {
	if o.Name == "" {
		o.Name = "tracked_objects"
	}
	if o.MaxObjects == 0 {
		o.MaxObjects = DefaultMaxObjects
	}
	if o.MaxObjects < 0 || o.MaxObjects > MostObjects {
		return nil, fmt.Errorf("track: at most %d objects: want 1 to %d", o.MaxObjects, MostObjects)
	}
	t := &Tracker{o: o}
	t.groups.Store(&groups{})
	return t, nil
}

// Track follows an object of an owner: the name of the part of the program that it belongs to, one line of at most 128
// bytes, such as that of a bounded.Owner. Owners must be few: with the types, no more than MaxGroups. The caller
// calls Handle.Release when the object should become garbage.
//
// An error is ErrUntrackable, ErrFull or ErrClosed, and the Handle is nil then, whose Release does nothing.
func Track[T any](t *Tracker, object *T, owner string) (*Handle, error) {
	if t.closed.Load() {
		return nil, ErrClosed
	}
	if object == nil {
		return nil, fmt.Errorf("track: a nil pointer: %w", ErrUntrackable)
	}
	key := groupKey{owner, reflect.TypeFor[T]()}
	g := t.groups.Load().of[key]
	if g == nil {
		var err error
		if g, err = t.newGroup(key); err != nil {
			return nil, err
		}
	}
	if err := t.reserve(); err != nil {
		return nil, err
	}
	h := &Handle{group: g}
	if err := attach(object, h); err != nil {
		t.count.Add(-1)
		return nil, err
	}
	h.object = pointer[T]{weak.Make(object)}
	g.mu.Lock()
	g.held++
	g.mu.Unlock()
	runtime.KeepAlive(object) // so that the handle is complete before it can be over
	return h, nil
}

// pointer is a weak pointer whose type is forgotten. It takes no allocation in an interface.
type pointer[T any] struct{ object weak.Pointer[T] }

func (p pointer[T]) address() uintptr { return reflect.ValueOf(p.object.Value()).Pointer() }

// attach has the handle told when the object is gone. The runtime's cleanup holds the handle, which must not lead to
// the object.
func attach[T any](object *T, h *Handle) (err error) {
	defer func() {
		if reason := recover(); reason != nil { // of an arena, or memory that is not Go's
			err = fmt.Errorf("track: a %T: %w: %v", object, ErrUntrackable, reason)
		}
	}()
	if runtime.AddCleanup(object, (*Handle).collected, h) == (runtime.Cleanup{}) {
		return fmt.Errorf("track: a %T that is not on the heap, such as a package's variable: %w: it is never freed", object, ErrUntrackable)
	}
	return nil
}

// reserve counts one more object.
func (t *Tracker) reserve() error {
	n := t.count.Add(1)
	if n > int64(t.o.MaxObjects) {
		t.count.Add(-1)
		t.refused.Add(1)
		return fmt.Errorf("track: there are %d objects: %w", t.o.MaxObjects, ErrFull)
	}
	for peak := t.peak.Load(); n > peak && !t.peak.CompareAndSwap(peak, n); peak = t.peak.Load() {
	}
	return nil
}

// newGroup makes the group of an owner and a type, unless there is one by now.
func (t *Tracker) newGroup(key groupKey) (*group, error) {
	if err := trackable(key.typ); err != nil {
		return nil, err
	}
	if key.owner == "" || len(key.owner) > maxOwnerBytes || !utf8.ValidString(key.owner) || strings.ContainsFunc(key.owner, unicode.IsControl) {
		return nil, fmt.Errorf("track: owner %.80q: want one line of 1 to %d bytes: %w", key.owner, maxOwnerBytes, ErrUntrackable)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.groups.Load()
	if g := before.of[key]; g != nil {
		return g, nil
	}
	if t.closed.Load() {
		return nil, ErrClosed
	}
	if len(before.of) >= MaxGroups {
		t.refused.Add(1)
		return nil, fmt.Errorf("track: there are %d pairs of owner and type: %w: is the name of an owner made of what differs each time?", MaxGroups, ErrFull)
	}
	key.owner = strings.Clone(key.owner)
	after := &groups{of: map[groupKey]*group{}, list: before.list}
	maps.Copy(after.of, before.of)
	g := before.named(key.owner, shorten(key.typ.String()))
	if g == nil {
		site := make([]uintptr, maxSiteFrames)
		const above = 3 // Callers, this function and Track
		g = &group{t: t, owner: key.owner, typ: shorten(key.typ.String()), site: site[:runtime.Callers(above, site)]}
		after.list = append(slices.Clip(before.list), g)
	}
	after.of[key] = g
	t.groups.Store(after)
	return g, nil
}

// named is the group of an owner and the name of a type; nil if there is none.
func (g *groups) named(owner, typ string) *group {
	for _, one := range g.list {
		if one.owner == owner && one.typ == typ {
			return one
		}
	}
	return nil
}

// shorten bounds the name of a type, as generic ones may have any length.
func shorten(name string) string {
	if len(name) <= maxTypeBytes {
		return name
	}
	half := maxTypeBytes/2 - 3
	return strings.ToValidUTF8(name[:half], "") + "..." + strings.ToValidUTF8(name[len(name)-half:], "")
}

// trackable says why objects of a type cannot be tracked.
func trackable(t reflect.Type) error {
	switch size := t.Size(); {
	case size == 0:
		return fmt.Errorf("track: a %v has no size: %w: all such objects share one address", t, ErrUntrackable)
	case size < tinyBytes && !hasPointers(t):
		return fmt.Errorf("track: a %v has %d bytes and no pointers: %w: the runtime puts it into one block with others that keep it; "+
			"track what it is a part of, or make it %d bytes or more", t, size, ErrUntrackable, tinyBytes)
	}
	return nil
}

// hasPointers reports whether the collector finds pointers in values of a type.
func hasPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return t.Len() > 0 && hasPointers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if hasPointers(t.Field(i).Type) {
				return true
			}
		}
		return false
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice, reflect.String, reflect.UnsafePointer:
		return true
	default:
		return false
	}
}

// Name returns Options.Name.
func (t *Tracker) Name() string { return t.o.Name }

// Usage tells how many objects are tracked, and what is on the Go heap for them.
func (t *Tracker) Usage() bounded.Usage {
	count, peak, most := t.count.Load(), t.peak.Load(), int64(t.o.MaxObjects)
	return bounded.Usage{
		Entries: count, MaxEntries: most, PeakEntries: peak,
		Bytes: objectBytes * count, MaxBytes: objectBytes * most, PeakBytes: objectBytes * peak,
	}
}

// Shrink frees nothing: what is kept goes with the objects.
func (t *Tracker) Shrink(context.Context, int64) int64 { return 0 }

// Refused is how many objects were not tracked because of ErrFull.
func (t *Tracker) Refused() int64 { return t.refused.Load() }

// Close ends the tracking: Look finds nothing any more, Track refuses, Release does nothing. What the runtime keeps of
// an object goes with it.
func (t *Tracker) Close() {
	t.mu.Lock()
	t.closed.Store(true)
	before := t.groups.Load()
	t.groups.Store(&groups{})
	t.mu.Unlock()
	for _, g := range before.list {
		g.mu.Lock()
		g.closed = true
		for g.first != nil {
			g.first.drop()
		}
		g.mu.Unlock()
	}
}
