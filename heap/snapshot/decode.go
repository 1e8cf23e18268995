package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"
)

// decoder reads the payload of a chunk. Its first error stays; what it returns after that is zero. Nothing that it
// allocates is larger than the bytes that are left allow.
type decoder struct {
	buf     []byte
	pos     int
	err     error
	text    string // buf as a string, of which the strings are parts
	strings []string
	last    ObjectID
	totals  *Totals
}

var (
	errShort  = errors.New("it ends within an entry")
	errNumber = errors.New("a number is longer than 64 bits")
)

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *decoder) failf(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

func (d *decoder) left() uint64 { return uint64(len(d.buf) - d.pos) }

func (d *decoder) uint() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.buf[d.pos:])
	if n <= 0 {
		d.number(n)
		return 0
	}
	d.pos += n
	return v
}

// number tells why there is none.
func (d *decoder) number(n int) {
	if n == 0 {
		d.fail(errShort)
	} else {
		d.fail(errNumber)
	}
}

func (d *decoder) int() int64 {
	v := d.uint()
	return int64(v>>1) ^ -int64(v&1)
}

func (d *decoder) byte() byte {
	if d.err != nil || d.pos >= len(d.buf) {
		d.fail(errShort)
		return 0
	}
	d.pos++
	return d.buf[d.pos-1]
}

// seconds reads a number of seconds.
func (d *decoder) seconds() float64 {
	if d.err != nil || d.left() < 8 {
		d.fail(errShort)
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(d.buf[d.pos:]))
	d.pos += 8
	if bad(v) {
		d.failf("%v seconds", v)
		return 0
	}
	return v
}

// string reads a string, cleaned of what would make a terminal or a page do something.
func (d *decoder) string() string {
	v := d.uint()
	if v&1 != 0 {
		if v >>= 1; v >= uint64(len(d.strings)) {
			d.failf("string %d of %d", v, len(d.strings))
			return ""
		}
		return d.strings[v]
	}
	n := v >> 1
	if n == 0 || d.err != nil {
		return ""
	}
	if n > d.left() {
		d.fail(errShort)
		return ""
	}
	if d.text == "" {
		d.text = string(d.buf)
	}
	s := clean(d.text[d.pos : d.pos+int(n)])
	d.pos += int(n)
	d.strings = append(d.strings, s)
	return s
}

// clean replaces what is no text: control characters and invalid UTF-8.
func clean(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f
	}
	if plain || utf8.ValidString(s) && strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	return strings.Map(func(c rune) rune {
		if unprintable(c) {
			return utf8.RuneError
		}
		return c
	}, s)
}

// unprintable reports characters that control a terminal, or the direction of text.
func unprintable(c rune) bool { return unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) }

// below reads a number that must lie below a bound.
func (d *decoder) below(bound uint64, what string) uint32 {
	v := d.uint()
	if v >= bound || v > math.MaxUint32 {
		if d.err == nil {
			d.err = fmt.Errorf("%s %d of %d", what, v, bound)
		}
		return 0
	}
	return uint32(v)
}

// list reads the length of a list whose entries take some bytes each at least.
func (d *decoder) list(least uint64) int {
	n := d.uint()
	if n > d.left()/least {
		d.failf("a list of %d entries in %d bytes", n, d.left())
		return 0
	}
	return int(n)
}

func (d *decoder) typeID() TypeID { return TypeID(d.below(d.totals.Types, "type")) }
func (d *decoder) funcID() FuncID { return FuncID(d.below(d.totals.Functions, "function")) }

// object reads an object's number, told by its distance from that of the entry before.
func (d *decoder) object() ObjectID {
	v := uint64(int64(d.last) + d.int())
	if v >= d.totals.Objects {
		d.failf("object %d of %d", int64(v), d.totals.Objects)
		return 0
	}
	d.last = ObjectID(v)
	return d.last
}

