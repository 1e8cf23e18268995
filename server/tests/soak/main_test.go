// Package soak puts every part of the library that has a bound at that bound, all in one process and under a random
// load, and shows that the live heap does not grow.
//
// It knows the parts by their exported API and as bounded.Owners. It is a test of this module because only here all of
// them are at hand: those of the library, the modules beside it, and what the service keeps in its database.
package soak

import (
	"flag"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"
)

var (
	long     = flag.Bool("long", false, "ten minutes at larger bounds")
	duration = flag.Duration("soak", 0, "how long to measure after the warm-up, at larger bounds; without: some seconds at small ones")
	seed     = flag.Uint64("seed", 0, "of the random load; 0: another one each time")
	leak     = flag.Int64("leak", 0, "bytes a second that one of the parts loses, to see that this is found")
)

// longDuration is how long -long measures.
const longDuration = 10 * time.Minute

func TestMain(m *testing.M) {
	logging.Disable() // what go-redis says of failures that the load causes
	goleak.VerifyTestMain(m)
}
