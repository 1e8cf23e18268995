package bounded

// tinyLFU is the policy W-TinyLFU (Einziger, Friedman and Manes, TinyLFU: A Highly Efficient Cache Admission Policy,
// ACM Transactions on Storage 13(4), 2017): a new entry comes into a window, an LRU of its own. The oldest of a full
// window has to be used more often than the oldest of the main part to take its place; the rarer one goes. The main
// part is a segmented LRU: entries in probation, and those protected that were used there.
//
// How large the window should be depends on the program. Here both sides of its border are watched. An entry that comes
// back soon after the window let it go would have been a hit in a larger window; a hit in probation might have been
// none in a smaller main part. Each moves the border, the more the fewer entries are watched on its side. See also
// missed.
//
// How often a key was used is counted for entries that are gone, too, in a sketch of 4-bit counters.
type tinyLFU[K comparable, V any] struct {
	cache                        *Cache[K, V]
	window, probation, protected cacheQueue[K, V]
	share                        float64 // of all entries that the window should have
	sketch                       frequencySketch
	gone                         goneKeys // let go by the window lately
	longGone                     goneKeys // a sample of those let go in a longer time
	excess                       int      // of hits that a far larger window would have had, in the sample
}

const (
	leastShare, mostShare = 0.01, 0.99
	// protectedShare is how much of the main part is protected at most.
	protectedShare = 0.8
	// goneShare is how many keys that the window let go are watched, as a share of all entries.
	goneShare = 0.1
	// shareStep is how far a hit moves the border when one entry is watched.
	shareStep = 0.15
	// policyBytes is what sketch and goneKeys take for an entry at most: right after they have been doubled.
	policyBytes = 4*wordBytes + wordBytes/2 + wordBytes/2
	// Of one key in eight is remembered longer that the window let it go: until it has let go three quarters as many
	// keys as there are entries. A loop that only half fits does not come back as soon.
	sampleMask    = 7 << 29
	longGoneShare = 0.75 / 8
	// excessStep is how far the border moves when the misses that a large window would have spared have become so many
	// more than the hits of the main part, as a share of the entries.
	excessStep, excessShare = 0.1, 0.5
)

func newTinyLFU[K comparable, V any](c *Cache[K, V]) *tinyLFU[K, V] {
	p := &tinyLFU[K, V]{cache: c, share: leastShare}
	p.window.segment, p.probation.segment, p.protected.segment = window, probation, protected
	p.fit(0)
	return p
}

// fit makes sketch and gone large enough for so many entries, and smaller where they are far too large.
func (p *tinyLFU[K, V]) fit(entries int64) {
	p.sketch.fit(int(entries))
	p.gone.fit(int(entries))
	p.longGone.fit(int(entries))
}

func (p *tinyLFU[K, V]) entries() int64 {
	return p.window.entries + p.probation.entries + p.protected.entries
}

// quota is how many entries the window should have.
func (p *tinyLFU[K, V]) quota() int64 { return max(1, int64(p.share*float64(p.entries()))) }

func (p *tinyLFU[K, V]) moveBorder(by float64) {
	p.share = min(max(p.share+by, leastShare), mostShare)
}

func (p *tinyLFU[K, V]) add(e *cacheEntry[K, V]) {
	hash := p.cache.hash(e.key)
	p.fit(p.entries() + 1)
	if watched := goneShare * float64(p.entries()+1); p.gone.take(hash, watched) {
		p.moveBorder(shareStep / watched)
	}
	if sampled(hash) && p.longGone.take(hash, longGoneShare*float64(p.entries()+1)) {
		p.missed()
	}
	p.sketch.count(hash)
	p.window.push(e)
	for range 2 { // while there is still room, the main part fills without a contest
		if p.window.entries > p.quota() {
			p.promote(p.window.oldest)
		}
	}
}

// sampled reports whether a key is one of the eighth that is watched longer.
func sampled(hash uint64) bool { return hash&sampleMask == 0 }

// missed counts a miss that a far larger window would have spared. What is near the border tells nothing of what is far
// from it: where keys come back later than that, the window would stay small for good. So when the main part has had
// fewer hits than there were such misses for some time, the window grows.
func (p *tinyLFU[K, V]) missed() {
	if p.excess++; float64(p.excess) > max(8, excessShare/8*float64(p.entries())) {
		p.excess = 0
		p.moveBorder(excessStep)
	}
}

// promote moves an entry from the window to probation.
func (p *tinyLFU[K, V]) promote(e *cacheEntry[K, V]) {
	p.window.take(e)
	p.probation.push(e)
}

func (p *tinyLFU[K, V]) touch(e *cacheEntry[K, V]) {
	hash := p.cache.hash(e.key)
	p.sketch.count(hash)
	if e.segment() != window && p.excess > 0 && sampled(hash) {
		p.excess--
	}
	switch e.segment() {
	case window:
		p.window.renew(e)
	case protected:
		p.protected.renew(e)
	case probation:
		p.moveBorder(-shareStep / float64(p.probation.entries))
		p.probation.take(e)
		p.protected.push(e)
		if main := p.probation.entries + p.protected.entries; float64(p.protected.entries) > protectedShare*float64(main) {
			oldest := p.protected.oldest
			p.protected.take(oldest)
			p.probation.push(oldest)
		}
	}
}

func (p *tinyLFU[K, V]) replace(by *cacheEntry[K, V], s segment) {
	p.queueOf(s).push(by)
	p.touch(by)
}

