package gotype

import (
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"github.com/memwarden/memwarden/heap/snapshot"
)

func snapshotKind(k uint8) snapshot.Kind { return snapshot.Kind(k) }

func TestFrameLocation(t *testing.T) {
	for _, c := range []struct {
		name string
		expr []byte
		want []piece
	}{
		{"nothing", nil, nil},
		{"cfa", []byte{opCFA}, []piece{{0, 0, 0}}},
		{"fbreg", []byte{opFbreg, 0x68}, []piece{{0, 0, -24}}},
		{"fbreg, two bytes", []byte{opFbreg, 0x80, 0x7f}, []piece{{0, 0, -128}}},
		{"cfa plus consts", []byte{opCFA, opConsts, 0x70, opPlus}, []piece{{0, 0, -16}}},
		{"cfa minus lit", []byte{opCFA, opLit0 + 8, opMinus}, []piece{{0, 0, -8}}},
		{"cfa plus_uconst", []byte{opCFA, opPlusConst, 8}, []piece{{0, 0, 8}}},
		{"cfa and sized constants", []byte{opCFA, opConst1s, 0xff, opPlus, opConst2u, 1, 0, opPlus, opConst4s, 2, 0, 0, 0,
			opPlus, opConst8u, 3, 0, 0, 0, 0, 0, 0, 0, opPlus, opConst1u, 4, opPlus, opConst2s, 0xff, 0xff, opPlus, opConst4u, 1, 0, 0, 0,
			opPlus, opConstu, 1, opPlus}, []piece{{0, 0, 10}}},
		{"register", []byte{opReg0 + 3}, nil},
		{"register by number", []byte{opRegx, 40}, nil},
		{"address", []byte{opAddr, 0, 0, 0, 0, 0, 0, 0, 0}, nil},
		{"unknown operation", []byte{0x06}, nil},
		{"cut off", []byte{opFbreg}, nil},
		{"cut off piece", []byte{opCFA, opPiece}, nil},
		{"plus of nothing", []byte{opPlus}, nil},
		{"spilled slice", []byte{opCFA, opPiece, 8, opFbreg, 8, opPiece, 8, opFbreg, 16, opPiece, 8}, []piece{{0, 24, 0}}},
		{"only the pointer", []byte{opFbreg, 0x70, opPiece, 8, opReg0, opPiece, 8, opPiece, 8}, []piece{{0, 8, -16}}},
		{"only the length", []byte{opPiece, 8, opFbreg, 0x70, opPiece, 8, opReg0, opPiece, 8}, []piece{{8, 8, -16}}},
		{"in two places", []byte{opFbreg, 0x70, opPiece, 8, opFbreg, 0x60, opPiece, 8}, []piece{{0, 8, -16}, {8, 8, -32}}},
		{"padding", []byte{opFbreg, 0x60, opPiece, 4, opFbreg, 0x70, opPiece, 8}, []piece{{0, 4, -32}, {8, 8, -16}}},
	} {
		if got := frameLocation(c.expr); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	var many []byte
	for range 2 * maxPieces {
		many = append(many, opFbreg, 0, opPiece, 8)
	}
	if got := frameLocation(many); len(got) > maxPieces {
		t.Errorf("%d pieces", len(got))
	}
}

func u64(values ...uint64) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

func concat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// TestLists searches lists of both versions with every kind of entry.
func TestLists(t *testing.T) {
	old := &unit{version: 4, addrSize: 8, low: 0x1000}
	current := &unit{version: 5, addrSize: 8, low: 0x1000, listBases: [2]uint64{4, 4}}
	d := &dwarfData{listsRead: true, addr: u64(0x5000, 0x6000)}
	d.ranges = concat(u64(0x10, 0x20, ^uint64(0), 0x9000, 0, 8), u64(0, 0))
	d.loc = concat(u64(0x10, 0x20), []byte{1, 0, 'a'}, u64(^uint64(0), 0x9000, 0, 8), []byte{2, 0, 'b', 'c'}, u64(0, 0))
	offsets := []byte{4, 0, 0, 0, 4, 0, 0, 0}
	d.rngLists = concat(offsets, []byte{
		listOffsetPair, 0x10, 0x20, listBaseIndex, 0, listOffsetPair, 0, 8, listStartIndexEndIndex, 0, 1,
		listStartIndexLength, 1, 0x10, rngBase,
	}, u64(0x7000), []byte{listOffsetPair, 0, 1, rngStartEnd}, u64(0x8000, 0x8010), []byte{rngStartLength}, u64(0x9000), []byte{4, listEnd})
	d.locLists = concat(offsets, []byte{
		listOffsetPair, 0x10, 0x20, 1, 'a', listBaseIndex, 0, listOffsetPair, 0, 8, 1, 'b', listDefault, 1, 'z', locBase,
	}, u64(0x7000), []byte{listOffsetPair, 0, 1, 1, 'c', locStartEnd}, u64(0x8000, 0x8010), []byte{1, 'd', locStartLength},
		u64(0x9000), []byte{4, 1, 'e', listEnd})
	for _, c := range []struct {
		name    string
		u       *unit
		kind    listKind
		list    uint64
		indexed bool
		pc      uint64
		expr    string
		found   bool
	}{
		{"old range", old, rangeLists, 0, false, 0x1010, "", true},
		{"old range, end", old, rangeLists, 0, false, 0x1020, "", false},
		{"old range, other base", old, rangeLists, 0, false, 0x9007, "", true},
		{"old location", old, locationLists, 0, false, 0x101f, "a", true},
		{"old location, other base", old, locationLists, 0, false, 0x9000, "bc", true},
		{"old location, none", old, locationLists, 0, false, 0x900f, "", false},
		{"range", current, rangeLists, 0, true, 0x1010, "", true},
		{"range by base index", current, rangeLists, 8, false, 0x5007, "", true},
		{"range by indices", current, rangeLists, 8, false, 0x5fff, "", true},
		{"range by index and length", current, rangeLists, 8, false, 0x600f, "", true},
		{"range by base", current, rangeLists, 8, false, 0x7000, "", true},
		{"range by addresses", current, rangeLists, 8, false, 0x800f, "", true},
		{"range by address and length", current, rangeLists, 8, false, 0x9003, "", true},
		{"range, none", current, rangeLists, 8, false, 0x9004, "", false},
		{"location", current, locationLists, 0, true, 0x1010, "a", true},
		{"location by base index", current, locationLists, 8, false, 0x5007, "b", true},
		{"location by base", current, locationLists, 8, false, 0x7000, "c", true},
		{"location by addresses", current, locationLists, 8, false, 0x800f, "d", true},
		{"location by address and length", current, locationLists, 8, false, 0x9003, "e", true},
		{"location, default", current, locationLists, 8, false, 0x9004, "z", true},
	} {
		expr, found, err := d.lookup(c.u, c.kind, c.list, c.indexed, c.pc)
		if err != nil || found != c.found || string(expr) != c.expr {
			t.Errorf("%s: %q, %v, %v; want %q, %v", c.name, expr, found, err, c.expr, c.found)
		}
	}
	for _, u := range []*unit{old, current} {
		for _, kind := range []listKind{rangeLists, locationLists} {
			for _, list := range []uint64{1 << 40, 60, uint64(len(d.locLists)) - 1} {
				for _, indexed := range []bool{false, true} {
					if _, _, err := d.lookup(u, kind, list, indexed, 0); err != nil && !errors.Is(err, errDWARF) {
						t.Errorf("list at %d: %v", list, err)
					}
				}
			}
		}
	}
}
