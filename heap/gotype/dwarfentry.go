package gotype

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Tags of the entries that matter here.
const (
	tagArray        = 0x01
	tagParameter    = 0x05
	tagLexicalBlock = 0x0b
	tagMember       = 0x0d
	tagPointer      = 0x0f
	tagCompileUnit  = 0x11
	tagStruct       = 0x13
	tagSubroutine   = 0x15
	tagTypedef      = 0x16
	tagInlined      = 0x1d
	tagSubrange     = 0x21
	tagBase         = 0x24
	tagSubprogram   = 0x2e
	tagVariable     = 0x34
	maxAbbrevs      = 1 << 16
	maxAbbrevFields = 1 << 10
	variableLength  = -1
)

// Attributes, the last of them Go's own.
const (
	attrLocation       = 0x02
	attrName           = 0x03
	attrByteSize       = 0x0b
	attrLow            = 0x11
	attrHigh           = 0x12
	attrLanguage       = 0x13
	attrAbstractOrigin = 0x31
	attrCount          = 0x37
	attrMemberLocation = 0x38
	attrFrameBase      = 0x40
	attrType           = 0x49
	attrRanges         = 0x55
	attrAddrBase       = 0x73
	attrRngListsBase   = 0x74
	attrLocListsBase   = 0x8c
	attrGoKind         = 0x2900
	attrGoKey          = 0x2901
	attrGoElem         = 0x2902
	attrGoEmbedded     = 0x2903
	attrGoRuntimeType  = 0x2904
	attrGoPackage      = 0x2905
	attrGoClosure      = 0x2907
)

// attributes are those of an entry that matter here.
type attributes struct {
	present                    uint32
	name, packageName          string
	location, frameBase        []byte
	locationList               uint64 // with hasLocationList: offset, or index with listIndexed
	listIndexed, rangesIndexed bool
	low                        addrValue
	high                       uint64 // with highIsLength: relative to low
	highIsLength               bool
	highIndexed                bool
	ranges                     uint64
	typ, origin, key, elem     uint64 // offsets of entries
	byteSize, count, memberAt  uint64
	language                   uint64
	addrBase                   uint64
	listBases                  [2]uint64
	goKind                     uint64
	runtimeType                uint64
	closureOffset              uint64
	embedded                   bool
}

// What attributes are present, where absence differs from zero.
const (
	hasLocation = 1 << iota
	hasLocationList
	hasLow
	hasHigh
	hasRanges
	hasType
	hasOrigin
	hasKey
	hasElem
	hasFrameBase
	hasByteSize
)

func (e *attributes) has(bit uint32) bool { return e.present&bit != 0 }

// addrValue is an address or, indexed, a place in the unit's part of .debug_addr.
type addrValue struct {
	v       uint64
	indexed bool
}

type abbrevKey struct {
	offset   uint64
	addrSize uint8
	wide     bool
	old      bool // references to other units are as long as addresses: DWARF 2
}

// abbrev is the form of entries: which attributes follow in which encoding.
type abbrev struct {
	tag      uint32
	children bool
	length   int // of the attributes, variableLength if it is not fixed
	fields   []abbrevField
}

type abbrevField struct {
	attr, form uint32
	implicit   int64
}

type abbrevTable struct{ codes []abbrev } // by code

// next reads the code of an entry; nil is the end of a list.
func (t *abbrevTable) next(c *cursor) (*abbrev, error) {
	code := c.uleb()
	if code == 0 {
		if c.bad {
			return nil, errDWARF
		}
		return nil, nil
	}
	if code >= uint64(len(t.codes)) || t.codes[code].tag == 0 {
		return nil, fmt.Errorf("%w: abbreviation %d", errDWARF, code)
	}
	return &t.codes[code], nil
}

// abbrevTable reads the abbreviations at an offset.
func (d *dwarfData) abbrevTable(offset uint64, u *unit) (*abbrevTable, error) {
	key := abbrevKey{offset, u.addrSize, u.wide, u.version < 3}
	if t := d.abbrevs[key]; t != nil {
		return t, nil
	}
	t := new(abbrevTable)
	c := cursor{b: d.abbrev, at: offset}
	for {
		code := c.uleb()
		if c.bad || code >= maxAbbrevs {
			return nil, fmt.Errorf("%w: abbreviations at %#x", errDWARF, offset)
		}
		if code == 0 {
			break
		}
		a := abbrev{tag: uint32(c.uleb()), children: c.u8() != 0}
		for {
			f := abbrevField{attr: uint32(c.uleb()), form: uint32(c.uleb())}
			if f.form == formImplicit {
				f.implicit = c.sleb()
			}
			if c.bad || len(a.fields) > maxAbbrevFields {
				return nil, fmt.Errorf("%w: abbreviations at %#x", errDWARF, offset)
			}
			if f.attr == 0 && f.form == 0 {
				break
			}
			n := u.formLength(f.form)
			if n == variableLength || a.length == variableLength {
				a.length = variableLength
			} else {
				a.length += n
			}
			a.fields = append(a.fields, f)
		}
		for uint64(len(t.codes)) <= code {
			t.codes = append(t.codes, abbrev{})
		}
		t.codes[code] = a
	}
	d.abbrevs[key] = t
	return t, nil
}

