package track

import (
	"cmp"
	"time"

	"github.com/memwarden/memwarden/internal/sorting"
)

// Patience is how long an object may stay after it was released: until both are over.
type Patience struct {
	// Collections is how many that began after Look has seen the release may leave the object alive.
	Collections int
	// Age is for how long it may be alive by then: many collections may follow each other while a goroutine is still about
	// to leave the function that has the object in a variable.
	Age time.Duration
}

// Overdue are the objects of one owner and type that are still alive when they should be no more.
type Overdue struct {
	Owner, Type string
	// Count is how many there are.
	Count int
	// Collections is how many the one that was released first has outlived, Age for how long, Since since when.
	Collections int
	Age         time.Duration
	Since       time.Time
	// Objects are those that were released first, MaxSample of them at most.
	Objects []*Handle
	// Site is the call stack in which the first object of the owner and type was tracked, as for runtime.CallersFrames.
	Site []uintptr
}

// Look returns the objects that are overdue, by owner and type. It is called now and then with the time and the number
// of collections that the process has completed: from one call to the next the released objects are noted, and an
// object's patience begins when it is. It takes some 20 ns for each object that is overdue, in which no
// others of the same owner and type are tracked or released.
//
// Nothing is said of an object that is alive because nothing has collected it: as many collections as were asked for
// have begun, and have ended, since it was released, and its weak pointer still leads to it.
func (t *Tracker) Look(now time.Time, cycles uint64, p Patience) []Overdue {
	t.looking.Lock()
	defer t.looking.Unlock()
	if t.epoch.IsZero() {
		t.epoch = now
	}
	var list []Overdue
	for _, g := range t.groups.Load().list {
		if o := g.look(t.epoch, int64(now.Sub(t.epoch)), uint32(cycles), p); o.Count > 0 {
			list = append(list, o)
		}
	}
	sorting.By(list, func(a, b Overdue) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Type, b.Type))
	})
	return list
}

// look notes what was released, and returns what is overdue.
func (g *group) look(epoch time.Time, now int64, cycles uint32, p Patience) Overdue {
	o := Overdue{Owner: g.owner, Type: g.typ, Site: g.site}
	g.mu.Lock()
	defer g.mu.Unlock()
	for h := g.last; h != nil && h.state == released; h = h.prev {
		h.state, h.at, h.cycles = seen, now, cycles
	}
	for h := g.first; h != nil; {
		age, outlived := time.Duration(now-h.at), int(int32(cycles-h.cycles))-1 // one may have been under way already
		if outlived < p.Collections || age < p.Age {
			break // and so are all behind it
		}
		next := h.next
		switch {
		case h.Address() == 0: // the runtime has not called yet
			h.drop()
		case o.Count == 0:
			o.Collections, o.Age, o.Since = outlived, age, epoch.Add(time.Duration(h.at))
			fallthrough
		default:
			o.Count++
			if len(o.Objects) < MaxSample {
				o.Objects = append(o.Objects, h)
			}
		}
		h = next
	}
	return o
}

// Tracked tells how many objects of an owner and type there are.
type Tracked struct {
	Owner, Type string
	Held        int // tracked, and not released
	Released    int // and not yet collected
}

// Tracked returns what is tracked, by owner and type.
func (t *Tracker) Tracked() []Tracked {
	list := []Tracked{}
	for _, g := range t.groups.Load().list {
		g.mu.Lock()
		list = append(list, Tracked{Owner: g.owner, Type: g.typ, Held: g.held, Released: g.waiting})
		g.mu.Unlock()
	}
	sorting.By(list, func(a, b Tracked) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Type, b.Type))
	})
	return list
}
