package graph

import (
	"math"
	"slices"

	"github.com/memwarden/memwarden/heap/snapshot"
)

const (
	wordBytes   = 8
	headerBytes = 8     // the type word before an object of more than smallBytes
	smallBytes  = 512   // up to here the heap tells the pointer words of an object, as one word of bits
	classBytes  = 32768 // up to here objects are allocated in size classes
	pageBytes   = 8192  // larger ones in whole pages
	tinyBytes   = 16    // smaller objects without pointers share such a block
)

// classSizes are the sizes of slots for objects of up to classBytes, from the runtime's table.
var classSizes = []uint64{
	8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384, 416, 448, 480,
	512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792, 2048, 2304, 2688, 3072, 3200, 3456, 4096, 4864,
	5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288, 13568, 14336, 16384, 18432, 19072, 20480, 21760,
	24576, 27264, 28672, 32768,
}

// form is all that the heap says of an object by itself. Many objects share one.
type form struct {
	size   uint64 // of the slot; 0 in the form that stands for too many others
	above  uint64 // a value of so many bytes or fewer would have been allocated in a smaller slot, header included
	noscan bool
	header bool            // the object begins with an 8-byte type word
	typ    snapshot.TypeID // element type that the runtime recorded, 0 if none
	mask   uint64          // pointer words of a small object
	known  bool            // mask or typ are known, or there are no pointers
}

// small reports whether the pointer words are known as a mask.
func (f *form) small() bool { return f.known && !f.noscan && f.typ == 0 }

// shift is what lies before the first element.
func (f *form) shift() uint64 {
	if f.header {
		return headerBytes
	}
	return 0
}

// usable is how many bytes elements may occupy.
func (f *form) usable() uint64 { return f.size - f.shift() }

// tiny reports whether several small objects may share the slot.
func (f *form) tiny() bool { return f.noscan && f.size == tinyBytes }

// formKey is what tells forms apart.
type formKey struct {
	size   uint64
	shape  snapshot.ShapeID
	noscan bool
	header bool
}

// crowd is the form of objects that came after all numbers were given away: nothing but their span tells their size.
const crowd = 0

// forms numbers the forms of a heap.
type forms struct {
	list   []form
	ids    map[formKey]uint16
	shapes []snapshot.Shape
}

func newForms(shapes []snapshot.Shape) *forms {
	return &forms{list: make([]form, 1, 64), ids: make(map[formKey]uint16), shapes: shapes}
}

// id returns the number of a form, crowd when there are no numbers left.
func (f *forms) id(key formKey) uint16 {
	if id, ok := f.ids[key]; ok {
		return id
	}
	if len(f.list) > math.MaxUint16 {
		return crowd
	}
	id := uint16(len(f.list))
	f.list = append(f.list, f.make(key))
	f.ids[key] = id
	return id
}

func (f *forms) make(key formKey) form {
	made := form{size: key.size, noscan: key.noscan, header: key.header}
	payload := key.size // the largest size that a smaller slot holds
	switch at, exact := slices.BinarySearch(classSizes, key.size); {
	case exact && at == 0:
		payload = 0
	case exact:
		payload = classSizes[at-1]
	case key.size > classBytes:
		payload = key.size - pageBytes
	default:
		payload = 0 // not a slot of the runtime that we know: no lower bound
	}
	made.above = payload
	if key.size == classBytes && !key.header {
		made.above = classBytes - pageBytes
	}
	switch {
	case key.noscan:
		made.known = true
	case int(key.shape) >= len(f.shapes):
	case f.shapes[key.shape].Type != 0:
		made.typ = f.shapes[key.shape].Type
		made.known = true
	case key.size <= smallBytes:
		if mask := f.shapes[key.shape].Mask; len(mask) > 0 {
			made.mask = mask[0]
		}
		made.known = true
	}
	return made
}
