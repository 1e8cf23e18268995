package redis

import (
	"flag"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/memwarden/memwarden/internal/leakcheck"
)

var long = flag.Bool("long", false, "keep each fault up for a second, and repeat them; more rounds of random changes")

func TestMain(m *testing.M) {
	logging.Disable() // what it says of failures the tests cause them for
	leakcheck.Main(m)
}

// patience is for what must come.
const patience = 20 * time.Second

func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it was not so within %v: %s", patience, what)
		}
	}
}

// clock is a clock that is set by hand. It is not safe for concurrent use while it is set.
type clock struct{ at time.Time }

func newClock() *clock               { return &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }
func (c *clock) now() time.Time      { return c.at }
func (c *clock) add(d time.Duration) { c.at = c.at.Add(d) }
