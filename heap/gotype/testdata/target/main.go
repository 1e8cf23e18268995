// Command target is what the tests of the type table look at: types of every kind, variables, frames and closures.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"sync"
	"time"
	"unsafe"

	inner "example.com/target/inner.v2"
)

// User has fields of many kinds.
type User struct {
	ID      int64
	Name    string
	Tags    []string
	Friends map[string]*User
	inner   *inner.Item
	on      bool
	score   float32
}

// Session embeds, and refers to itself.
type Session struct {
	sync.Mutex
	*User
	io.Reader
	Parent  *Session
	Done    chan struct{}
	OnClose func(error) bool
	Any     any
	Raw     unsafe.Pointer
	Grid    [3][2]uint16
	Tail    struct{}
}

// Cache is generic.
type Cache[K comparable, V any] struct {
	items map[K]V
	order []K
	mu    sync.RWMutex
}

// Put stores a value.
func (c *Cache[K, V]) Put(k K, v V) {
	if c.items == nil {
		c.items = make(map[K]V)
	}
	c.items[k] = v
	c.order = append(c.order, k)
}

// Names is a named slice, Header a named map, Code a named number, Handler a named function.
type (
	Names   []string
	Header  map[string][]string
	Code    uint16
	Handler func(*User) error
	Pipe    chan *User
	Big     [200]byte
	Wide    map[Big]Big
)

// String makes Code a Stringer.
func (c Code) String() string { return fmt.Sprintf("code %d", uint16(c)) }

type debugOnly struct {
	m     map[int32]*User
	items [4]*inner.Item
	c     chan Code
	f     func(int) string
	e     error
	a     any
	s     string
	b     []byte
}

var (
	globalCache    = &Cache[string, *User]{}
	globalItems    Cache[inner.Item, int]
	globalSession  *Session
	globalDebug    debugOnly
	globalNames    Names
	globalHeader   = Header{"a": {"b"}}
	globalWide     Wide
	globalPipe     Pipe
	globalHandler  Handler
	globalAnything []any
	globalStrings  = []fmt.Stringer{Code(3), time.Second}
	globalCount    int
	globalNext     func() string
	globalPoint        = &struct{ Inner *debugOnly }{Inner: &debugOnly{s: "static"}}
	globalRows         = []*User{{Name: "row"}, {Name: "column"}}
	globalBoxed    any = &Session{Tail: struct{}{}}
)

//go:noinline
func park(ready *sync.WaitGroup, in chan *User) *User {
	users := make([]*User, 0, 4)
	for i := range 3 {
		users = append(users, &User{ID: int64(i)})
	}
	var local User
	local.Name = "local"
	byName := map[string]*User{"x": &local}
	ready.Done()
	u := <-in
	runtime.KeepAlive(byName)
	local.ID++
	return append(users, u)[0]
}

//go:noinline
func counter(prefix string, users []*User) func() string {
	n := 0
	return func() string {
		n++
		return prefix + fmt.Sprint(n, len(users))
	}
}

//go:noinline
func fill() {
	globalCache.Put("one", &User{ID: 1, Name: "one"})
	globalItems.Put(inner.Item{Name: "i"}, 1)
	globalSession = &Session{User: &User{ID: 2}, Done: make(chan struct{}), Any: Code(7), Reader: os.Stdin}
	globalNames = Names{"a"}
	globalWide = Wide{Big{}: Big{}}
	globalPipe = make(Pipe, 2)
	globalHandler = func(u *User) error { return errors.New(u.Name) }
	inner.Registry["r"] = &inner.Item{}
	for _, v := range []any{
		Code(1), &User{}, User{}, Session{}.Grid, map[int8]string{}, []Header{}, make(chan<- int), struct{ A, B int }{},
		errors.New("x"), time.Now(), &Cache[int, []byte]{}, Cache[inner.Item, Code]{}, func(int, ...string) {}, 1i, "s",
		1.5, [2]*Names{}, uintptr(1), new(any), new(error), Big{}, &struct{ *User }{},
	} {
		globalAnything = append(globalAnything, v)
	}
	runtimeMade()
}