func (d *decoder) header(h *Header) {
	h.GoVersion, h.OS, h.Arch = d.string(), d.string(), d.string()
	h.Executable, h.BuildID = d.string(), d.string()
	h.PID, h.TakenAt = d.int(), d.int()
	h.Method = Method(d.string())
	h.RSSBytes = d.int()
	h.ContainsDWARF = d.byte()&1 != 0
}

func (d *decoder) summary(s *Summary) {
	for _, v := range []*uint64{&s.Objects, &s.Edges, &s.AllocatedBytes, &s.RuntimeLiveBytes, &s.StackBytes, &s.GCCycles} {
		*v = d.uint()
	}
	s.PauseSeconds, s.ReadSeconds = d.seconds(), d.seconds()
	n := d.list(1)
	if n > 0 {
		s.Warnings = make([]string, n)
		for i := range s.Warnings {
			s.Warnings[i] = d.string()
		}
	}
}

// span reads a span that lies behind the address end. Its live bits are appended to the words.
func (d *decoder) span(s *Span, end uint64, words []uint64) []uint64 {
	gap, pages, elem, flags := d.uint(), d.uint(), d.uint(), d.uint()
	slots := flags >> spanShift
	const maxPages = maxAddress / pageBytes
	switch {
	case d.err != nil:
		return words
	case gap > maxPages-end/pageBytes || pages == 0 || pages > maxPages-end/pageBytes-gap:
		d.failf("%d pages behind %d that are not used", pages, gap)
		return words
	case elem == 0 || elem > pages*pageBytes/wordBytes || slots > pages*pageBytes/wordBytes/elem || slots > math.MaxUint32:
		d.failf("%d slots of %d words in %d pages", slots, elem, pages)
		return words
	case (slots+7)/8 > d.left():
		d.fail(errShort)
		return words
	}
	*s = Span{
		Start: end + gap*pageBytes, Pages: pages, ElemSize: elem * wordBytes, Slots: uint32(slots),
		NoScan: flags&spanNoScan != 0, Header: flags&spanHeader != 0,
	}
	from := len(words)
	for slots >= 64 {
		words = append(words, binary.LittleEndian.Uint64(d.buf[d.pos:]))
		d.pos += 8
		slots -= 64
	}
	if slots > 0 {
		word := uint64(0)
		for i := range (slots + 7) / 8 {
			word |= uint64(d.buf[d.pos]) << (8 * i)
			d.pos++
		}
		if word>>slots != 0 {
			d.failf("live bits beyond %d slots", s.Slots)
		}
		words = append(words, word)
	}
	s.Live = words[from:len(words):len(words)]
	return words
}

// liveObjects counts the objects of a span.
func liveObjects(s *Span) uint64 {
	n := 0
	for _, word := range s.Live {
		n += bits.OnesCount64(word)
	}
	return uint64(n)
}

func (d *decoder) typ(t *Type) {
	t.Name, t.PkgPath = d.string(), d.string()
	t.Kind = Kind(d.byte())
	flags := d.byte()
	if t.Kind > UnsafePointer || flags&^knownTypeFlags != 0 {
		d.failf("a type of kind %d with flags %#x", t.Kind, flags)
		return
	}
	t.DirectIface, t.DebugOnly = flags&typeDirectIface != 0, flags&typeDebugOnly != 0
	t.Size, t.PtrBytes = d.uint(), d.uint()
	if t.Size > maxAddress || t.PtrBytes > t.Size {
		d.failf("type %s of %d bytes with pointers in %d", t.Name, t.Size, t.PtrBytes)
	}
	if flags&typeElem != 0 {
		t.Elem = d.typeID()
	}
	if flags&typeKey != 0 {
		t.Key = d.typeID()
	}
	if flags&typeLen != 0 {
		t.Len = d.uint()
	}
	if flags&typeGroup != 0 {
		t.Group = d.typeID()
	}
	if flags&typeFields != 0 {
		d.fields(t)
	}
}

