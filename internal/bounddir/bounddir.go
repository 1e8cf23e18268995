// Package bounddir keeps the list of what is in a directory, heap snapshots or incident bundles, within bounds of count, age
// and bytes; the oldest go first.
//
// It knows ids, times and sizes, not what an entry is or which files it has: those who keep the directory tell it how
// one is removed. heap/archive and incident stand above.
package bounddir

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/internal/sorting"
)

// Options of a List. All of them must be set, and the bounds be positive.
type Options[Record any] struct {
	// Evicting is what errors call the removal of what is beyond the bounds: "incident: remove old bundles".
	Evicting string
	MaxCount int
	MaxAge   time.Duration
	MaxBytes int64
	// Now is the clock.
	Now func() time.Time
	// Entry is what the list must know of a record.
	Entry func(*Record) Entry
	// Remove removes the files of an entry. It is called with the list locked.
	Remove func(id string) error
}

// Entry is what bounds go by.
type Entry struct {
	ID    string
	At    time.Time
	Bytes int64 // of all its files
}

// List is what is in a directory. It is safe for concurrent use. Methods take time in proportion to the number of entries.
type List[Record any] struct {
	o Options[Record]

	mu      sync.Mutex
	records []Record // oldest first

	// For Usage, which must not wait for the disk.
	count, bytes, peakCount, peakBytes atomic.Int64
}

// New returns the list of records that are there, in any order. Call Evict to remove what is beyond the bounds.
func New[Record any](records []Record, o Options[Record]) *List[Record] {
	l := &List[Record]{o: o, records: records}
	sorting.By(l.records, func(x, y Record) int {
		a, b := o.Entry(&x), o.Entry(&y)
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID))
	})
	l.account()
	return l
}

// Evict removes what is too old, and the oldest until the bounds are kept. What cannot be removed still takes its room.
func (l *List[Record]) Evict() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.evict("", 0, 0)
}

// Add makes room for so many bytes, has an entry made that takes them, and adds it. After an error there is none.
func (l *List[Record]) Add(bytes int64, create func() (Record, error)) (Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var none Record
	if err := l.evict("", 1, bytes); err != nil {
		return none, err
	}
	r, err := create()
	if err != nil {
		return none, err
	}
	l.records = append(l.records, r)
	l.account()
	return r, nil
}

// Put adds an entry that is there, and makes the others keep the bounds.
func (l *List[Record]) Put(r Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
	return l.evict(l.o.Entry(&r).ID, 0, 0)
}

// Change has a record changed, and with it the files of its entry, while nothing else is; found tells if there is one: what
// was removed does not come back by it.
func (l *List[Record]) Change(id string, change func(*Record) error) (r Record, found bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.change(id, change)
}

// Update is Change, and makes the others keep the bounds.
func (l *List[Record]) Update(id string, change func(*Record) error) (found bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, found, err = l.change(id, change); !found {
		return false, nil
	}
	return true, errors.Join(err, l.evict(id, 0, 0))
}

// change is Change of one who holds mu.
func (l *List[Record]) change(id string, change func(*Record) error) (r Record, found bool, err error) {
	at := l.find(id)
	if at < 0 {
		return r, false, nil
	}
	defer l.account()
	err = change(&l.records[at])
	return l.records[at], true, err
}

// Delete removes an entry; found tells if there was one.
func (l *List[Record]) Delete(id string) (found bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.find(id)
	if at < 0 {
		return false, nil
	}
	if err := l.o.Remove(id); err != nil {
		return true, err
	}
	l.records = slices.Delete(l.records, at, at+1)
	l.account()
	return true, nil
}

// Prune removes what has become too old and tells how many bytes that freed.
func (l *List[Record]) Prune() (freed int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.total()
	err = l.evict("", 0, 0)
	return before - l.total(), err
}

// Newest returns the records, newest first, without those that have become too old but are not removed yet.
func (l *List[Record]) Newest() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := []Record{}
	stale := l.stale()
	for _, r := range slices.Backward(l.records) {
		if !l.o.Entry(&r).At.Before(stale) {
			list = append(list, r)
		}
	}
	return list
}

// Get returns a record, of those that Newest does.
func (l *List[Record]) Get(id string) (r Record, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := l.find(id); at >= 0 && !l.o.Entry(&l.records[at]).At.Before(l.stale()) {
		return l.records[at], true
	}
	return r, false
}

// Usage tells how many entries there are and how many bytes of the disk they take. It waits for nothing.
func (l *List[Record]) Usage() bounded.Usage {
	return bounded.Usage{
		Entries: l.count.Load(), MaxEntries: int64(l.o.MaxCount), PeakEntries: l.peakCount.Load(),
		Bytes: l.bytes.Load(), MaxBytes: l.o.MaxBytes, PeakBytes: l.peakBytes.Load(),
	}
}

// evict removes what is too old, and the oldest until there is room for so many more, but never the one of an id. The
// caller holds mu.
func (l *List[Record]) evict(but string, more int, moreBytes int64) error {
	var problems []error
	count, total := len(l.records), l.total()
	stale := l.stale()
	kept := l.records[:0]
	for _, r := range l.records {
		e := l.o.Entry(&r)
		if e.ID == but || !e.At.Before(stale) && count+more <= l.o.MaxCount && total+moreBytes <= l.o.MaxBytes {
			kept = append(kept, r)
			continue
		}
		if err := l.o.Remove(e.ID); err != nil {
			problems = append(problems, err)
			kept = append(kept, r) // it still takes its room
			continue
		}
		count--
		total -= e.Bytes
	}
	clear(l.records[len(kept):])
	l.records = kept
	l.account()
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("%s: %w", l.o.Evicting, err)
	}
	return nil
}

func (l *List[Record]) stale() time.Time { return l.o.Now().Add(-l.o.MaxAge) }

// find is the place of an entry; -1: there is none. The caller holds mu.
func (l *List[Record]) find(id string) int {
	return slices.IndexFunc(l.records, func(r Record) bool { return l.o.Entry(&r).ID == id })
}

func (l *List[Record]) total() (bytes int64) {
	for i := range l.records {
		bytes += l.o.Entry(&l.records[i]).Bytes
	}
	return bytes
}

// account publishes the figures of Usage. The caller holds mu, or nobody else has the list yet.
func (l *List[Record]) account() {
	count, total := int64(len(l.records)), l.total()
	l.count.Store(count)
	l.bytes.Store(total)
	l.peakCount.Store(max(l.peakCount.Load(), count))
	l.peakBytes.Store(max(l.peakBytes.Load(), total))
}
