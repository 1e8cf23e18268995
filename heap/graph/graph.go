package graph

import (
	"sort"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// Options are those of Load. The zero value is fine.
type Options struct {
	// Progress is called now and then by one goroutine at a time, with a stage ("load", "reach", "type", "infer") and
	// how much of it is done, in a unit of the stage's own. It must be quick.
	Progress func(stage string, done, total uint64)
	// Workers decode the file; 0 means as many as there are processors, at most 4.
	Workers int
	// WithoutTypes leaves types and pins out: they cost about a third of the time.
	WithoutTypes bool
}

// Graph is the heap of a snapshot. Its nodes are the objects, by snapshot.ObjectID, then one for each root, one for
// each goroutine, and last the super root, which points to goroutines and to roots that belong to none. A goroutine
// points to its roots, a root to the objects that it keeps.
//
// It takes about 11 bytes an object and 6 a pointer, and while it is loaded hardly more. Once loaded it is read-only and
// safe for concurrent use, but for ReleaseTyping and CheckInference.
type Graph struct {
	// Starts and Targets are the edges by source: those of node n are Targets[Starts[n]:Starts[n+1]]. Callers must not
	// change them.
	Starts, Targets []uint32

	Header     snapshot.Header
	Summary    snapshot.Summary
	Roots      []snapshot.Root // without their edges, which are those of their nodes
	Goroutines []snapshot.Goroutine
	Functions  []snapshot.Function
	Weak       []snapshot.Weak
	Sampled    []snapshot.Sampled
	Stacks     []snapshot.Stack

	objects uint32
	spans   spans
	formOf  []uint16
	forms   []form
	slots   []uint16 // low bits of each edge's slot
	// jumps are the edges whose slot's high bits are not those of the edge before, or of 0 at a node's first.
	jumps   []uint32
	highs   []uint32 // the high bits from there on
	offsets ranked   // bytes between the first element and what the edge points to; missing if 0
	reached bitset

	reachedObjects, reachedBytes uint64
	typing                       []typing // of objects
	kinds                        *objectTypes
	canonical                    []uint32 // one number for made types of the same name
	clues                        *clues   // nil after ReleaseTyping
	stats                        Stats
	pins                         []Pin
}

// clues are what only typing needs.
type clues struct {
	dynamic  ranked // edge to the dynamic type of the interface that it is part of
	lengths  ranked // edge to the length behind it
	closures []closureOf
	typer    *typer
}

// closureOf tells that an object begins with the entry of a function.
type closureOf struct {
	object uint32
	fn     snapshot.FuncID
}

// Objects is the number of objects; they are the nodes from 0.
func (g *Graph) Objects() uint32 { return g.objects }

// Nodes is the number of nodes. The last is the super root.
func (g *Graph) Nodes() uint32 { return uint32(len(g.Starts) - 1) }

// Super is the node that everything alive is reached from.
func (g *Graph) Super() uint32 { return g.Nodes() - 1 }

// RootNode is the node of Roots[i].
func (g *Graph) RootNode(i int) uint32 { return g.objects + uint32(i) }

// GoroutineNode is the node of Goroutines[i].
func (g *Graph) GoroutineNode(i int) uint32 { return g.objects + uint32(len(g.Roots)) + uint32(i) }

// NodeKind is what a node stands for.
type NodeKind uint8

// The kinds of nodes.
const (
	ObjectNode NodeKind = iota
	RootNode
	GoroutineNode
	SuperNode
)

// Kind tells what a node stands for, and its place among those: an ObjectID, or a place in Roots or Goroutines.
func (g *Graph) Kind(node uint32) (NodeKind, uint32) {
	if node < g.objects {
		return ObjectNode, node
	}
	node -= g.objects
	if node < uint32(len(g.Roots)) {
		return RootNode, node
	}
	node -= uint32(len(g.Roots))
	if node < uint32(len(g.Goroutines)) {
		return GoroutineNode, node
	}
	return SuperNode, 0
}

// Size is the size of an object's slot in bytes; 0 for other nodes.
func (g *Graph) Size(node uint32) uint64 {
	if node >= g.objects {
		return 0
	}
	if size := g.forms[g.formOf[node]].size; size != 0 {
		return size
	}
	return g.spans.list[g.spans.find(node)].ElemSize
}

// Addr is where an object's slot begins in the process. It costs some steps through the object's span.
func (g *Graph) Addr(object uint32) uint64 { return g.spans.address(object) }

// ObjectAt is the object that an address of the process lies in, and how many bytes behind the beginning of its first
// element; false if there is none. It costs as much as Addr.
func (g *Graph) ObjectAt(address uint64) (object uint32, offset uint64, ok bool) {
	object, offset, ok = g.spans.at(address)
	if ok && g.Span(object).Header {
		offset -= min(offset, headerBytes)
	}
	return object, offset, ok
}

// Span is the span of an object.
func (g *Graph) Span(object uint32) snapshot.Span { return g.spans.list[g.spans.find(object)] }

// NoScan reports whether an object holds no pointers.
func (g *Graph) NoScan(object uint32) bool {
	return g.spans.list[g.spans.find(object)].NoScan
}

// Reached reports whether a node is reached from the super root.
func (g *Graph) Reached(node uint32) bool { return g.reached.has(node) }

// ReachedObjects is the number of objects that are reached from the super root.
func (g *Graph) ReachedObjects() uint64 { return g.reachedObjects }

// ReachedBytes is the size of their slots.
func (g *Graph) ReachedBytes() uint64 { return g.reachedBytes }

// Edge is a pointer out of a node.
type Edge struct {
	Target uint32
	// Slot is the word of the source that holds the pointer, from the beginning of its first element: behind the type
	// word that some objects begin with.
	Slot uint64
	// Offset is where it points to, in bytes from the beginning of the target's first element.
	Offset uint64
}

// Edge returns edge e of a node, with Starts[node] <= e < Starts[node+1].
func (g *Graph) Edge(node, e uint32) Edge {
	offset, _ := g.offsets.get(e)
	return Edge{Target: g.Targets[e], Slot: g.slot(node, e), Offset: uint64(offset)}
}

// slot returns the slot of an edge of a node.
func (g *Graph) slot(node, e uint32) uint64 {
	low := uint64(g.slots[e])
	if len(g.jumps) == 0 {
		return low
	}
	at := sort.Search(len(g.jumps), func(i int) bool { return g.jumps[i] > e }) - 1
	if at >= 0 && g.jumps[at] >= g.Starts[node] {
		return uint64(g.highs[at])<<16 | low
	}
	return low
}

// firstJump returns the place of the first jump at an edge or behind it.
func (g *Graph) firstJump(e uint32) int {
	return sort.Search(len(g.jumps), func(i int) bool { return g.jumps[i] >= e })
}

// ReleaseTyping lets go of what only CheckInference needs.
func (g *Graph) ReleaseTyping() { g.clues = nil }