func (d *decoder) fields(t *Type) {
	n := d.list(3)
	t.Fields = make([]Field, n)
	for i := range t.Fields {
		f := &t.Fields[i]
		f.Name = d.string()
		f.Type = d.typeID()
		v := d.uint()
		f.Offset, f.Embedded = v>>1, v&1 != 0
		if d.err != nil {
			return
		}
	}
}

func (d *decoder) function(f *Function) {
	f.Name, f.File = d.string(), d.string()
	f.Line = d.below(math.MaxUint32+1, "line")
	f.Closure = d.typeID()
}

func (d *decoder) shape(s *Shape) {
	n := d.list(1)
	if n == 0 {
		s.Type = d.typeID()
		return
	}
	s.Mask = make([]uint64, n)
	for i := range s.Mask {
		s.Mask[i] = d.uint()
	}
}

// root reads a root; frames has the number of frames of each goroutine. The edges use what there is of r.Edges.
func (d *decoder) root(r *Root, frames []uint32) {
	edges := r.Edges[:0]
	*r = Root{Kind: RootKind(d.byte())}
	flags := d.byte()
	if r.Kind > Deferred || flags&^knownRootFlags != 0 {
		d.failf("a root of kind %d with flags %#x", r.Kind, flags)
		return
	}
	r.Conservative = flags&rootConservative != 0
	r.Name, r.Type = d.string(), d.typeID()
	if flags&rootGoroutine != 0 {
		r.Goroutine = d.below(uint64(len(frames))+1, "goroutine")
		r.Frame = d.below(math.MaxUint32+1, "frame")
	}
	if r.Kind == StackRoot && r.Goroutine != 0 && r.Frame >= frames[r.Goroutine-1] {
		d.failf("frame %d of %d of goroutine %d", r.Frame, frames[r.Goroutine-1], r.Goroutine-1)
		return
	}
	if flags&rootObject != 0 {
		r.Object = ObjectID(d.below(d.totals.Objects, "object"))
	}
	n := d.list(3)
	if n > 0 && cap(edges) < n {
		edges = make([]Edge, 0, n)
	}
	expected, previous := uint64(0), ObjectID(0)
	for range n {
		if d.err != nil {
			return
		}
		edges = append(edges, Edge{})
		edge := &edges[len(edges)-1]
		d.rootEdge(edge, expected, previous)
		expected, previous = edge.Slot+1, edge.Target
	}
	r.Edges = edges
}

func (d *decoder) rootEdge(e *Edge, expected uint64, previous ObjectID) {
	flags := d.byte()
	e.Slot = expected + uint64(d.int())
	target := uint64(int64(previous) + d.int())
	if flags > 3 || e.Slot > maxRootSlot || target >= d.totals.Objects {
		d.failf("a pointer in slot %d to object %d of %d, flags %#x", e.Slot, int64(target), d.totals.Objects, flags)
		return
	}
	e.Target = ObjectID(target)
	if flags&1 != 0 {
		e.Offset = d.uint()
	}
	if flags&2 == 0 {
		return
	}
	if v := d.uint(); v&1 == 0 {
		if v>>1 >= d.totals.Types {
			d.failf("type %d of %d", v>>1, d.totals.Types)
			return
		}
		e.Evidence, e.Type = DynamicType, TypeID(v>>1)
	} else {
		e.Evidence, e.Len, e.Cap = Length, v>>1, d.uint()
	}
}

func (d *decoder) frames() []Frame {
	n := d.list(2)
	if n == 0 {
		return nil
	}
	frames := make([]Frame, n)
	for i := range frames {
		frames[i] = Frame{Func: d.funcID(), Line: d.below(math.MaxUint32+1, "line")}
		if d.err != nil {
			return nil
		}
	}
	return frames
}

func (d *decoder) goroutine(g *Goroutine) {
	g.ID = d.uint()
	g.State = d.string()
	g.CreatedBy = d.funcID()
	g.Frames = d.frames()
}
