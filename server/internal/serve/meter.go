package serve

import (
	"math"
	"sync"
	"time"
)

// meterMemory is after how long without a request a rate is down to a third: half a bucket of the shortest default window,
// so that it follows the load, and single requests do not matter.
const meterMemory = 15 * time.Second

// meter tells how many requests come in a second: each counts the less the longer ago it came, by an exponential. The zero value
// is ready; it may be used from everywhere, in 35 to 60 ns (BenchmarkMeter).
type meter struct {
	mu        sync.Mutex
	perSecond float64
	at        time.Time // of which perSecond is
}

// add counts a request.
func (m *meter) add(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.perSecond, m.at = m.of(now)+1/meterMemory.Seconds(), now
}

// perSecondAt is the rate at a time.
func (m *meter) perSecondAt(now time.Time) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of(now)
}

// of expects the lock. A clock that was set back is as one that stands.
func (m *meter) of(now time.Time) float64 {
	return m.perSecond * math.Exp(-max(0, now.Sub(m.at)).Seconds()/meterMemory.Seconds())
}
