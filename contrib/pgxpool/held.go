package pgxpool

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Held is a connection that was taken and not given back for a while.
type Held struct {
	Since time.Time
	For   time.Duration
	// Stack is where it was taken, callers below their callees, each as a function and a place. It has at most sixteen
	// functions, less those of the drivers.
	Stack string
}

// maxDepth bounds the stack that is noted when a connection is taken.
const maxDepth = 16

// conn is what is known of an open connection.
type conn struct {
	socket   net.Conn
	inUse    bool
	reported bool // that it is held too long, this time
	since    time.Time
	stack    [maxDepth]uintptr
	depth    int
}

// held turns the program counters into text, which is not cheap.
func (c *conn) held(now time.Time) Held {
	return Held{Since: c.since, For: now.Sub(c.since), Stack: describe(c.stack[:c.depth])}
}

// conns are the open connections of a pool. It is safe for concurrent use.
type conns struct {
	limit int // of the pool

	mu   sync.Mutex
	open map[*pgx.Conn]*conn // at most limit
	peak int
}

// opened notes a connection that was made. The pool does not tell when one is hijacked: it stays here, as one that is
// not given back. If there are as many as a pool can have, this has happened, and the one longest in use is forgotten.
func (s *conns) opened(key *pgx.Conn, socket net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= s.limit {
		oldest, _ := s.inUse()
		delete(s.open, oldest)
	}
	s.open[key] = &conn{socket: socket}
	s.peak = max(s.peak, len(s.open))
}

// inUse returns the connection longest in use, nil if there is none, and how many are. mu is held.
func (s *conns) inUse() (oldest *pgx.Conn, count int) {
	for key, c := range s.open {
		if !c.inUse {
			continue
		}
		count++
		if oldest == nil || c.since.Before(s.open[oldest].since) {
			oldest = key
		}
	}
	return oldest, count
}

// closed forgets a connection.
func (s *conns) closed(key *pgx.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, key)
}

// taken notes who takes a connection: the caller of the caller.
func (s *conns) taken(key *pgx.Conn, now time.Time) {
	var stack [maxDepth]uintptr
	depth := runtime.Callers(3, stack[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.open[key]; c != nil {
		c.inUse, c.reported, c.since, c.stack, c.depth = true, false, now, stack, depth
	}
}

// released notes that a connection was given back.
func (s *conns) released(key *pgx.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.open[key]; c != nil {
		c.inUse = false
	}
}

// overdue returns the connections that were taken the limit ago or earlier and not returned by an earlier call.
func (s *conns) overdue(now time.Time, limit time.Duration) []Held {
	s.mu.Lock()
	var late []conn
	for _, c := range s.open {
		if c.inUse && !c.reported && now.Sub(c.since) >= limit {
			c.reported = true
			late = append(late, *c)
		}
	}
	s.mu.Unlock()
	var reports []Held
	for _, c := range late { // symbols are looked up outside the lock
		reports = append(reports, c.held(now))
	}
	return reports
}

// cut closes the sockets of the connections in use, and returns the oldest and how many they were.
func (s *conns) cut(now time.Time) (oldest Held, count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, count := s.inUse()
	if count == 0 {
		return Held{}, 0
	}
	for _, c := range s.open {
		if c.inUse {
			c.socket.Close() // whoever uses it is told by his next read or write
		}
	}
	return s.open[key].held(now), count
}

// count returns how many connections are open, and the most that ever were.
func (s *conns) count() (open, peak int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.open)), int64(s.peak)
}

// drivers are the packages whose functions stand between a connection and whoever took it.
var drivers = []string{"github.com/jackc/pgx/v5/", "github.com/jackc/pgx/v5.", "database/sql."}

// describe names the functions of a stack from the one that called a driver on.
func describe(stack []uintptr) string {
	var text strings.Builder
	frames := runtime.CallersFrames(stack)
	for more := len(stack) > 0; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if text.Len() == 0 && more && inDriver(frame.Function) {
			continue
		}
		fmt.Fprintf(&text, "%s\n\t%s:%d\n", frame.Function, frame.File, frame.Line)
	}
	return text.String()
}

func inDriver(function string) bool {
	for _, prefix := range drivers {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}
