package scan

import (
	"sync"

	"github.com/memwarden/memwarden/heap/gotype"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// shapeCache remembers the shapes of the pointer masks that a worker met last. Neighbouring objects are alike.
type shapeCache struct {
	entries [256]struct {
		mask  uint64
		shape snapshot.ShapeID
	}
}

func (c *shapeCache) get(all *shapes, mask uint64, turn func()) snapshot.ShapeID {
	if mask == 0 {
		return 0
	}
	// The multiplier is 2^64 divided by the golden ratio; the upper bits of the product are well mixed.
	entry := &c.entries[mask*0x9e3779b97f4a7c15>>56]
	if entry.mask != mask {
		entry.mask, entry.shape = mask, all.mask(mask, turn)
	}
	return entry.shape
}

// pointerMaps makes a pointer map for each type that objects have. It is safe for concurrent use.
type pointerMaps struct {
	types  *gotype.Table
	shapes *shapes

	mu     sync.Mutex
	byWord map[uint64]*pointerMap // nil: no type
}

// get returns nil if there is no such type. It waits for its turn to number a shape.
func (p *pointerMaps) get(typeWord uint64, turn func()) *pointerMap {
	p.mu.Lock()
	m, known := p.byWord[typeWord]
	p.mu.Unlock()
	if known {
		return m
	}
	turn()
	p.mu.Lock()
	defer p.mu.Unlock()
	if m, known = p.byWord[typeWord]; known {
		return m
	}
	if id, err := p.types.ByAddress(typeWord); err == nil && id != 0 {
		m = newPointerMap(p.types.Types(), id)
		m.shape = p.shapes.typed(id)
	}
	p.byWord[typeWord] = m
	return m
}

// typedCache remembers the pointer maps that a worker has met.
type typedCache struct {
	byWord map[uint64]*pointerMap
	last   uint64
	of     *pointerMap // of last
}

func (c *typedCache) get(all *pointerMaps, typeWord uint64, turn func()) *pointerMap {
	if typeWord == c.last && c.of != nil {
		return c.of
	}
	m, known := c.byWord[typeWord]
	if !known {
		if c.byWord == nil {
			c.byWord = make(map[uint64]*pointerMap)
		}
		m = all.get(typeWord, turn)
		c.byWord[typeWord] = m
	}
	c.last, c.of = typeWord, m
	return m
}
