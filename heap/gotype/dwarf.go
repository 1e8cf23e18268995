package gotype

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
)

// The standard library's debug/dwarf makes an object of every entry and of each of its attributes, and it does not
// show the sections that location lists lie in. A large binary has millions of entries, nearly all of them in function
// bodies that nobody asks for: what follows steps over them by their length.

// maxSection bounds a section of debug information, decompressed.
const maxSection = 4 << 30

// maxDeflate is how many bytes one byte can become.
const maxDeflate = 1032

var (
	errDWARF  = errors.New("debug information is damaged")
	errNoData = errors.New("the binary has no debug information")
)

// dwarfData is the debug information of a binary. Addresses in it are the binary's, to which the load bias is added.
type dwarfData struct {
	file               *elf.File
	info, abbrev       []byte
	str, lineStr, addr []byte
	ranges, rngLists   []byte // read when a function's variables are asked for, as the next two are
	loc, locLists      []byte
	listsRead          bool
	units              []unit // by offset
	abbrevs            map[abbrevKey]*abbrevTable
	packages           map[string]string // import path -> name
	variables          []dwarfVariable
	functions          []dwarfFunction // by entry
	types              map[uint64]typeRef
}

// unit is a compile unit.
type unit struct {
	start, first, end uint64 // in .debug_info: of its header, of its first entry, behind its last
	version           uint16
	addrSize          uint8
	wide              bool // 64-bit DWARF
	isGo              bool
	abbrevs           *abbrevTable
	low               uint64 // base of its address ranges
	addrBase          uint64
	listBases         [2]uint64 // range lists, location lists
}

// dwarfVariable is a package variable.
type dwarfVariable struct {
	name string
	addr uint64
	typ  uint64 // offset of its type
}

// dwarfFunction is where a function's entry lies.
type dwarfFunction struct{ entry, offset uint64 }

// openDWARF indexes the debug information: package variables and functions. It reads every entry once, at some
// 10 ns each.
func openDWARF(file *elf.File) (*dwarfData, error) {
	if file == nil || file.Section(".debug_info") == nil {
		return nil, errNoData
	}
	d := newDWARF(file)
	for name, to := range map[string]*[]byte{
		".debug_info": &d.info, ".debug_abbrev": &d.abbrev, ".debug_str": &d.str, ".debug_line_str": &d.lineStr,
		".debug_addr": &d.addr,
	} {
		if err := d.read(name, to); err != nil {
			return nil, err
		}
	}
	return d, d.indexAll()
}

func newDWARF(file *elf.File) *dwarfData {
	return &dwarfData{
		file:     file,
		abbrevs:  make(map[abbrevKey]*abbrevTable),
		packages: make(map[string]string),
		types:    make(map[uint64]typeRef),
	}
}

// indexAll notes the units, and the variables and functions in them.
func (d *dwarfData) indexAll() error {
	for at := uint64(0); at < uint64(len(d.info)); {
		u, err := d.unit(at)
		if err != nil {
			return fmt.Errorf("unit at %#x: %w", at, err)
		}
		d.units = append(d.units, u)
		if err := d.index(&d.units[len(d.units)-1]); err != nil {
			return fmt.Errorf("unit at %#x: %w", at, err)
		}
		at = u.end
	}
	slices.SortFunc(d.functions, func(a, b dwarfFunction) int { return cmp.Compare(a.entry, b.entry) })
	return nil
}

// read reads a section, if there is one, and decompresses it.
func (d *dwarfData) read(name string, to *[]byte) error {
	s := d.file.Section(name)
	if s == nil {
		return nil
	}
	if s.Size > maxSection || s.Size/maxDeflate > s.FileSize {
		return fmt.Errorf("%w: section %s has %d bytes, of %d in the file", errDWARF, name, s.Size, s.FileSize)
	}
	b := make([]byte, s.Size) // s.Data would let it grow, which takes twice the time
	if _, err := io.ReadFull(s.Open(), b); err != nil {
		return fmt.Errorf("%w: section %s: %w", errDWARF, name, err)
	}
	*to = b
	return nil
}

// readLists reads the sections that only functions refer to.
func (d *dwarfData) readLists() error {
	if d.listsRead {
		return nil
	}
	for name, to := range map[string]*[]byte{
		".debug_ranges": &d.ranges, ".debug_rnglists": &d.rngLists, ".debug_loc": &d.loc, ".debug_loclists": &d.locLists,
	} {
		if err := d.read(name, to); err != nil {
			return err
		}
	}
	d.listsRead = true
	return nil
}