func (p *tinyLFU[K, V]) swap(old, by *cacheEntry[K, V]) { p.queueOf(old.segment()).swap(old, by) }

func (p *tinyLFU[K, V]) remove(e *cacheEntry[K, V]) {
	p.queueOf(e.segment()).take(e)
	p.fit(p.entries())
}

func (p *tinyLFU[K, V]) queueOf(s segment) *cacheQueue[K, V] {
	switch s {
	case window:
		return &p.window
	case protected:
		return &p.protected
	}
	return &p.probation
}

func (p *tinyLFU[K, V]) victim() *cacheEntry[K, V] {
	for p.window.entries > p.quota() {
		p.promote(p.window.oldest)
	}
	candidate, victim := p.window.oldest, p.probation.oldest
	if victim == nil {
		victim = p.protected.oldest
	}
	switch {
	case victim == nil:
		return candidate
	case candidate == nil || p.window.entries < p.quota() && !p.heavyWindow():
		return victim
	}
	hash := p.cache.hash(candidate.key)
	if p.sketch.estimate(hash) > p.sketch.estimate(p.cache.hash(victim.key)) {
		p.promote(candidate)
		return victim
	}
	p.gone.put(hash)
	if sampled(hash) {
		p.longGone.put(hash)
	}
	return candidate
}

// heavyWindow reports whether the window has more than its share of the bytes.
func (p *tinyLFU[K, V]) heavyWindow() bool {
	all := p.window.weight + p.probation.weight + p.protected.weight
	return float64(p.window.weight) > p.share*float64(all)
}

// frequencySketch counts how often keys were used lately, and takes one that was not for one that was now and then: a
// count-min sketch with conservative update (Estan and Varghese, New Directions in Traffic Measurement and Accounting,
// SIGCOMM 2002), four counters of 4 bits for each key. After every 10 uses a word all are halved, so that what was
// used long ago is forgotten.
type frequencySketch struct {
	words []uint64 // 16 counters each, of which each row of the sketch has four; their number is a power of two
	uses  int      // since the last time that all were halved
}

const (
	sketchRows    = 4
	mostCounted   = 15
	usesPerWord   = 10
	leastSketched = 32 // entries
	halfOfAll     = 0x7777777777777777
)

// fit sees to it that there are two words for each entry, and at most eight times as many. A sketch that grows keeps
// its counts, one that shrinks does not.
func (s *frequencySketch) fit(entries int) {
	entries = max(entries, leastSketched)
	switch {
	case len(s.words) < 2*entries:
		words := make([]uint64, powerOfTwo(2*entries))
		for i := 0; len(s.words) > 0 && i < len(words); i += len(s.words) {
			copy(words[i:], s.words)
		}
		s.words = words
	case len(s.words) > 16*entries:
		s.words, s.uses = make([]uint64, powerOfTwo(4*entries)), 0
	}
}

// counter returns the word and the place in it of a key's counter in a row.
func (s *frequencySketch) counter(hash uint64, row uint) (word int, shift uint) {
	mixed := (hash + uint64(row)*0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9
	mixed ^= mixed >> 32
	return int(mixed & uint64(len(s.words)-1)), uint(mixed>>62)*sketchRows*4 + row*4
}

// count counts a use. It raises those counters only that tell the estimate: the others already count other keys.
func (s *frequencySketch) count(hash uint64) {
	least := s.estimate(hash)
	if least == mostCounted {
		return
	}
	for row := range uint(sketchRows) {
		if word, shift := s.counter(hash, row); s.words[word]>>shift&mostCounted == least {
			s.words[word] += 1 << shift
		}
	}
	if s.uses++; s.uses >= usesPerWord*len(s.words) {
		s.uses /= 2
		for i, word := range s.words {
			s.words[i] = word >> 1 & halfOfAll
		}
	}
}

// estimate returns how often a key was used, 15 at most: never too few but for halving, and seldom too many.
func (s *frequencySketch) estimate(hash uint64) uint64 {
	least := uint64(mostCounted)
	for row := range uint(sketchRows) {
		word, shift := s.counter(hash, row)
		least = min(least, s.words[word]>>shift&mostCounted)
	}
	return least
}

// goneKeys remembers the last keys that were put into it, but for some that fall on the same slot as a later one.
type goneKeys struct {
	slots []uint64 // half of a key's hash, and the number of its put; as many as a power of two
	puts  uint32
}

// fit sees to it that there is a slot for every four entries, and at most eight times as many. It keeps no keys.
func (g *goneKeys) fit(entries int) {
	entries = max(entries, leastSketched)
	if len(g.slots) < entries/4 || len(g.slots) > 4*entries {
		g.slots = make([]uint64, powerOfTwo(entries/4))
	}
}

func (g *goneKeys) slot(hash uint64) *uint64 { return &g.slots[hash&uint64(len(g.slots)-1)] }

func (g *goneKeys) put(hash uint64) {
	g.puts++
	*g.slot(hash) = hash&^(1<<32-1) | uint64(g.puts)
}

// take forgets a key, and reports whether it was among the last so many that were put.
func (g *goneKeys) take(hash uint64, last float64) bool {
	slot := g.slot(hash)
	if *slot == 0 || *slot>>32 != hash>>32 {
		return false
	}
	age := g.puts - uint32(*slot)
	*slot = 0
	return float64(age) <= last
}

// powerOfTwo returns the least power of two that is not below n.
func powerOfTwo(n int) int {
	power := 1
	for power < n {
		power *= 2
	}
	return power
}
