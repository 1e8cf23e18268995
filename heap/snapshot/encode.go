package snapshot

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// encoder builds the payload of a chunk.
type encoder struct {
	buf     []byte
	strings map[string]uint64 // their numbers
	count   uint64            // entries
	extra   uint64
	last    ObjectID // of the entry before
}

func (e *encoder) reset() {
	e.buf, e.count, e.extra, e.last = e.buf[:0], 0, 0, 0
	clear(e.strings)
}

func (e *encoder) uint(v uint64) { e.buf = binary.AppendUvarint(e.buf, v) }
func (e *encoder) int(v int64)   { e.buf = binary.AppendVarint(e.buf, v) }
func (e *encoder) byte(v byte)   { e.buf = append(e.buf, v) }
func (e *encoder) float(v float64) {
	e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(v))
}
func (e *encoder) object(id ObjectID) { e.int(int64(id) - int64(e.last)); e.last = id }
func (e *encoder) bit(v bool, bit byte) byte {
	if v {
		return 1 << bit
	}
	return 0
}

// string writes a string, or the number of an equal one that stands earlier in the chunk.
func (e *encoder) string(s string) {
	if n, known := e.strings[s]; known {
		e.uint(n<<1 | 1)
		return
	}
	if s != "" {
		if e.strings == nil {
			e.strings = make(map[string]uint64)
		}
		e.strings[s] = uint64(len(e.strings))
	}
	e.uint(uint64(len(s)) << 1)
	e.buf = append(e.buf, s...)
}

func (e *encoder) header(h *Header) {
	e.string(h.GoVersion)
	e.string(h.OS)
	e.string(h.Arch)
	e.string(h.Executable)
	e.string(h.BuildID)
	e.int(h.PID)
	e.int(h.TakenAt)
	e.string(string(h.Method))
	e.int(h.RSSBytes)
	e.byte(e.bit(h.ContainsDWARF, 0))
	e.count = 1
}

func (e *encoder) summary(s *Summary) {
	for _, v := range []uint64{s.Objects, s.Edges, s.AllocatedBytes, s.RuntimeLiveBytes, s.StackBytes, s.GCCycles} {
		e.uint(v)
	}
	e.float(s.PauseSeconds)
	e.float(s.ReadSeconds)
	e.uint(uint64(len(s.Warnings)))
	for _, warning := range s.Warnings {
		e.string(warning)
	}
}

// Flags of a span, below the number of its slots.
const (
	spanNoScan = 1 << iota
	spanHeader
	spanShift = iota
)

// span writes a span that lies behind the address end, and returns the number of its objects.
func (e *encoder) span(s *Span, end uint64) (objects uint64, err error) {
	words := (uint64(s.Slots) + 63) / 64
	switch {
	case s.Start < end || s.Start%pageBytes != 0:
		return 0, fmt.Errorf("span at %#x: it overlaps the one before it, which ends at %#x, or does not begin with a page", s.Start, end)
	case s.Pages == 0 || s.Start >= maxAddress || s.Pages > (maxAddress-s.Start)/pageBytes:
		return 0, fmt.Errorf("span at %#x: %d pages", s.Start, s.Pages)
	case s.ElemSize == 0 || s.ElemSize%wordBytes != 0 || s.ElemSize > s.Pages*pageBytes || uint64(s.Slots) > s.Pages*pageBytes/s.ElemSize:
		return 0, fmt.Errorf("span at %#x: %d slots of %d bytes in %d pages", s.Start, s.Slots, s.ElemSize, s.Pages)
	case uint64(len(s.Live)) > words:
		return 0, fmt.Errorf("span at %#x: %d words of live bits for %d slots", s.Start, len(s.Live), s.Slots)
	}
	e.uint((s.Start - end) / pageBytes)
	e.uint(s.Pages)
	e.uint(s.ElemSize / wordBytes)
	e.uint(uint64(s.Slots)<<spanShift | uint64(e.bit(s.NoScan, 0)|e.bit(s.Header, 1)))
	bytes := (int(s.Slots) + 7) / 8
	for i := range bytes {
		b := byte(0)
		if i/8 < len(s.Live) {
			b = byte(s.Live[i/8] >> (i % 8 * 8))
		}
		e.byte(b)
	}
	for _, word := range s.Live {
		objects += uint64(bits.OnesCount64(word))
	}
	if n := uint64(s.Slots) % 64; n != 0 && uint64(len(s.Live)) == words && s.Live[words-1]>>n != 0 {
		return 0, fmt.Errorf("span at %#x: live bits beyond its %d slots", s.Start, s.Slots)
	}
	return objects, nil
}

