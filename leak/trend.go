package leak

import (
	"math"
	"slices"
)

const (
	// judgedShare is the part of a window whose floor is judged: what came last has had no time yet to be released.
	judgedShare = 0.75
	// leastLast is the least that the last third may have of what the first has: a warm-up becomes slower.
	leastLast = 0.7
	// inseparable is the squared correlation of load and time from which on nothing tells what comes of which.
	inseparable = 0.8
	// explained is the least squared correlation of load and value, less what time explains of each, with which the load takes
	// anything.
	explained = 0.9
	// leastSpread is the standard deviation of the load, as a share of its mean, below which it says nothing.
	leastSpread = 0.03
)

// effect is what a unit of load takes.
type effect float64

// effectOf finds what a unit of load takes, by least squares on load and time at once, so that growth of its own is not
// taken for the load's. It is not known where load and time went together, or where the load hardly changed. A load that does
// not explain most of what time leaves takes nothing: a warm-up beside it would be straightened by what it seems to take.
func effectOf(buckets []bucket) (e effect, known bool) {
	m, ok := momentsOf(buckets)
	if !ok || len(buckets) < windowBuckets || m.still() || m.lt*m.lt > inseparable*m.ll*m.tt {
		return 0, false
	}
	both, alone := m.ll*m.tt-m.lt*m.lt, m.ly*m.tt-m.ty*m.lt
	if alone*alone < explained*both*(m.yy*m.tt-m.ty*m.ty) {
		return 0, true
	}
	return effect(max(0, alone/both)), true
}

// effectAtMost is what a unit of load takes if all that went along with the load was its doing.
func effectAtMost(buckets []bucket) effect {
	m, ok := momentsOf(buckets)
	if !ok || m.still() {
		return 0
	}
	return effect(max(0, m.ly/m.ll))
}

// moments are sums of squares and products of load, time and value, each less its mean.
type moments struct{ n, load, ll, tt, lt, ly, ty, yy float64 }

// momentsOf fails where the load of any bucket is not known.
func momentsOf(buckets []bucket) (m moments, ok bool) {
	var time, value float64
	for i, b := range buckets {
		if math.IsNaN(b.load) {
			return m, false
		}
		m.load, time, value = m.load+b.load, time+float64(i), value+b.least
	}
	m.n = float64(len(buckets))
	m.load, time, value = m.load/m.n, time/m.n, value/m.n
	for i, b := range buckets {
		l, t, y := b.load-m.load, float64(i)-time, b.least-value
		m.ll, m.tt, m.lt, m.ly, m.ty, m.yy = m.ll+l*l, m.tt+t*t, m.lt+l*t, m.ly+l*y, m.ty+t*y, m.yy+y*y
	}
	return m, m.n > 0
}

// still reports whether the load hardly changed.
func (m moments) still() bool { return math.Sqrt(m.ll/m.n) <= leastSpread*math.Abs(m.load) }

// loadRise is by which share of itself the load rose from the first quarter of buckets to the last; 0 if it did not, or is not
// known.
func loadRise(buckets []bucket) float64 {
	quarter := max(1, len(buckets)/4)
	mean := func(buckets []bucket) (sum float64) {
		for _, b := range buckets {
			sum += b.load / float64(len(buckets))
		}
		return sum
	}
	before, after := mean(buckets[:quarter]), mean(buckets[len(buckets)-quarter:])
	if !(before > 0 && after > before) {
		return 0
	}
	return after/before - 1
}

// rest is what is left of buckets if each had had the load of the last one.
func (e effect) rest(buckets []bucket, last bucket) []float64 {
	values := make([]float64, len(buckets))
	for i, b := range buckets {
		values[i] = b.least
		if e != 0 && !math.IsNaN(b.load) && !math.IsNaN(last.load) {
			values[i] -= float64(e) * (b.load - last.load)
		}
	}
	return values
}

// rise is how the floor goes up: what was never given back since.
type rise struct {
	from, to float64
	thirds   [3]float64
	steps    int     // between from and to, of one bucket each
	step     float64 // the largest of them
}

// riseOf finds the rise in the values of a window.
func riseOf(values []float64) rise {
	floor := slices.Clone(values)
	for i := len(floor) - 2; i >= 0; i-- {
		floor[i] = min(floor[i], floor[i+1])
	}
	last := max(1, int(judgedShare*float64(len(floor)))) - 1
	r := rise{from: floor[0], to: floor[last], steps: last}
	for i := range last {
		r.step = max(r.step, floor[i+1]-floor[i])
	}
	for i := range r.thirds {
		r.thirds[i] = floor[last*(i+1)/3] - floor[last*i/3]
	}
	return r
}

func (r rise) by() float64 { return r.to - r.from }

// even reports whether the rise goes on all the time, and does not become slower: each third of it has at least a least
// and at most a most share of what it would have if all were equal, and no bucket more than a step of the whole.
func (r rise) even(e evenness) bool {
	for _, third := range r.thirds {
		if even := r.by() / 3; third < e.least*even || third > e.most*even {
			return false
		}
	}
	return r.by() > 0 && r.step <= e.step*r.by() && r.thirds[2] >= leastLast*r.thirds[0]
}

// evenness is how even a rise must be.
type evenness struct{ least, most, step float64 }