// skip steps over the attributes of an entry.
func (u *unit) skip(c *cursor, a *abbrev) {
	if a.length != variableLength {
		c.skip(uint64(a.length))
		return
	}
	for i := range a.fields {
		if form := a.fields[i].form; form == formString {
			c.cstring()
		} else if form == formUdata || form == formSdata {
			c.uleb()
		} else {
			u.value(c, form)
		}
	}
}

// attributes reads the attributes of an entry.
func (d *dwarfData) attributes(u *unit, c *cursor, a *abbrev) (e attributes) {
	for i := range a.fields {
		f := &a.fields[i]
		v := u.value(c, f.form)
		if f.form == formImplicit {
			v.u = uint64(f.implicit)
		}
		switch f.attr {
		case attrName:
			e.name = d.text(v)
		case attrGoPackage:
			e.packageName = d.text(v)
		case attrLocation:
			e.setLocation(v)
		case attrFrameBase:
			e.frameBase = v.block
			e.present |= hasFrameBase
		case attrLow:
			e.low = addrValue{v.u, v.class == classIndex}
			e.present |= hasLow
		case attrHigh:
			e.high, e.highIsLength, e.highIndexed = v.u, v.class == classConstant, v.class == classIndex
			e.present |= hasHigh
		case attrRanges:
			e.ranges, e.rangesIndexed = v.u, v.class == classListIndex
			e.present |= hasRanges
		default:
			e.setNumber(f.attr, v.u)
		}
	}
	return e
}

func (e *attributes) setLocation(v value) {
	switch v.class {
	case classBlock:
		e.location = v.block
		e.present |= hasLocation
	case classConstant, classOffset, classListIndex:
		e.locationList, e.listIndexed = v.u, v.class == classListIndex
		e.present |= hasLocationList
	}
}

func (e *attributes) setNumber(attr uint32, v uint64) {
	switch attr {
	case attrType:
		e.typ = v
		e.present |= hasType
	case attrAbstractOrigin:
		e.origin = v
		e.present |= hasOrigin
	case attrGoKey:
		e.key = v
		e.present |= hasKey
	case attrGoElem:
		e.elem = v
		e.present |= hasElem
	case attrByteSize:
		e.byteSize = v
		e.present |= hasByteSize
	case attrCount:
		e.count = v
	case attrMemberLocation:
		e.memberAt = v
	case attrLanguage:
		e.language = v
	case attrAddrBase:
		e.addrBase = v
	case attrRngListsBase:
		e.listBases[0] = v
	case attrLocListsBase:
		e.listBases[1] = v
	case attrGoKind:
		e.goKind = v
	case attrGoRuntimeType:
		e.runtimeType = v
	case attrGoClosure:
		e.closureOffset = v
	case attrGoEmbedded:
		e.embedded = v != 0
	}
}

// text returns a string, which may lie in another section.
func (d *dwarfData) text(v value) string {
	var section []byte
	switch v.class {
	case classString:
		return string(v.block)
	case classStr:
		section = d.str
	case classLineStr:
		section = d.lineStr
	default:
		return ""
	}
	c := cursor{b: section, at: v.u}
	return string(c.cstring())
}

// cursor reads bytes. Reading behind the end sets bad and gives zeros.
type cursor struct {
	b   []byte
	at  uint64
	bad bool
}

func (c *cursor) take(n uint64) []byte {
	if c.at > uint64(len(c.b)) || n > uint64(len(c.b))-c.at {
		c.bad = true
		c.at = uint64(len(c.b))
		return nil
	}
	b := c.b[c.at : c.at+n : c.at+n]
	c.at += n
	return b
}

func (c *cursor) skip(n uint64) { c.take(n) }

func (c *cursor) u8() uint8 {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u24() uint32 {
	if b := c.take(3); b != nil {
		return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// offset reads an offset into a section.
func (c *cursor) offset(wide bool) uint64 {
	if wide {
		return c.u64()
	}
	return uint64(c.u32())
}

func (c *cursor) address(size uint8) uint64 {
	if size == 4 {
		return uint64(c.u32())
	}
	return c.u64()
}

// uleb reads a number in LEB128, and sleb a signed one. Bits above 64 are lost.
func (c *cursor) uleb() uint64 {
	var v uint64
	for shift := uint(0); ; shift += 7 {
		if c.at >= uint64(len(c.b)) {
			c.bad = true
			return 0
		}
		b := c.b[c.at]
		c.at++
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
}

func (c *cursor) sleb() int64 {
	var v int64
	for shift := uint(0); ; shift += 7 {
		b := c.u8()
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			if shift += 7; b&0x40 != 0 && shift < 64 {
				v |= -1 << shift
			}
			return v
		}
	}
}

// cstring reads a string that a zero byte ends.
func (c *cursor) cstring() []byte {
	if c.at > uint64(len(c.b)) {
		c.bad = true
		return nil
	}
	n := bytes.IndexByte(c.b[c.at:], 0)
	if n < 0 {
		c.bad = true
		return nil
	}
	s := c.b[c.at : c.at+uint64(n)]
	c.at += uint64(n) + 1
	return s
}
