package bounded

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sort"
	"sync"
	"time"
)

const (
	defaultMaxCount = 1000
	mostCount       = 10_000_000
	defaultMaxAge   = 24 * time.Hour
	// mostWeight keeps the sum of all weights within 63 bits.
	mostWeight = 1 << 38
	// retentionBytes is a retention store without its segments and their table.
	retentionBytes = 512
	segmentLength  = 16
)

// ErrNotRetained refuses a value that is larger than all that a Retention may keep. Those returned wrap it.
var ErrNotRetained = errors.New("value is larger than all that may be kept")

// RetentionOptions are the settings of a Retention. They are read once, by NewRetention.
type RetentionOptions[T any] struct {
	// Name identifies the store as an Owner: lower-case letters, digits, '_', '.' and '-'. Required.
	Name string
	// MaxCount bounds the entries; default 1,000, at most 10 million.
	MaxCount int
	// MaxAge is how old an entry may become; default 24 h.
	MaxAge time.Duration
	// MaxBytes bounds the memory of all entries and the store itself; 0 bounds it by MaxCount alone. It needs Weigh.
	MaxBytes int64
	// Weigh returns the bytes that a value holds beside its own T (what its pointers lead to), 0 to 256 GiB. It is
	// called once for each value, by Add, and may not be changed by what is done to the value later. Default: 0.
	Weigh func(T) int64
	// NextID returns the id of a value that is added, above all before: stores that share it have ids of one series. It is
	// called for one value after the other. Default: the ids are 1, 2, 3 and so on.
	NextID func() int64
	// Now is the clock; default time.Now. If it runs backwards, it is taken to stand still.
	Now func() time.Time
}

// Retention keeps the newest values that were added: at most MaxCount, none older than MaxAge, together no larger than
// MaxBytes. No bound is passed at any moment, and what has expired is not shown. It is safe for concurrent use, starts
// no goroutine and implements Owner.
//
// Entries are ordered by ids, which increase with the time of insertion. Add, Get and Usage take a fraction of a
// microsecond; what expired since the last call is dropped by the next one, whichever it is, in proportion to its
// number. Memory comes and goes in segments of 16 entries.
type Retention[T any] struct {
	options   RetentionOptions[T]
	entrySize int64 // of an entry in a segment, without its weight
	base      int64 // the store itself: its table, and two segments that are not filled
	room      int64 // for entries, with their weights

	mu       sync.Mutex
	segments []*[segmentLength]retained[T] // a ring; nil where no entry is
	first    int                           // place of the oldest entry: segment · segmentLength + index
	count    int
	bytes    int64 // of entries, with their weights; never above room
	lastID   int64
	lastAt   time.Time

	peakCount int
	peakBytes int64
}

// Retained is an entry of a Retention.
type Retained[T any] struct {
	ID    int64     // 1 or more, larger than that of every entry before; never used again
	At    time.Time // of insertion, not before that of any entry before
	Value T
}

// retained is an entry in its segment; unused ones are zero.
type retained[T any] struct {
	Retained[T]
	weight int64
}

// NewRetention returns an empty store, or an error that lists every mistake in the options.
func NewRetention[T any](options RetentionOptions[T]) (*Retention[T], error) {
	if options.MaxCount == 0 {
		options.MaxCount = defaultMaxCount
	}
	if options.MaxAge == 0 {
		options.MaxAge = defaultMaxAge
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	r := &Retention[T]{options: options, room: math.MaxInt64}
	r.entrySize = segmentBytes(reflect.TypeFor[retained[T]]().Size()) / segmentLength
	segments := (max(0, min(options.MaxCount, mostCount))+segmentLength-1)/segmentLength + 1 // filled from any place
	r.base = retentionBytes + 8*int64(segments) + 2*segmentLength*r.entrySize
	if err := options.check(r.base + r.entrySize); err != nil {
		return nil, err
	}
	if options.MaxBytes > 0 {
		r.room = options.MaxBytes - r.base
	}
	r.segments = make([]*[segmentLength]retained[T], segments)
	r.peakBytes = r.base
	return r, nil
}

// segmentBytes returns what the allocator gives for a segment of entries of such a size, with 8 bytes that it adds for
// itself where there are pointers in it, as a multiple of segmentLength.
func segmentBytes(entry uintptr) int64 {
	allocated := cap(append([]byte(nil), make([]byte, segmentLength*entry+8)...))
	return (int64(allocated) + segmentLength - 1) / segmentLength * segmentLength
}

// check returns every mistake in the options, once they have their defaults. least is the memory of one entry without
// weight.
func (o RetentionOptions[T]) check(least int64) error {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("bounded: retention: "+format, args...))
	}
	if !validName(o.Name) {
		mistake("name %q: want lower-case letters, digits, '_', '.' and '-'", o.Name)
	}
	if o.MaxCount < 1 || o.MaxCount > mostCount {
		mistake("max count %d: want 1 to %d", o.MaxCount, mostCount)
	}
	if o.MaxAge < 0 {
		mistake("max age %s: want above 0", o.MaxAge)
	}
	switch {
	case o.MaxBytes < 0 || o.MaxBytes > 0 && o.MaxBytes < least:
		mistake("max bytes %d: want at least %d, what the store takes with one entry, or 0 for no bound", o.MaxBytes, least)
	case o.MaxBytes > 0 && o.Weigh == nil:
		mistake("max bytes %d without a function that weighs: values would be taken for weightless", o.MaxBytes)
	}
	return errors.Join(mistakes...)
}

