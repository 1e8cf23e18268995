package heaptest

import "slices"

const (
	pageBytes = 8192
	wordBytes = 8
	// maxInlineMask is the size up to which the heap has a pointer bitmap for its objects.
	maxInlineMask = 512
	// typeHeader stands before larger objects with pointers, up to maxSmall.
	typeHeader = 8
	maxSmall   = 32768
	tinyBytes  = 16
)

// class is a size class of the runtime: bytes of a slot, and pages of a span.
type class struct{ size, pages uint64 }

// classes are the runtime's size classes, the same on all platforms since Go 1.16.
var classes = []class{
	{8, 1}, {16, 1}, {24, 1}, {32, 1}, {48, 1}, {64, 1}, {80, 1}, {96, 1}, {112, 1}, {128, 1}, {144, 1}, {160, 1},
	{176, 1}, {192, 1}, {208, 1}, {224, 1}, {240, 1}, {256, 1}, {288, 1}, {320, 1}, {352, 1}, {384, 1}, {416, 1},
	{448, 1}, {480, 1}, {512, 1}, {576, 1}, {640, 1}, {704, 1}, {768, 1}, {896, 1}, {1024, 1}, {1152, 1}, {1280, 1},
	{1408, 2}, {1536, 1}, {1792, 2}, {2048, 1}, {2304, 2}, {2688, 1}, {3072, 3}, {3200, 2}, {3456, 3}, {4096, 1},
	{4864, 3}, {5376, 2}, {6144, 3}, {6528, 4}, {6784, 5}, {6912, 6}, {8192, 1}, {9472, 7}, {9728, 6}, {10240, 5},
	{10880, 4}, {12288, 3}, {13568, 5}, {14336, 7}, {16384, 2}, {18432, 9}, {19072, 7}, {20480, 5}, {21760, 8},
	{24576, 3}, {27264, 10}, {28672, 7}, {32768, 4},
}

// place says where objects of a kind go.
type place struct {
	class
	noscan bool
	header bool // objects begin with the address of their type
	large  bool // each has a span of its own
}

// slots returns how many objects a span holds.
func (p place) slots() uint64 {
	if p.large {
		return 1
	}
	bytes := p.pages * pageBytes
	if !p.noscan && !p.header {
		bytes -= bytes / (8 * wordBytes) // for the pointer bitmap at the span's end
	}
	return bytes / p.size
}

// placeOf returns where the runtime puts a value of a size.
func placeOf(bytes uint64, noscan bool) place {
	p := place{noscan: noscan}
	switch {
	case bytes > maxSmall-typeHeader:
		pages := (bytes + pageBytes - 1) / pageBytes
		p.class, p.large = class{pages * pageBytes, pages}, true
		return p
	case noscan && bytes < tinyBytes:
		bytes = tinyBytes
	case !noscan && bytes > maxInlineMask:
		bytes += typeHeader
		p.header = true
	}
	i, _ := slices.BinarySearchFunc(classes, bytes, func(c class, bytes uint64) int { return int(c.size) - int(bytes) })
	p.class = classes[i]
	return p
}
