// Package leaksim makes up what a process's heap does over days, minute by minute: shapes that are no leaks, and leaks
// beneath them. All of it follows from a seed.
//
// It knows figures only, no rule. Tests and benchmarks of rules stand above it.
package leaksim

import (
	"math"
	"math/rand/v2"
)

const (
	mib = 1 << 20
	// Minutes is how long a run is.
	Minutes = 72 * 60
	// base is what every heap holds at least.
	base = 300 * mib
	// sampled is how many bytes are allocated from one sample of the profile to the next (runtime.MemProfileRate).
	sampled = 512 << 10
)

// Minute is what is seen in one.
type Minute struct {
	Heap  float64   // live heap in bytes
	Owned float64   // of it, what owners account for
	Load  float64   // NaN: there is no signal of load
	Sites []float64 // bytes in use by allocation site, as a sampling profile has them; always the same sites
	Start bool      // the process was started anew: nothing from before counts
}

// part is memory that one site has allocated.
type part struct {
	bytes []float64
	owned bool
	grows bool // only ever grows, until all of it is given back: what was sampled stays
}

// Shape is what a heap does.
type Shape struct {
	Name string
	Leak bool
	// From is the minute in which a leak begins.
	From  int
	parts func(r *rand.Rand) (parts []part, load []float64, starts []int)
}

// Run makes up a run.
func (s Shape) Run(seed uint64) []Minute {
	r := rand.New(rand.NewPCG(seed, uint64(len(s.Name))<<32|uint64(s.From)))
	parts, load, starts := s.parts(r)
	run := make([]Minute, Minutes)
	noise := 0.0
	for i := range run {
		m := &run[i]
		m.Load = math.NaN()
		if load != nil {
			m.Load = load[i]
		}
		noise = 0.7*noise + 0.7*r.NormFloat64() // what is in flight when a collection ends
		m.Heap = base + 2*mib*math.Abs(noise)
		for _, p := range parts {
			m.Heap += p.bytes[i]
			if p.owned {
				m.Owned += p.bytes[i]
			}
		}
	}
	for _, at := range starts {
		run[at].Start = true
	}
	for _, p := range append(parts, constant(base/2), constant(base/2)) {
		seen := p.sample(r)
		for i := range run {
			run[i].Sites = append(run[i].Sites, seen[i])
		}
	}
	return run
}

// sample returns what a profile says of a part.
func (p part) sample(r *rand.Rand) []float64 {
	seen := make([]float64, Minutes)
	if p.grows {
		count := 0.0
		for i := range seen {
			switch {
			case i > 0 && p.bytes[i] >= p.bytes[i-1]:
				count += poisson(r, (p.bytes[i]-p.bytes[i-1])/sampled)
			case i > 0: // it was given back
				count = poisson(r, p.bytes[i]/sampled)
			}
			seen[i] = count * sampled
		}
		return seen
	}
	drift := r.NormFloat64() // objects come and go, so that what is sampled of them changes over the hour
	for i := range seen {
		drift = 0.98*drift + 0.2*r.NormFloat64()
		expected := p.bytes[i] / sampled
		seen[i] = math.Round(max(0, expected+drift*math.Sqrt(expected))) * sampled
	}
	return seen
}

func poisson(r *rand.Rand, mean float64) float64 {
	count, product := 0.0, r.Float64()
	for limit := math.Exp(-mean); product > limit; product *= r.Float64() {
		count++
	}
	return count
}

func constant(bytes float64) part { return series(func(float64) float64 { return bytes }) }

// series is a part that is a function of the hour.
func series(f func(hour float64) float64) part {
	p := part{bytes: make([]float64, Minutes)}
	for i := range p.bytes {
		p.bytes[i] = f(float64(i) / 60)
	}
	return p
}

// growing is a part that keeps what it has taken until all of it is given back.
func growing(f func(hour float64) float64) part {
	p := series(f)
	p.grows = true
	return p
}

func uniform(r *rand.Rand, from, to float64) float64 { return from + (to-from)*r.Float64() }

func only(p part) ([]part, []float64, []int) { return []part{p}, nil, nil }

