package scan

import (
	"os"
	"reflect"
	"runtime"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// allocated is what TestOwnCallSites looks for: types that nothing else allocates.
type allocated struct {
	next  *allocated
	words [5]int64
}

type element struct{ p *allocated }

// kept keeps what is allocated on the heap.
var kept struct {
	one      *allocated
	several  []element
	appended []*element
	channel  chan *element
	boxed    any
	table    map[int64]*element
}

//go:noinline
func allocateOne() { kept.one = new(allocated) }

//go:noinline
func allocateSeveral(n int) { kept.several = make([]element, n) }

//go:noinline
func allocateMore(n int) {
	for range n {
		kept.appended = append(kept.appended, nil)
	}
}

//go:noinline
func allocateChannel(n int) { kept.channel = make(chan *element, n) }

//go:noinline
func allocateBox(v [4]element) { kept.boxed = v }

//go:noinline
func allocateTable(n int) { kept.table = make(map[int64]*element, n) }

// TestOwnCallSites decodes the call sites at which this very program allocated, which the memory profile names.
func TestOwnCallSites(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the machine code of " + runtime.GOARCH + " is not decoded")
	}
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	allocateOne()
	allocateSeveral(3)
	allocateMore(9)
	allocateChannel(4)
	allocateBox([4]element{})
	allocateTable(100)
	runtime.MemProfileRate = rate
	runtime.GC()
	runtime.GC() // the profile has what two collections have seen
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	records := make([]runtime.MemProfileRecord, 1<<14)
	n, ok := runtime.MemProfile(records, true)
	if !ok {
		t.Fatalf("%d records", n)
	}
	const pkg = "github.com/memwarden/memwarden/heap/scan."
	want := map[string]reflect.Type{
		"allocateOne": reflect.TypeFor[allocated](), "allocateSeveral": reflect.TypeFor[element](),
		"allocateMore": reflect.TypeFor[*element](), "allocateChannel": reflect.TypeFor[chan *element](),
		"allocateBox": reflect.TypeFor[[4]element](), "allocateTable": reflect.TypeFor[map[int64]*element](),
	}
	for _, record := range records[:n] {
		for _, pc := range record.Stack() {
			f := runtime.FuncForPC(pc - 1)
			if f == nil || len(f.Name()) <= len(pkg) || want[f.Name()[len(pkg):]] == nil {
				continue
			}
			name := f.Name()[len(pkg):]
			var code [siteBytes]byte
			if _, err := memory.ReadAt(code[:], int64(pc)-siteBytes); err != nil {
				t.Fatal(err)
			}
			site, ok := decodeCall(runtime.GOARCH, code[:], uint64(pc))
			callee := runtime.FuncForPC(uintptr(site.callee))
			if !ok || callee == nil || uint64(callee.Entry()) != site.callee {
				t.Errorf("%s: no call before %#x: % x", name, pc, code)
				break
			}
			r, ok := typeArgument(callee.Name())
			if typ := uint64(reflect.ValueOf(want[name]).Pointer()); !ok || site.loaded[r] != typ {
				t.Errorf("%s calls %s with %#x, want the type at %#x: % x", name, callee.Name(), site.loaded, typ, code)
			}
			delete(want, name)
			break
		}
	}
	if len(want) > 0 {
		t.Errorf("the profile does not have %v", want)
	}
}

func TestTypeArgument(t *testing.T) {
	for name, want := range map[string]int{
		"runtime.newobject": 0, "runtime.mallocgc": 1, "runtime.growslice": 4, "runtime.mallocgcSmallScanNoHeaderSC3": 1,
		"runtime.mallocgcTinySC2": 1, "runtime.mallocgcLarge": -1, "runtime.mapassign_faststr": 0, "runtime.lock": -1, "main.newobject": -1,
	} {
		r, ok := typeArgument(name)
		if got := map[register]int{firstArgument: 0, secondArgument: 1, fifthArgument: 4}[r]; ok != (want >= 0) || ok && got != want {
			t.Errorf("%s: argument %d, %v; want %d", name, got, ok, want)
		}
	}
}

func TestAllocatedFits(t *testing.T) {
	scan, noscan := &layout.Span{ElemSize: 64}, &layout.Span{ElemSize: 64, NoScan: true}
	tiny := &layout.Span{ElemSize: 16, NoScan: true}
	for _, c := range []struct {
		typ  snapshot.Type
		span *layout.Span
		want bool
	}{
		{snapshot.Type{Kind: snapshot.Struct, Size: 48, PtrBytes: 8}, scan, true},
		{snapshot.Type{Kind: snapshot.Struct, Size: 72, PtrBytes: 8}, scan, false},
		{snapshot.Type{Kind: snapshot.Struct, Size: 48}, scan, false},
		{snapshot.Type{Kind: snapshot.Struct, Size: 48}, noscan, true},
		{snapshot.Type{Kind: snapshot.Struct}, noscan, false},
		{snapshot.Type{Kind: snapshot.Uint8, Size: 1}, tiny, false},
		{snapshot.Type{Kind: snapshot.Complex128, Size: 16}, tiny, true},
		{snapshot.Type{Kind: snapshot.Chan, Size: 8, PtrBytes: 8}, noscan, true},
		{snapshot.Type{Kind: snapshot.Map, Size: 8, PtrBytes: 8}, noscan, true},
		{snapshot.Type{Kind: snapshot.Map, Size: 8, PtrBytes: 8}, tiny, false},
		{snapshot.Type{Kind: snapshot.Map, Size: 8, PtrBytes: 8}, scan, true},
	} {
		if got := mayHold(&c.typ, c.span); got != c.want {
			t.Errorf("%+v in a slot of %d bytes, noscan %v: %v", c.typ, c.span.ElemSize, c.span.NoScan, got)
		}
	}
}
