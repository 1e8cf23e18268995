package pgxpool

import (
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// socket counts how often it is closed; nothing else of it is used.
type socket struct {
	net.Conn
	closed int
}

func (s *socket) Close() error { s.closed++; return nil }

// twin keeps the same book in the simplest way: a line for each thing that happened, read from the start each time.
type twin struct{ lines []line }

type line struct {
	what string // opened, closed, taken, released, reported
	conn int
	at   time.Time
}

// state replays the book.
func (w *twin) state() (open map[int]bool, since map[int]time.Time, reported map[int]bool, peak int) {
	open, since, reported = map[int]bool{}, map[int]time.Time{}, map[int]bool{}
	for _, l := range w.lines {
		switch l.what {
		case "opened":
			open[l.conn] = true
			peak = max(peak, len(open))
		case "closed":
			delete(open, l.conn)
			delete(since, l.conn)
		case "taken":
			since[l.conn] = l.at
			delete(reported, l.conn)
		case "released":
			delete(since, l.conn)
		case "reported":
			reported[l.conn] = true
		}
	}
	return open, since, reported, peak
}

func (w *twin) overdue(now time.Time, limit time.Duration) (dates []time.Time) {
	_, since, reported, _ := w.state()
	for conn, at := range since {
		if !reported[conn] && now.Sub(at) >= limit {
			dates = append(dates, at)
			w.lines = append(w.lines, line{"reported", conn, now})
		}
	}
	return dates
}

func TestConnsAgainstATwin(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range 100 {
		const limit = time.Minute
		bound := 1 + random.IntN(6)
		s := conns{open: make(map[*pgx.Conn]*conn), limit: bound}
		w := &twin{}
		keys := make(map[int]*pgx.Conn)
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		for step := range 60 {
			now = now.Add(time.Duration(random.IntN(30)) * time.Second)
			open, since, _, _ := w.state()
			idle := slices.DeleteFunc(slices.Sorted(maps.Keys(open)), func(c int) bool { return !since[c].IsZero() })
			switch choice := random.IntN(5); {
			case choice == 0 && len(open) < bound:
				keys[step] = new(pgx.Conn)
				s.opened(keys[step], &socket{})
				w.lines = append(w.lines, line{"opened", step, now})
			case choice == 1 && len(open) > 0:
				c := slices.Sorted(maps.Keys(open))[random.IntN(len(open))]
				s.closed(keys[c])
				w.lines = append(w.lines, line{"closed", c, now})
			case choice == 2 && len(idle) > 0:
				c := idle[random.IntN(len(idle))]
				s.taken(keys[c], now)
				w.lines = append(w.lines, line{"taken", c, now})
			case choice == 3 && len(since) > 0:
				c := slices.Sorted(maps.Keys(since))[random.IntN(len(since))]
				s.released(keys[c])
				w.lines = append(w.lines, line{"released", c, now})
			}
			var got []time.Time
			for _, h := range s.overdue(now, limit) {
				got = append(got, h.Since)
				if h.For != now.Sub(h.Since) {
					t.Errorf("held since %v for %v at %v", h.Since, h.For, now)
				}
			}
			want := w.overdue(now, limit)
			slices.SortFunc(got, time.Time.Compare)
			slices.SortFunc(want, time.Time.Compare)
			open, _, _, most := w.state()
			if count, peak := s.count(); !slices.Equal(got, want) || count != int64(len(open)) || peak != int64(most) {
				t.Fatalf("seed %d, round %d, step %d: %v overdue, %d open, peak %d; want %v, %d, %d",
					seed, round, step, got, count, peak, want, len(open), most)
			}
		}
	}
}

func TestStackOfWhoTookIt(t *testing.T) {
	s := conns{open: make(map[*pgx.Conn]*conn), limit: 1}
	key, now := new(pgx.Conn), time.Unix(0, 0)
	s.taken(key, now) // of which nobody knows
	s.released(key)
	if _, count := s.cut(now); count != 0 {
		t.Error("a connection was cut that there is not")
	}
	s.opened(key, &socket{})
	func() { func() { s.taken(key, now) }() }() // as the hook, called by the pool
	held := s.overdue(now, 0)
	if len(held) != 1 || !strings.HasPrefix(held[0].Stack, "github.com/memwarden/memwarden/contrib/pgxpool.TestStackOfWhoTookIt.func1\n\t") {
		t.Errorf("held: %+v", held)
	}
	if got := describe(nil); got != "" {
		t.Errorf("no stack is %q", got)
	}
	if !inDriver("database/sql.(*DB).conn") || !inDriver("github.com/jackc/pgx/v5/stdlib.x") || inDriver("database/sqlite.x") {
		t.Error("drivers are not told from others")
	}
}

// TestHijackedAreForgotten: a connection that leaves without a word makes room once there are more than can be.
func TestHijackedAreForgotten(t *testing.T) {
	const limit = 3
	s := conns{open: make(map[*pgx.Conn]*conn), limit: limit}
	now := time.Unix(0, 0)
	sockets := make([]socket, 10)
	for i := range sockets {
		key := new(pgx.Conn)
		s.opened(key, &sockets[i])
		s.taken(key, now.Add(time.Duration(i)*time.Second))
		if open, peak := s.count(); open > limit || peak > limit {
			t.Fatalf("%d open, peak %d, bound %d", open, peak, limit)
		}
	}
	held, count := s.cut(now.Add(time.Minute))
	if count != limit || !held.Since.Equal(now.Add(7*time.Second)) {
		t.Errorf("%d cut, the oldest of %v", count, held.Since)
	}
	for i := range sockets {
		if want := b2i(i >= len(sockets)-limit); sockets[i].closed != want {
			t.Errorf("socket %d was closed %d times, want %d", i, sockets[i].closed, want)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func BenchmarkTakenAndReleased(b *testing.B) {
	s := conns{open: make(map[*pgx.Conn]*conn), limit: 20}
	var key *pgx.Conn
	for range 20 {
		key = new(pgx.Conn)
		s.opened(key, &socket{})
	}
	now := time.Now()
	deep(20, func() {
		b.ReportAllocs()
		for b.Loop() {
			s.taken(key, now)
			s.released(key)
		}
	})
}

// deep calls f below so many functions.
func deep(n int, f func()) {
	if n == 0 {
		f()
		return
	}
	deep(n-1, f)
}