// Healthy are the shapes that are no leaks.
func Healthy() []Shape {
	return []Shape{
		{Name: "flat", parts: func(*rand.Rand) ([]part, []float64, []int) { return nil, nil, nil }},
		{Name: "fast warm-up", parts: func(r *rand.Rand) ([]part, []float64, []int) {
			return only(warmUp(r, 5.0/60, 15.0/60))
		}},
		{Name: "slow warm-up", parts: func(r *rand.Rand) ([]part, []float64, []int) { return only(warmUp(r, 1, 4)) }},
		{Name: "slow warm-up beside a load", parts: func(r *rand.Rand) ([]part, []float64, []int) {
			return []part{warmUp(r, 1, 4)}, loads(r, false), nil
		}},
		{Name: "cache that fills in 3 h", parts: func(r *rand.Rand) ([]part, []float64, []int) { return only(fill(r, 3)) }},
		{Name: "cache that fills in 12 h", parts: func(r *rand.Rand) ([]part, []float64, []int) { return only(fill(r, 12)) }},
		{Name: "sawtooth", parts: func(r *rand.Rand) ([]part, []float64, []int) { return only(sawtooth(r)) }},
		{Name: "daily load", parts: func(r *rand.Rand) ([]part, []float64, []int) { return loaded(r, false) }},
		{Name: "weekly load", parts: func(r *rand.Rand) ([]part, []float64, []int) { return loaded(r, true) }},
		{Name: "steps", parts: func(r *rand.Rand) ([]part, []float64, []int) { return only(steps(r)) }},
		{Name: "bounded random walk", parts: func(r *rand.Rand) ([]part, []float64, []int) { return only(walk(r)) }},
		{Name: "nightly batch", parts: func(r *rand.Rand) ([]part, []float64, []int) { return only(batch(r)) }},
		{Name: "restarts by deployments", parts: restarts},
	}
}

func warmUp(r *rand.Rand, least, most float64) part {
	size, tau := uniform(r, 80, 200)*mib, uniform(r, least, most)
	return growing(func(h float64) float64 { return size * (1 - math.Exp(-h/tau)) })
}

func fill(r *rand.Rand, hours float64) part {
	size := uniform(r, 100, 200) * mib
	p := growing(func(h float64) float64 { return size * min(1, h/hours) })
	p.owned = true
	return p
}

func sawtooth(r *rand.Rand) part {
	size, period, phase := uniform(r, 50, 150)*mib, uniform(r, 0.5, 4), r.Float64()
	return growing(func(h float64) float64 {
		_, at := math.Modf(h/period + phase)
		return size * at
	})
}

// loaded is memory that follows the load, which is known.
func loaded(r *rand.Rand, weekly bool) ([]part, []float64, []int) {
	size, load := uniform(r, 80, 200)*mib, loads(r, weekly)
	p := part{bytes: make([]float64, Minutes)}
	for i := range p.bytes {
		p.bytes[i] = size * load[i] / 160
	}
	return []part{p}, load, nil
}

// loads is a load that goes around 100 by the hour of the day, and falls to half of it at weekends if it is weekly.
func loads(r *rand.Rand, weekly bool) []float64 {
	phase, day := uniform(r, 0, 24), r.IntN(7)
	load := make([]float64, Minutes)
	noise := 0.0
	for i := range load {
		h := float64(i)/60 + phase
		l := 1 + 0.6*math.Sin(2*math.Pi*h/24)
		if weekly && (day+int(h/24))%7 >= 5 {
			l *= 0.5
		}
		noise = 0.95*noise + 0.02*r.NormFloat64()
		load[i] = 100 * l * (1 + noise)
	}
	return load
}

func steps(r *rand.Rand) part {
	type step struct{ at, by float64 }
	var all []step
	for range 1 + r.IntN(3) {
		all = append(all, step{uniform(r, 1, 71), uniform(r, 30, 100) * mib})
	}
	return growing(func(h float64) float64 {
		sum := 0.0
		for _, s := range all {
			if h >= s.at {
				sum += s.by
			}
		}
		return sum
	})
}

func walk(r *rand.Rand) part {
	const high = 100 * mib
	at, size := uniform(r, 0, high), uniform(r, 1, 2)*mib
	return series(func(float64) float64 {
		at += size * r.NormFloat64()
		if at < 0 {
			at = -at
		}
		if at > high {
			at = 2*high - at
		}
		return at
	})
}