// Flags of a type: what it is, and which numbers follow.
const (
	typeDirectIface = 1 << iota
	typeDebugOnly
	typeElem
	typeKey
	typeLen
	typeGroup
	typeFields
	knownTypeFlags = 1<<iota - 1
)

func (e *encoder) typ(t *Type) {
	e.string(t.Name)
	e.string(t.PkgPath)
	e.byte(byte(t.Kind))
	e.byte(e.bit(t.DirectIface, 0) | e.bit(t.DebugOnly, 1) | e.bit(t.Elem != 0, 2) | e.bit(t.Key != 0, 3) |
		e.bit(t.Len != 0, 4) | e.bit(t.Group != 0, 5) | e.bit(len(t.Fields) > 0, 6))
	e.uint(t.Size)
	e.uint(t.PtrBytes)
	for _, v := range []uint64{uint64(t.Elem), uint64(t.Key), t.Len, uint64(t.Group)} {
		if v != 0 {
			e.uint(v)
		}
	}
	if len(t.Fields) == 0 {
		return
	}
	e.uint(uint64(len(t.Fields)))
	for i := range t.Fields {
		f := &t.Fields[i]
		e.string(f.Name)
		e.uint(uint64(f.Type))
		e.uint(f.Offset<<1 | uint64(e.bit(f.Embedded, 0)))
	}
}

func (e *encoder) function(f *Function) {
	e.string(f.Name)
	e.string(f.File)
	e.uint(uint64(f.Line))
	e.uint(uint64(f.Closure))
}

func (e *encoder) shape(s *Shape) {
	if s.Type != 0 {
		e.uint(0)
		e.uint(uint64(s.Type))
		return
	}
	e.uint(uint64(len(s.Mask)))
	for _, word := range s.Mask {
		e.uint(word)
	}
	if len(s.Mask) == 0 {
		e.uint(0)
	}
}

// Flags of a root: what it is, and which numbers follow.
const (
	rootConservative = 1 << iota
	rootGoroutine
	rootObject
	knownRootFlags = 1<<iota - 1
)

func (e *encoder) root(r *Root) {
	e.byte(byte(r.Kind))
	e.byte(e.bit(r.Conservative, 0) | e.bit(r.Goroutine != 0, 1) | e.bit(r.Object != 0, 2))
	e.string(r.Name)
	e.uint(uint64(r.Type))
	if r.Goroutine != 0 {
		e.uint(uint64(r.Goroutine))
		e.uint(uint64(r.Frame))
	}
	if r.Object != 0 {
		e.uint(uint64(r.Object))
	}
	e.uint(uint64(len(r.Edges)))
	expected, previous := uint64(0), ObjectID(0)
	for i := range r.Edges {
		edge := &r.Edges[i]
		e.byte(e.bit(edge.Offset != 0, 0) | e.bit(edge.Evidence != NoEvidence, 1))
		e.int(int64(edge.Slot - expected))
		e.int(int64(edge.Target) - int64(previous))
		if edge.Offset != 0 {
			e.uint(edge.Offset)
		}
		switch edge.Evidence {
		case DynamicType:
			e.uint(uint64(edge.Type) << 1)
		case Length:
			e.uint(edge.Len<<1 | 1)
			e.uint(edge.Cap)
		}
		expected, previous = edge.Slot+1, edge.Target
	}
	e.extra += uint64(len(r.Edges))
}

func (e *encoder) frames(frames []Frame) {
	e.uint(uint64(len(frames)))
	for _, f := range frames {
		e.uint(uint64(f.Func))
		e.uint(uint64(f.Line))
	}
	e.extra += uint64(len(frames))
}

func (e *encoder) goroutine(g *Goroutine) {
	e.uint(g.ID)
	e.string(g.State)
	e.uint(uint64(g.CreatedBy))
	e.frames(g.Frames)
}
