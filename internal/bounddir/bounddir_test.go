package bounddir

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bounded"
)

// disk stands for the directory: what has not been removed is there.
type disk struct {
	now   time.Time
	there map[string]bool
	stuck string // cannot be removed
}

var errStuck = errors.New("stuck")

func (d *disk) remove(id string) error {
	if id == d.stuck {
		return errStuck
	}
	delete(d.there, id)
	return nil
}

func (d *disk) list(found ...Entry) *List[Entry] {
	d.there = map[string]bool{}
	for _, e := range found {
		d.there[e.ID] = true
	}
	return New(found, Options[Entry]{
		Evicting: "remove old letters", MaxCount: 4, MaxAge: time.Hour, MaxBytes: 100, Now: func() time.Time { return d.now },
		Entry: func(e *Entry) Entry { return *e }, Remove: d.remove,
	})
}

func ids(entries []Entry) string {
	text := ""
	for _, e := range entries {
		text += e.ID
	}
	return text
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func after(id string, minutes int, bytes int64) Entry {
	return Entry{ID: id, At: start.Add(time.Duration(minutes) * time.Minute), Bytes: bytes}
}

func TestWhatIsThereIsTakenOver(t *testing.T) {
	d := &disk{now: start.Add(90 * time.Minute)}
	l := d.list(after("c", 40, 30), after("a", 29, 1), after("d", 50, 30), after("b", 30, 41))
	if usage := l.Usage(); usage.Entries != 4 || usage.Bytes != 102 {
		t.Errorf("before: %+v", usage)
	}
	if got := ids(l.Newest()); got != "dcb" { // a is too old
		t.Errorf("listed: %s", got)
	}
	if err := l.Evict(); err != nil {
		t.Fatal(err)
	}
	want := bounded.Usage{Entries: 2, MaxEntries: 4, PeakEntries: 4, Bytes: 60, MaxBytes: 100, PeakBytes: 102}
	if usage := l.Usage(); usage != want || len(d.there) != 2 || ids(l.Newest()) != "dc" {
		t.Errorf("%+v, want %+v; %s of %v", usage, want, ids(l.Newest()), d.there)
	}
}

func TestWhatCannotBeRemovedTakesItsRoom(t *testing.T) {
	d := &disk{now: start, stuck: "a"}
	l := d.list(after("a", 0, 60), after("b", 1, 30))
	_, err := l.Add(50, func() (Entry, error) { return after("c", 2, 50), nil })
	if !errors.Is(err, errStuck) || !strings.HasPrefix(err.Error(), "remove old letters: ") {
		t.Errorf("%v", err)
	}
	if usage := l.Usage(); ids(l.Newest()) != "a" || usage.Bytes != 60 {
		t.Errorf("%s, %+v", ids(l.Newest()), usage)
	}
	if found, err := l.Delete("a"); !found || !errors.Is(err, errStuck) {
		t.Errorf("%v, %v", found, err)
	}
	d.stuck = ""
	if found, err := l.Delete("a"); !found || err != nil || len(d.there) != 0 || l.Usage().Bytes != 0 {
		t.Errorf("%v, %v, %v, %+v", found, err, d.there, l.Usage())
	}
	if found, err := l.Delete("a"); found || err != nil {
		t.Errorf("once more: %v, %v", found, err)
	}
}

func TestNothingIsAddedByAnError(t *testing.T) {
	d := &disk{now: start}
	l := d.list(after("a", 0, 60))
	full := errors.New("disk full")
	if _, err := l.Add(10, func() (Entry, error) { return after("b", 0, 10), full }); err != full {
		t.Errorf("%v", err)
	}
	if usage := l.Usage(); usage.Entries != 1 || usage.Bytes != 60 {
		t.Errorf("%+v", usage)
	}
	r, found, err := l.Change("a", func(e *Entry) error { e.Bytes = 70; return full })
	if !found || err != full || r.Bytes != 70 || l.Usage().Bytes != 70 {
		t.Errorf("%+v, %v, %v, %+v", r, found, err, l.Usage())
	}
	if _, found, err := l.Change("b", func(*Entry) error { return full }); found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
}

func TestWhatIsPutOrUpdatedStays(t *testing.T) {
	d := &disk{now: start}
	l := d.list(after("a", 0, 30), after("b", 1, 30))
	larger := func(e *Entry) error { e.Bytes = 120; return nil } // beyond the bound by itself: it stays until the next comes
	if found, err := l.Update("a", larger); !found || err != nil {
		t.Fatal(found, err)
	}
	if found, err := l.Update("b", larger); found || err != nil { // it had to make room, and does not come back
		t.Errorf("%v, %v", found, err)
	}
	if got, found := l.Get("a"); ids(l.Newest()) != "a" || !found || got.Bytes != 120 {
		t.Errorf("%s, %+v", ids(l.Newest()), got)
	}
	if err := l.Put(after("c", 2, 1)); err != nil || ids(l.Newest()) != "c" {
		t.Errorf("%s, %v", ids(l.Newest()), err)
	}
	d.now = start.Add(3 * time.Hour)
	if _, found := l.Get("c"); found {
		t.Error("what is too old can be had")
	}
	if freed, err := l.Prune(); freed != 1 || err != nil || l.Usage().Entries != 0 {
		t.Errorf("%d freed, %v, %+v", freed, err, l.Usage())
	}
}

// TestBoundsHold: whatever is done in whatever order, the newest that fit are there, on the disk as in the list.
func TestBoundsHold(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	d := &disk{now: start}
	l := d.list()
	var twin []Entry
	for i := range 5000 {
		d.now = d.now.Add(time.Duration(random.IntN(40)) * time.Minute)
		e := Entry{ID: string(rune('a' + i%26)), At: d.now, Bytes: random.Int64N(50)}
		if d.there[e.ID] {
			if _, err := l.Delete(e.ID); err != nil {
				t.Fatal(err)
			}
			twin = slices.DeleteFunc(twin, func(other Entry) bool { return other.ID == e.ID })
		}
		if _, err := l.Add(e.Bytes, func() (Entry, error) { d.there[e.ID] = true; return e, nil }); err != nil {
			t.Fatal(err)
		}
		twin = kept(append(twin, e), d.now)
		if got, want := ids(l.Newest()), ids(reversed(twin)); got != want || len(d.there) != len(twin) {
			t.Fatalf("%d: %s, want %s; on the disk %d", i, got, want, len(d.there))
		}
	}
}

// kept is what the bounds leave of entries in their order, by the shortest of all codes.
func kept(entries []Entry, now time.Time) []Entry {
	for len(entries) > 0 {
		total := int64(0)
		for _, e := range entries {
			total += e.Bytes
		}
		if len(entries) <= 4 && total <= 100 && cmp.Compare(now.Sub(entries[0].At), time.Hour) <= 0 {
			break
		}
		entries = entries[1:]
	}
	return entries
}

func reversed(entries []Entry) []Entry {
	entries = slices.Clone(entries)
	slices.Reverse(entries)
	return entries
}
