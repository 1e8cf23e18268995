package heaptest

import (
	"fmt"
	"io"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// The generators here write snapshots of any size and hold a few bytes for each span: for benchmarks.

// stream writes a snapshot of runs of objects whose edges follow from their numbers.
type stream struct {
	*Builder
	runs   []*run
	order  []*run // of each span
	shapes shapeTable
}

// run is the objects of one kind, allocated one after the other.
type run struct {
	object object
	words  []uint64
	shape  snapshot.ShapeID
	count  uint64
	first  []uint64 // number of the first object of each of its spans
	placed uint64
	// edges appends what object k points to, by slots.
	edges func(edges []snapshot.Edge, k uint64) []snapshot.Edge
}

// run adds a kind of objects: values of a type, side by side.
func (s *stream) run(t snapshot.TypeID, values uint64, edges func([]snapshot.Edge, uint64) []snapshot.Edge) *run {
	o := s.Values(t, values)
	r := &run{object: s.objects[o.n], edges: edges}
	s.objects = nil
	if !r.object.place.noscan {
		r.shape = s.shapes.of(s.Builder, &r.object, s.words(&r.object))
	}
	s.runs = append(s.runs, r)
	return r
}

// allocate places the next n objects of a run.
func (s *stream) allocate(r *run, n uint64) {
	for ; n > 0; n-- {
		if r.count%r.object.place.slots() == 0 {
			s.order = append(s.order, r)
			r.first = append(r.first, 0)
		}
		r.count++
	}
}

// id returns the number of object k of a run.
func (r *run) id(k uint64) snapshot.ObjectID {
	slots := r.object.place.slots()
	return snapshot.ObjectID(r.first[k/slots] + k%slots)
}

// base is where the values begin in an object.
func (r *run) base() uint64 {
	if r.object.place.header {
		return typeHeader
	}
	return 0
}

// to is a pointer in a word of the values to an object of a run.
func (r *run) to(word uint64, k uint64) snapshot.Edge {
	return snapshot.Edge{Slot: word, Target: r.id(k), Offset: r.base()}
}

// write writes the snapshot with roots.
func (s *stream) write(out io.Writer, roots func() []snapshot.Root) error {
	w, err := snapshot.NewWriter(out, s.Header)
	if err != nil {
		return fmt.Errorf("heaptest: %w", err)
	}
	for _, section := range []func() error{
		func() error { return s.writeSpans(w) },
		func() error { return s.writeRecords(w) },
		func() error { return w.Types(s.types[1:]) },
		func() error { return w.Functions(s.functions) },
		func() error { return w.Shapes(s.shapes.all) },
		func() error { return w.Goroutines(s.goroutines) },
		func() error { return w.Roots(roots()) },
		func() error { return w.Close(s.Summary) },
	} {
		if err := section(); err != nil {
			return fmt.Errorf("heaptest: %w", err)
		}
	}
	return nil
}

func (s *stream) writeSpans(w *snapshot.Writer) error {
	next, objects := uint64(heapStart), uint64(0)
	for _, r := range s.order {
		p := r.object.place
		n := min(p.slots(), r.count-r.placed)
		live := make([]uint64, (p.slots()+63)/64)
		for i := range n {
			live[i/64] |= 1 << (i % 64)
		}
		err := w.Spans([]snapshot.Span{{
			Start: next, Pages: p.pages, ElemSize: p.size, Slots: uint32(p.slots()), NoScan: p.noscan, Header: p.header, Live: live,
		}})
		if err != nil {
			return err
		}
		next += p.pages * pageBytes
		r.first[r.placed/p.slots()] = objects
		r.placed += n
		objects += n
	}
	return nil
}

func (s *stream) writeRecords(w *snapshot.Writer) error {
	for _, r := range s.runs {
		r.placed = 0
	}
	var block snapshot.Block
	var edges []snapshot.Edge
	record := uint64(0)
	for _, r := range s.order {
		n := min(r.object.place.slots(), r.count-r.placed)
		if r.object.place.noscan {
			r.placed += n
			continue
		}
		for range n {
			block.Object(r.shape, 0)
			edges = r.edges(edges[:0], r.placed)
			for _, e := range edges {
				e.Slot += r.base() / wordBytes
				block.Edge(e)
			}
			block.End()
			r.placed++
			record++
		}
		if block.Size() >= 1<<20 {
			if err := w.Objects(&block); err != nil {
				return err
			}
			block.Reset(record)
		}
	}
	return w.Objects(&block)
}

// WriteList writes a list of n nodes, at least one, each of which points to the next: as deep as a graph can be. A
// global variable main.list points to the first.
func WriteList(out io.Writer, n uint64) error {
	s := &stream{Builder: New(), shapes: shapeTable{ids: make(map[string]snapshot.ShapeID)}}
	node := s.Struct("main.Node", F("Next", s.Ptr("main.Node")), F("Value", s.Int()))
	var nodes *run
	nodes = s.run(node, 1, func(edges []snapshot.Edge, k uint64) []snapshot.Edge {
		if k+1 == n {
			return edges
		}
		return append(edges, nodes.to(0, k+1))
	})
	s.allocate(nodes, n)
	return s.write(out, func() []snapshot.Root {
		return []snapshot.Root{{Kind: snapshot.Global, Name: "main.list", Type: s.Ptr("main.Node"), Edges: []snapshot.Edge{nodes.to(0, 0)}}}
	})
}

// WriteDense writes n nodes, at least two, with so many pointers each, at least one: as a service's heap is where everything
// knows everything. The first pointer of a node leads to the next node, the others to any, every second of them to a field
// inside it. A global variable main.nodes points to the first.
func WriteDense(out io.Writer, n, pointers uint64) error {
	s := &stream{Builder: New(), shapes: shapeTable{ids: make(map[string]snapshot.ShapeID)}}
	inside := pointers / 2
	node := s.Struct("main.Node", F("ID", s.Int()), F("Value", s.Int()), F("Nodes", s.Array(pointers-inside, s.Ptr("main.Node"))),
		F("Values", s.Array(inside, s.PtrTo(s.Int()))))
	var nodes *run
	nodes = s.run(node, 1, func(edges []snapshot.Edge, k uint64) []snapshot.Edge {
		edges = append(edges, nodes.to(2, (k+1)%n))
		for i := uint64(1); i < pointers; i++ {
			e := nodes.to(2+i, scatter(k*pointers+i)%n)
			if i >= pointers-inside {
				e.Offset += wordBytes // that of Value
			}
			edges = append(edges, e)
		}
		return edges
	})
	s.allocate(nodes, n)
	return s.write(out, func() []snapshot.Root {
		return []snapshot.Root{{Kind: snapshot.Global, Name: "main.nodes", Type: s.Ptr("main.Node"), Edges: []snapshot.Edge{nodes.to(0, 0)}}}
	})
}

// scatter is SplitMix64's function: a number that looks random for each number.
func scatter(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// leavesPerSpan is how many objects WriteLeaves puts into a span: those of 8 MiB.
const leavesPerSpan = 1 << 20

// WriteLeaves writes n objects of eight bytes, at least one, without pointers, which nothing holds: eight objects to a byte
// of the file, more than which there cannot be.
func WriteLeaves(out io.Writer, n uint64) error {
	w, err := snapshot.NewWriter(out, New().Header)
	if err != nil {
		return fmt.Errorf("heaptest: %w", err)
	}
	for next := uint64(heapStart); n > 0; {
		slots := min(n, leavesPerSpan)
		live := make([]uint64, (slots+63)/64)
		for i := range slots {
			live[i/64] |= 1 << (i % 64)
		}
		pages := (slots*wordBytes + pageBytes - 1) / pageBytes
		err := w.Spans([]snapshot.Span{{Start: next, Pages: pages, ElemSize: wordBytes, Slots: uint32(slots), NoScan: true, Live: live}})
		if err != nil {
			return fmt.Errorf("heaptest: %w", err)
		}
		next += pages * pageBytes
		n -= slots
	}
	if err := w.Close(snapshot.Summary{}); err != nil {
		return fmt.Errorf("heaptest: %w", err)
	}
	return nil
}

// sessions is the graph that WriteSessions writes.
type sessions struct {
	*stream
	n, tables, perTable              uint64
	session, user, tags, item        *run
	id, name, mail, tag              *run
	header, directory, table, groups *run
	mapType                          snapshot.TypeID
}

const (
	sessionTags  = 3
	sessionSlots = maxTableSlots
)

// WriteSessions writes a service's heap: a global variable main.sessions, a map of n entries with string keys, each of
// which holds ten objects and twelve and a half pointers between them. A million give ten million objects.
func WriteSessions(out io.Writer, n uint64) error {
	s := &sessions{stream: &stream{Builder: New(), shapes: shapeTable{ids: make(map[string]snapshot.ShapeID)}}, n: n}
	s.tables = 1
	for n > s.tables*(sessionSlots*3/4) {
		s.tables *= 2
	}
	s.perTable = (n + s.tables - 1) / s.tables
	s.declare()
	for range n {
		s.allocate(s.session, 1)
		s.allocate(s.id, 1)
		s.allocate(s.user, 1)
		s.allocate(s.name, 1)
		s.allocate(s.mail, 1)
		s.allocate(s.tags, 1)
		s.allocate(s.tag, sessionTags)
		s.allocate(s.item, 1)
	}
	s.allocate(s.header, 1)
	s.allocate(s.directory, 1)
	s.allocate(s.table, s.tables)
	s.allocate(s.groups, s.tables)
	return s.write(out, func() []snapshot.Root {
		return []snapshot.Root{{
			Kind: snapshot.Global, Name: "main.sessions", Type: s.mapType, Edges: []snapshot.Edge{s.header.to(0, 0)},
		}}
	})
}

// declare defines types and edges.
func (s *sessions) declare() {
	b := s.Builder
	user := b.Struct("main.User", F("Name", b.String()), F("Mail", b.String()), F("Age", b.Int()), F("Score", b.Basic(snapshot.Float64)))
	item := b.Struct("main.Item", F("Owner", b.Ptr("main.Session")), F("Buyer", b.PtrTo(user)), F("Price", b.Int()), F("Count", b.Int()))
	session := b.Struct("main.Session", F("ID", b.String()), F("User", b.PtrTo(user)), F("Tags", b.Slice(b.String())),
		F("Item", b.PtrTo(item)), F("LastSeen", b.Basic(snapshot.Int64)), F("Requests", b.Int()))
	s.mapType = b.Map(b.String(), b.PtrTo(session))
	group := b.types[s.mapType].Group

	type edgeList = []snapshot.Edge
	s.id, s.name, s.mail, s.tag = s.run(b.Byte(), 32, nil), s.run(b.Byte(), 12, nil), s.run(b.Byte(), 20, nil), s.run(b.Byte(), 6, nil)
	s.session = s.run(session, 1, func(e edgeList, k uint64) edgeList {
		return append(e, s.id.to(0, k), s.user.to(2, k), s.tags.to(3, k), s.item.to(6, k))
	})
	s.user = s.run(user, 1, func(e edgeList, k uint64) edgeList { return append(e, s.name.to(0, k), s.mail.to(2, k)) })
	s.tags = s.run(b.String(), sessionTags, func(e edgeList, k uint64) edgeList {
		for i := range uint64(sessionTags) {
			e = append(e, s.tag.to(2*i, sessionTags*k+i))
		}
		return e
	})
	s.item = s.run(item, 1, func(e edgeList, k uint64) edgeList {
		e = append(e, s.session.to(0, k))
		if k%2 == 0 {
			e = append(e, s.user.to(1, k))
		}
		return e
	})
	s.header = s.run(b.MapHeader(), 1, func(e edgeList, _ uint64) edgeList { return append(e, s.directory.to(2, 0)) })
	s.directory = s.run(b.PtrTo(b.mapTable()), s.tables, func(e edgeList, _ uint64) edgeList {
		for i := range s.tables {
			e = append(e, s.table.to(i, i))
		}
		return e
	})
	s.table = s.run(b.mapTable(), 1, func(e edgeList, k uint64) edgeList { return append(e, s.groups.to(2, k)) })
	s.groups = s.run(group, sessionSlots/groupSlots, s.entries)
}

// entries are the edges of the groups of table k: to keys and elements. A group has a control word and eight slots of
// three words.
func (s *sessions) entries(e []snapshot.Edge, k uint64) []snapshot.Edge {
	for i := range min(s.perTable, s.n-min(s.n, k*s.perTable)) {
		word := i/groupSlots*(1+3*groupSlots) + 1 + i%groupSlots*3
		e = append(e, s.id.to(word, k*s.perTable+i), s.session.to(word+2, k*s.perTable+i))
	}
	return e
}