func batch(r *rand.Rand) part {
	size, hour := uniform(r, 80, 200)*mib, uniform(r, 0, 24)
	rise, hold := uniform(r, 0.1, 0.5), uniform(r, 0.3, 2)
	return growing(func(h float64) float64 {
		at := math.Mod(h-hour+48, 24)
		switch {
		case at < rise:
			return size * at / rise
		case at < rise+hold:
			return size
		}
		return 0
	})
}

func restarts(r *rand.Rand) ([]part, []float64, []int) {
	size, tau := uniform(r, 80, 200)*mib, uniform(r, 5.0/60, 0.5)
	var starts []int
	for at := uniform(r, 2, 24); at < 72; at += uniform(r, 4, 24) {
		starts = append(starts, int(at*60))
	}
	begun, next := 0.0, 0
	p := growing(func(h float64) float64 {
		if next < len(starts) && int(math.Round(h*60)) >= starts[next] {
			begun = h
			next++
		}
		return size * (1 - math.Exp(-(h-begun)/tau))
	})
	return []part{p}, nil, starts
}

// growth is how a leak grows: by how many bytes in a minute, some hours after it began, at a load whose mean is 1.
type growth struct {
	name string
	by   func(r *rand.Rand, perMinute, hours, load float64) float64
}

// growths are all there are.
var growths = []growth{
	steady,
	{"in stairs", func(_ *rand.Rand, perMinute, hours, _ float64) float64 {
		if minute := int(math.Round(hours * 60)); minute%30 == 0 {
			return 30 * perMinute
		}
		return 0
	}},
	{"in bursts", func(r *rand.Rand, perMinute, _, _ float64) float64 {
		if r.IntN(20) == 0 {
			return 20 * perMinute
		}
		return 0
	}},
	{"ever faster", func(_ *rand.Rand, perMinute, hours, _ float64) float64 {
		return perMinute * math.Exp2(min(3, hours/6))
	}},
	{asTheLoad, func(_ *rand.Rand, perMinute, _, load float64) float64 { return perMinute * load }},
}

var steady = growth{"steady", func(_ *rand.Rand, perMinute, _, _ float64) float64 { return perMinute }}

const asTheLoad = "as the load"

// Leaks are leaks of so many MiB an hour that begin in the minute from: each way to grow beneath each healthy shape. Where
// the process is started anew, the leak begins anew as well.
func Leaks(rate float64, from int) (list []Shape) {
	for _, g := range growths {
		for _, h := range Healthy() {
			list = append(list, beneath(h, g, from, func(*rand.Rand) float64 { return rate }))
		}
	}
	return list
}

// Tiny are steady leaks of 2 to 5 MiB an hour that begin in the minute from, beneath each healthy shape.
func Tiny(from int) (list []Shape) {
	for _, h := range Healthy() {
		list = append(list, beneath(h, growth{"tiny", steady.by}, from, func(r *rand.Rand) float64 { return uniform(r, 2, 5) }))
	}
	return list
}

// beneath puts a leak beneath a healthy shape. One that grows as the load brings a load that is known, if there is none.
func beneath(healthy Shape, g growth, from int, rate func(r *rand.Rand) float64) Shape {
	return Shape{Name: g.name + ", " + healthy.Name, Leak: true, From: from, parts: func(r *rand.Rand) ([]part, []float64, []int) {
		parts, load, starts := healthy.parts(r)
		if load == nil && g.name == asTheLoad {
			load = loads(r, false)
		}
		perMinute := rate(r) * mib / 60
		p := part{bytes: make([]float64, Minutes), grows: true}
		began, next, sum := from, 0, 0.0
		for minute := from; minute < Minutes; minute++ {
			for next < len(starts) && starts[next] <= minute {
				if starts[next] >= from {
					began, sum = starts[next], 0
				}
				next++
			}
			l := 1.0
			if load != nil {
				l = load[minute] / 100
			}
			sum += max(0, g.by(r, perMinute, float64(minute-began)/60, l))
			p.bytes[minute] = sum
		}
		return append(parts, p), load, starts
	}}
}
