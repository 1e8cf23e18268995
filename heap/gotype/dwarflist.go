package gotype

import (
	"fmt"
)

// Kinds of entries in the lists of DWARF 5. Lists of ranges and of locations agree in the first five.
const (
	listEnd = iota
	listBaseIndex
	listStartIndexEndIndex
	listStartIndexLength
	listOffsetPair
	listDefault // of locations: holds where nothing else does
)

// Those behind them: locations are one on, for listDefault.
const (
	rngBase, rngStartEnd, rngStartLength = 5, 6, 7
	locBase, locStartEnd, locStartLength = 6, 7, 8
)

// listKind is one of the two kinds of lists of address ranges.
type listKind int

const (
	rangeLists listKind = iota
	locationLists
)

// maxListEntries bounds a list.
const maxListEntries = 1 << 16

// lookup finds the entry of a list whose range an address lies in, and returns its location expression, which range
// lists do not have.
func (d *dwarfData) lookup(u *unit, kind listKind, list uint64, indexed bool, pc uint64) (
	expr []byte, found bool, err error,
) {
	if err := d.readLists(); err != nil {
		return nil, false, err
	}
	if u.version < 5 {
		section := d.ranges
		if kind == locationLists {
			section = d.loc
		}
		return oldList(cursor{b: section, at: list}, u, kind, pc)
	}
	section := d.rngLists
	if kind == locationLists {
		section = d.locLists
	}
	if indexed {
		if list, err = listOffset(section, u, kind, list); err != nil {
			return nil, false, err
		}
	}
	return d.newList(cursor{b: section, at: list}, u, kind, pc)
}

// listOffset looks a list up in the table of offsets before a unit's lists.
func listOffset(section []byte, u *unit, kind listKind, index uint64) (uint64, error) {
	base, width := u.listBases[kind], uint64(4)
	if u.wide {
		width = 8
	}
	if index > uint64(len(section)) {
		return 0, fmt.Errorf("%w: list %d", errDWARF, index)
	}
	c := cursor{b: section, at: base + index*width}
	offset := c.offset(u.wide)
	if c.bad {
		return 0, fmt.Errorf("%w: list %d", errDWARF, index)
	}
	return base + offset, nil
}

// oldList searches a list of DWARF 4: pairs of offsets from a base address, which a pair that begins with all ones
// replaces; a pair of zeros ends it.
func oldList(c cursor, u *unit, kind listKind, pc uint64) ([]byte, bool, error) {
	base, ones := u.low, ^uint64(0)
	if u.addrSize == 4 {
		ones = 0xffffffff
	}
	for range maxListEntries {
		low, high := c.address(u.addrSize), c.address(u.addrSize)
		if c.bad {
			return nil, false, fmt.Errorf("%w: list", errDWARF)
		}
		switch {
		case low == 0 && high == 0:
			return nil, false, nil
		case low == ones:
			base = high
			continue
		}
		var expr []byte
		if kind == locationLists {
			expr = c.take(uint64(c.u16()))
		}
		if base+low <= pc && pc < base+high {
			return expr, !c.bad, nil
		}
	}
	return nil, false, fmt.Errorf("%w: list does not end", errDWARF)
}

// newList searches a list of DWARF 5.
func (d *dwarfData) newList(c cursor, u *unit, kind listKind, pc uint64) ([]byte, bool, error) {
	base := u.low
	var fallback []byte
	hasFallback := false
	for range maxListEntries {
		op := int(c.u8())
		if c.bad {
			return nil, false, fmt.Errorf("%w: list", errDWARF)
		}
		if op == listEnd {
			return fallback, hasFallback, nil
		}
		low, high, isBase, ok := d.listRange(&c, u, kind, op, base)
		if !ok {
			return nil, false, fmt.Errorf("%w: list entry %d", errDWARF, op)
		}
		if isBase {
			base = low
			continue
		}
		var expr []byte
		if kind == locationLists {
			expr = c.take(c.uleb())
		}
		if c.bad {
			return nil, false, fmt.Errorf("%w: list", errDWARF)
		}
		if op == listDefault && kind == locationLists {
			fallback, hasFallback = expr, true
		} else if low <= pc && pc < high {
			return expr, true, nil
		}
	}
	return nil, false, fmt.Errorf("%w: list does not end", errDWARF)
}

// listRange reads the range of a list entry, or a base address as low.
func (d *dwarfData) listRange(c *cursor, u *unit, kind listKind, op int, base uint64) (
	low, high uint64, isBase, ok bool,
) {
	indexed := func() uint64 {
		addr, found := d.address(u, addrValue{v: c.uleb(), indexed: true})
		ok = ok && found
		return addr
	}
	ok = true
	switch op {
	case listBaseIndex:
		return indexed(), 0, true, ok
	case listStartIndexEndIndex:
		low = indexed()
		return low, indexed(), false, ok
	case listStartIndexLength:
		low = indexed()
		return low, low + c.uleb(), false, ok
	case listOffsetPair:
		low = base + c.uleb()
		return low, base + c.uleb(), false, true
	}
	if kind == locationLists {
		if op == listDefault {
			return 0, 0, false, true
		}
		op -= locBase - rngBase
	}
	switch op {
	case rngBase:
		return c.address(u.addrSize), 0, true, true
	case rngStartEnd:
		low = c.address(u.addrSize)
		return low, c.address(u.addrSize), false, true
	case rngStartLength:
		low = c.address(u.addrSize)
		return low, low + c.uleb(), false, true
	}
	return 0, 0, false, false
}

// covers reports whether the address ranges of an entry hold an address; an entry without any holds none.
func (d *dwarfData) covers(u *unit, e *attributes, pc uint64) (bool, error) {
	if e.has(hasRanges) {
		_, found, err := d.lookup(u, rangeLists, e.ranges, e.rangesIndexed, pc)
		return found, err
	}
	if !e.has(hasLow) || !e.has(hasHigh) {
		return false, nil
	}
	low, ok := d.address(u, e.low)
	if !ok {
		return false, fmt.Errorf("%w: address %d", errDWARF, e.low.v)
	}
	high := e.high
	if e.highIsLength {
		high += low
	} else if high, ok = d.address(u, addrValue{v: e.high, indexed: e.highIndexed}); !ok {
		return false, fmt.Errorf("%w: address %d", errDWARF, e.high)
	}
	return low <= pc && pc < high, nil
}