// runtimeMade makes types that the binary does not have.
func runtimeMade() {
	s := reflect.StructOf([]reflect.StructField{
		{Name: "A", Type: reflect.TypeFor[[100]string](), Tag: `json:"a"`},
		{Name: "B", Type: reflect.TypeFor[*User]()},
	})
	m := reflect.MapOf(reflect.TypeFor[Code](), s)
	globalAnything = append(globalAnything, reflect.New(s).Interface(), reflect.MakeMap(m).Interface(),
		reflect.MakeSlice(reflect.SliceOf(s), 2, 2).Interface(), reflect.Zero(s).Interface(),
		reflect.New(reflect.ArrayOf(3, s)).Elem().Interface(),
		reflect.MakeChan(reflect.ChanOf(reflect.BothDir, s), 1).Interface(),
		reflect.Zero(reflect.FuncOf([]reflect.Type{s, m}, []reflect.Type{s}, false)).Interface())
}

// flusher is an interface that no static table is for.
type flusher interface {
	io.Writer
	Flush() error
}

// Report is what the tests compare the table with.
type Report struct {
	Types  []Type
	Ifaces []Iface
	// Parked is the address of a function, In a channel that its frames hold, and Next the closure of another.
	Parked, In, Next uint64
}

// Type is a type as package reflect has it. Word is the address of its descriptor.
type Type struct {
	Name, PkgPath string
	Kind          reflect.Kind
	Size, Word    uint64
	Elem, Key     string
	Len           int
	Fields        []Field
}

// Field is a field of a struct.
type Field struct {
	Name, Type string
	Offset     uint64
	Embedded   bool
}

// Iface is the first word of an interface and its dynamic type.
type Iface struct {
	Word uint64
	Name string
}

// words are those that an interface consists of.
func words(iface unsafe.Pointer) [2]uint64 { return *(*[2]uint64)(iface) }

func describe(r *Report, t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	var v any = t
	d := Type{Name: t.String(), PkgPath: t.PkgPath(), Kind: t.Kind(), Size: uint64(t.Size()), Word: words(unsafe.Pointer(&v))[1]}
	switch t.Kind() {
	case reflect.Map:
		d.Key = t.Key().String()
		describe(r, t.Key(), seen)
		fallthrough
	case reflect.Array, reflect.Chan, reflect.Pointer, reflect.Slice:
		d.Elem = t.Elem().String()
		describe(r, t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			d.Fields = append(d.Fields, Field{f.Name, f.Type.String(), uint64(f.Offset), f.Anonymous})
			describe(r, f.Type, seen)
		}
	}
	if t.Kind() == reflect.Array {
		d.Len = t.Len()
	}
	r.Types = append(r.Types, d)
}

// stringers and flushers hold values by tables that the runtime makes.
var (
	stringers []fmt.Stringer
	flushers  []flusher
)

//go:noinline
func dynamic(r *Report, v any) {
	r.Ifaces = append(r.Ifaces, Iface{words(unsafe.Pointer(&v))[0], reflect.TypeOf(v).String()})
	if s, ok := v.(fmt.Stringer); ok {
		stringers = append(stringers, s)
		r.Ifaces = append(r.Ifaces, Iface{words(unsafe.Pointer(&s))[0], reflect.TypeOf(v).String()})
	}
	if f, ok := v.(flusher); ok {
		flushers = append(flushers, f)
		r.Ifaces = append(r.Ifaces, Iface{words(unsafe.Pointer(&f))[0], reflect.TypeOf(v).String()})
	}
}

func main() {
	fill()
	var ready sync.WaitGroup
	in := make(chan *User)
	ready.Add(2)
	go park(&ready, in)
	go park(&ready, in)
	globalNext = counter("prefix", []*User{{}, {}})
	globalCount += len(globalNext())
	var r Report
	seen := make(map[reflect.Type]bool)
	for _, v := range globalAnything {
		describe(&r, reflect.TypeOf(v), seen)
		dynamic(&r, v)
	}
	dynamic(&r, bufio.NewWriter(io.Discard))
	dynamic(&r, globalSession)
	ready.Wait()
	parked, next := park, globalNext
	r.Parked = **(**uint64)(unsafe.Pointer(&parked))
	r.Next = *(*uint64)(unsafe.Pointer(&next))
	r.In = *(*uint64)(unsafe.Pointer(&in))
	runtime.GC()
	json.NewEncoder(os.Stdout).Encode(r)
	bufio.NewReader(os.Stdin).ReadString('\n')
	runtime.KeepAlive(in)
	fmt.Println(globalDebug, globalPoint, globalRows, globalBoxed)
}