// Add keeps a value and returns its id. The oldest entries make room for it. The error wraps ErrNotRetained if there
// could not be room for it at all.
func (r *Retention[T]) Add(value T) (id int64, err error) {
	var weight int64
	if r.options.Weigh != nil {
		weight = r.options.Weigh(value)
	}
	if weight < 0 || weight > mostWeight {
		return 0, fmt.Errorf("bounded: retention %s: a value weighs %d bytes: want 0 to %d", r.options.Name, weight, int64(mostWeight))
	}
	if weight+r.entrySize > r.room {
		return 0, fmt.Errorf("bounded: retention %s: %w: %d bytes of %d", r.options.Name, ErrNotRetained, weight+r.entrySize, r.room)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastAt = r.expire()
	for r.count == r.options.MaxCount || r.bytes > r.room-weight-r.entrySize {
		r.dropOldest()
	}
	if r.lastID++; r.options.NextID != nil {
		r.lastID = r.options.NextID()
	}
	segment, index := r.place(r.count)
	if *segment == nil {
		*segment = new([segmentLength]retained[T])
	}
	(*segment)[index] = retained[T]{Retained[T]{r.lastID, r.lastAt, value}, weight}
	r.count++
	r.bytes += r.entrySize + weight
	r.peakCount = max(r.peakCount, r.count)
	r.peakBytes = max(r.peakBytes, r.base+r.bytes)
	return r.lastID, nil
}

// Get returns the entry with an id, and whether there still is one.
func (r *Retention[T]) Get(id int64) (entry Retained[T], found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	i := r.search(id)
	if i == r.count || r.at(i).ID != id {
		return entry, false
	}
	return r.at(i).Retained, true
}

// List returns a page of entries, newest first: at most limit of those with ids below before, or of all if before is 0.
// The last id of a page is the before of the next. The slice is the caller's.
func (r *Retention[T]) List(before int64, limit int) []Retained[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	end := r.count
	if before != 0 {
		end = r.search(before)
	}
	page := make([]Retained[T], max(0, min(limit, end)))
	for i := range page {
		page[i] = r.at(end - 1 - i).Retained
	}
	return page
}

// Delete removes the entry with an id, and reports whether there was one. It takes time in proportion to the entries
// before or behind it, whichever are fewer.
func (r *Retention[T]) Delete(id int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	i := r.search(id)
	if i == r.count || r.at(i).ID != id {
		return false
	}
	r.bytes -= r.entrySize + r.at(i).weight
	if i < r.count/2 {
		for ; i > 0; i-- {
			*r.at(i) = *r.at(i - 1)
		}
		r.clearFirst()
	} else {
		for ; i < r.count-1; i++ {
			*r.at(i) = *r.at(i + 1)
		}
		r.clearLast()
	}
	return true
}

// Name returns the name from the options.
func (r *Retention[T]) Name() string { return r.options.Name }

// Usage returns the entries and their memory, as Weigh says, the store itself included. It drops what has expired.
// MaxBytes is NotApplicable if values are weighed but not bounded.
func (r *Retention[T]) Usage() Usage {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	bound := r.options.MaxBytes
	if bound == 0 {
		bound = NotApplicable
		if r.options.Weigh == nil {
			bound = r.base + r.entrySize*int64(r.options.MaxCount)
		}
	}
	return Usage{
		Entries: int64(r.count), MaxEntries: int64(r.options.MaxCount), PeakEntries: int64(r.peakCount),
		Bytes: r.base + r.bytes, MaxBytes: bound, PeakBytes: r.peakBytes,
	}
}

// Shrink drops the oldest entries until so many bytes are freed or none is left.
func (r *Retention[T]) Shrink(_ context.Context, bytes int64) (freed int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.bytes
	r.expire()
	for r.count > 0 && before-r.bytes < bytes {
		r.dropOldest()
	}
	return before - r.bytes
}

// expire drops the entries that are too old, and returns the time that this was judged by. mu is held.
func (r *Retention[T]) expire() (now time.Time) {
	now = r.options.Now()
	if now.Before(r.lastAt) {
		now = r.lastAt
	}
	for r.count > 0 && now.Sub(r.at(0).At) > r.options.MaxAge {
		r.dropOldest()
	}
	return now
}

func (r *Retention[T]) dropOldest() {
	r.bytes -= r.entrySize + r.at(0).weight
	r.clearFirst()
}

// search returns the place of the first entry with that id or a larger one; count if there is none.
func (r *Retention[T]) search(id int64) int {
	return sort.Search(r.count, func(i int) bool { return r.at(i).ID >= id })
}

// place returns where the i-th entry is, the oldest being the 0th.
func (r *Retention[T]) place(i int) (segment **[segmentLength]retained[T], index int) {
	at := r.first + i
	if length := len(r.segments) * segmentLength; at >= length {
		at -= length
	}
	return &r.segments[at/segmentLength], at % segmentLength
}

func (r *Retention[T]) at(i int) *retained[T] {
	segment, index := r.place(i)
	return &(*segment)[index]
}

// clearFirst frees the place of the oldest entry, and its segment if that was the last one in it.
func (r *Retention[T]) clearFirst() {
	r.clear(0, segmentLength-1)
	if r.first++; r.first == len(r.segments)*segmentLength {
		r.first = 0
	}
}

// clearLast frees the place of the newest entry, and its segment if that was the first one in it.
func (r *Retention[T]) clearLast() { r.clear(r.count-1, 0) }

// clear frees the place of an entry at either end, and its segment if it was the only one left in it: that is known of
// the segment's edge, and of the last entry of all.
func (r *Retention[T]) clear(i, edge int) {
	segment, index := r.place(i)
	(*segment)[index] = retained[T]{}
	r.count--
	if index == edge || r.count == 0 {
		*segment = nil
	}
}