// unit reads the header of a compile unit.
func (d *dwarfData) unit(at uint64) (unit, error) {
	u := unit{start: at}
	c := cursor{b: d.info, at: at}
	length := uint64(c.u32())
	if length == 0xffffffff {
		u.wide, length = true, c.u64()
	}
	if c.bad || length > uint64(len(d.info))-c.at {
		return u, fmt.Errorf("%w: length %d", errDWARF, length)
	}
	u.end = c.at + length
	u.version = c.u16()
	if u.version < 2 || u.version > 5 {
		return u, fmt.Errorf("%w: version %d", errDWARF, u.version)
	}
	kind := uint8(unitCompile)
	var abbrevs uint64
	if u.version >= 5 {
		kind, u.addrSize = c.u8(), c.u8()
		abbrevs = c.offset(u.wide)
	} else {
		abbrevs = c.offset(u.wide)
		u.addrSize = c.u8()
	}
	switch kind {
	case unitSkeleton, unitSplit:
		c.skip(8)
	case unitType, unitSplitType:
		c.skip(8)
		c.offset(u.wide)
	}
	u.first = c.at
	if c.bad || u.first > u.end || u.addrSize != 8 && u.addrSize != 4 {
		return u, fmt.Errorf("%w: header", errDWARF)
	}
	var err error
	u.abbrevs, err = d.abbrevTable(abbrevs, &u)
	return u, err
}

// Kinds of units of DWARF 5.
const (
	unitCompile   = 1
	unitType      = 2
	unitSkeleton  = 4
	unitSplit     = 5
	unitSplitType = 6
)

const languageGo = 0x16

// index notes the variables and functions of a unit.
func (d *dwarfData) index(u *unit) error {
	c := cursor{b: d.info[:u.end], at: u.first}
	depth := 0
	for c.at < u.end {
		offset := c.at
		a, err := u.abbrevs.next(&c)
		if err != nil {
			return err
		}
		if a == nil { // ends a list of children
			if depth--; depth < 0 {
				break
			}
			continue
		}
		wanted := depth == 0 || depth == 1 && u.isGo && (a.tag == tagVariable || a.tag == tagSubprogram)
		if wanted {
			d.indexEntry(u, &c, a, offset)
		} else {
			u.skip(&c, a)
		}
		if c.bad {
			return fmt.Errorf("%w: entry at %#x", errDWARF, offset)
		}
		if a.children {
			depth++
		} else if depth == 0 {
			break
		}
	}
	return nil
}

// indexEntry notes what an entry says of a unit, a variable or a function.
func (d *dwarfData) indexEntry(u *unit, c *cursor, a *abbrev, offset uint64) {
	e := d.attributes(u, c, a)
	switch {
	case a.tag == tagCompileUnit:
		u.isGo = e.language == languageGo
		u.addrBase, u.listBases = e.addrBase, e.listBases
		u.low, _ = d.address(u, e.low)
		if e.packageName != "" {
			d.packages[e.name] = e.packageName
		}
	case a.tag == tagVariable && e.has(hasLocation):
		if addr, ok := d.staticAddress(u, e.location); ok && e.name != "" {
			d.variables = append(d.variables, dwarfVariable{name: e.name, addr: addr, typ: e.typ})
		}
	case a.tag == tagSubprogram && e.has(hasLow):
		if addr, ok := d.address(u, e.low); ok {
			d.functions = append(d.functions, dwarfFunction{addr, offset})
		}
	}
}

// unitOf returns the unit that an offset lies in, nil if there is none.
func (d *dwarfData) unitOf(offset uint64) *unit {
	i := sort.Search(len(d.units), func(i int) bool { return d.units[i].end > offset })
	if i == len(d.units) || offset < d.units[i].first {
		return nil
	}
	return &d.units[i]
}

// entry reads the entry at an offset; the cursor stands behind it. A nil abbreviation is the end of a list.
func (d *dwarfData) entry(u *unit, c *cursor) (*abbrev, attributes, error) {
	offset := c.at
	a, err := u.abbrevs.next(c)
	if err != nil || a == nil {
		return nil, attributes{}, err
	}
	e := d.attributes(u, c, a)
	if c.bad {
		return nil, attributes{}, fmt.Errorf("%w: entry at %#x", errDWARF, offset)
	}
	return a, e, nil
}

// address resolves an address, which may be a place in .debug_addr.
func (d *dwarfData) address(u *unit, v addrValue) (uint64, bool) {
	if !v.indexed {
		return v.v, true
	}
	at := u.addrBase + v.v*uint64(u.addrSize)
	if v.v > uint64(len(d.addr)) || at > uint64(len(d.addr)) || uint64(len(d.addr))-at < uint64(u.addrSize) {
		return 0, false
	}
	if u.addrSize == 4 {
		return uint64(binary.LittleEndian.Uint32(d.addr[at:])), true
	}
	return binary.LittleEndian.Uint64(d.addr[at:]), true
}

// staticAddress evaluates the location of a package variable.
func (d *dwarfData) staticAddress(u *unit, expr []byte) (uint64, bool) {
	c := cursor{b: expr}
	switch c.u8() {
	case opAddr:
		return c.address(u.addrSize), !c.bad && c.at == uint64(len(expr))
	case opAddrx:
		v := c.uleb()
		if c.bad {
			return 0, false
		}
		return d.address(u, addrValue{v: v, indexed: true})
	}
	return 0, false
}
