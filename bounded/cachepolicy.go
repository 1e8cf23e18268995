package bounded

// cachePolicy keeps the order in which entries leave. Its methods are called with the cache's lock held.
type cachePolicy[K comparable, V any] interface {
	// add takes in a new entry.
	add(*cacheEntry[K, V])
	// touch takes note that an entry was used.
	touch(*cacheEntry[K, V])
	// replace puts a new entry, which was used just now, in the place of an old one that has been removed from segment
	// s.
	replace(by *cacheEntry[K, V], s segment)
	// swap puts a new entry in exactly the place of an old one, which it removes.
	swap(old, by *cacheEntry[K, V])
	// remove forgets an entry.
	remove(*cacheEntry[K, V])
	// victim returns the entry to remove next, or nil if there is none.
	victim() *cacheEntry[K, V]
}

// cacheQueue is the entries of a segment by their last use.
type cacheQueue[K comparable, V any] struct {
	segment        segment
	newest, oldest *cacheEntry[K, V]
	entries        int64
	weight         int64
}

// push puts an entry that is in no queue at the end where the newest are.
func (q *cacheQueue[K, V]) push(e *cacheEntry[K, V]) {
	e.enter(q.segment)
	q.link(e)
	q.entries++
	q.weight += e.weight()
}

// take removes an entry of this queue.
func (q *cacheQueue[K, V]) take(e *cacheEntry[K, V]) {
	q.unlink(e)
	e.enter(removed)
	q.entries--
	q.weight -= e.weight()
}

// renew makes an entry of this queue its newest.
func (q *cacheQueue[K, V]) renew(e *cacheEntry[K, V]) {
	if q.newest != e {
		q.unlink(e)
		q.link(e)
	}
}

// swap puts an entry that is in no queue, and weighs as much, in the place of one of this queue.
func (q *cacheQueue[K, V]) swap(old, by *cacheEntry[K, V]) {
	by.enter(q.segment)
	by.newer, by.older = old.newer, old.older
	if by.newer != nil {
		by.newer.older = by
	} else {
		q.newest = by
	}
	if by.older != nil {
		by.older.newer = by
	} else {
		q.oldest = by
	}
	old.newer, old.older = nil, nil
	old.enter(removed)
}

func (q *cacheQueue[K, V]) link(e *cacheEntry[K, V]) {
	e.older, e.newer = q.newest, nil
	if q.newest != nil {
		q.newest.newer = e
	} else {
		q.oldest = e
	}
	q.newest = e
}

func (q *cacheQueue[K, V]) unlink(e *cacheEntry[K, V]) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		q.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		q.oldest = e.newer
	}
	e.newer, e.older = nil, nil
}

// lru is one queue.
type lru[K comparable, V any] struct{ queue cacheQueue[K, V] }

func newLRU[K comparable, V any]() *lru[K, V] {
	return &lru[K, V]{cacheQueue[K, V]{segment: window}}
}

func (p *lru[K, V]) add(e *cacheEntry[K, V])                 { p.queue.push(e) }
func (p *lru[K, V]) touch(e *cacheEntry[K, V])               { p.queue.renew(e) }
func (p *lru[K, V]) replace(by *cacheEntry[K, V], _ segment) { p.queue.push(by) }
func (p *lru[K, V]) swap(old, by *cacheEntry[K, V])          { p.queue.swap(old, by) }
func (p *lru[K, V]) remove(e *cacheEntry[K, V])              { p.queue.take(e) }
func (p *lru[K, V]) victim() *cacheEntry[K, V]               { return p.queue.oldest }
