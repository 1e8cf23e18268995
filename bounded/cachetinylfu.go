package bounded

// tinyLFU is W-TinyLFU.
type tinyLFU[K comparable, V any] struct {
	cache     *Cache[K, V]
	window    cacheQueue[K, V]
	probation cacheQueue[K, V]
	protected cacheQueue[K, V]
	sketch    frequencySketch
	share     float64 // of the window
}

func newTinyLFU[K comparable, V any](c *Cache[K, V]) *tinyLFU[K, V] {
	p := &tinyLFU[K, V]{cache: c, share: 0.01}
	p.window.segment, p.probation.segment, p.protected.segment = window, probation, protected
	p.sketch.resize(64)
	return p
}

func (p *tinyLFU[K, V]) queueOf(s segment) *cacheQueue[K, V] {
	switch s {
	case window:
		return &p.window
	case probation:
		return &p.probation
	}
	return &p.protected
}

func (p *tinyLFU[K, V]) add(e *cacheEntry[K, V]) {
	p.sketch.resize(int(p.cache.entries.Load()))
	p.sketch.increment(p.cache.hash(e.key))
	p.window.push(e)
}

func (p *tinyLFU[K, V]) touch(e *cacheEntry[K, V]) {
	p.sketch.increment(p.cache.hash(e.key))
	switch e.segment() {
	case window:
		p.window.renew(e)
	case probation:
		p.probation.take(e)
		p.protected.push(e)
		for p.protected.entries*5 > (p.protected.entries+p.probation.entries)*4 {
			d := p.protected.oldest
			p.protected.take(d)
			p.probation.push(d)
		}
	case protected:
		p.protected.renew(e)
	}
}

func (p *tinyLFU[K, V]) replace(by *cacheEntry[K, V], s segment) {
	p.queueOf(s).push(by)
	p.touch(by)
}

func (p *tinyLFU[K, V]) remove(e *cacheEntry[K, V]) { p.queueOf(e.segment()).take(e) }

func (p *tinyLFU[K, V]) victim() *cacheEntry[K, V] {
	for {
		victim := p.probation.oldest
		if victim == nil {
			victim = p.protected.oldest
		}
		candidate := p.window.oldest
		if candidate == nil {
			return victim
		}
		if float64(p.window.entries) < p.share*float64(p.cache.entries.Load()) && victim != nil {
			return victim
		}
		if victim == nil {
			if p.window.entries == 1 {
				return candidate
			}
			if float64(p.window.entries) <= max(1, p.share*float64(p.cache.entries.Load())) {
				return candidate
			}
			p.window.take(candidate)
			p.probation.push(candidate)
			continue
		}
		if p.probation.entries+p.protected.entries < int64((1-p.share)*float64(p.cache.entries.Load()))-1 {
			p.window.take(candidate)
			p.probation.push(candidate)
			continue
		}
		if p.sketch.estimate(p.cache.hash(candidate.key)) > p.sketch.estimate(p.cache.hash(victim.key)) {
			p.window.take(candidate)
			p.probation.push(candidate)
			return victim
		}
		return candidate
	}
}

const sketchBytes = 16

type frequencySketch struct {
	words []uint64
	added int
}

func (s *frequencySketch) resize(entries int) {
	if entries <= len(s.words) {
		return
	}
	n := 64
	for n < entries {
		n *= 2
	}
	s.words = make([]uint64, n)
	s.added = 0
}

func (s *frequencySketch) place(hash uint64, row int) (word int, shift uint) {
	h := (hash + uint64(row)*0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9
	h ^= h >> 32
	return int(h) & (len(s.words) - 1), uint(h>>60)&3*16 + uint(row)*4
}

func (s *frequencySketch) increment(hash uint64) {
	added := false
	for row := range 4 {
		w, shift := s.place(hash, row)
		if s.words[w]>>shift&15 < 15 {
			s.words[w] += 1 << shift
			added = true
		}
	}
	if added {
		if s.added++; s.added >= 10*len(s.words) {
			s.added /= 2
			for i := range s.words {
				s.words[i] = s.words[i] >> 1 & 0x7777777777777777
			}
		}
	}
}

func (s *frequencySketch) estimate(hash uint64) uint64 {
	least := uint64(15)
	for row := range 4 {
		w, shift := s.place(hash, row)
		least = min(least, s.words[w]>>shift&15)
	}
	return least
}
