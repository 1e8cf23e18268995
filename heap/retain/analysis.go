package retain

import (
	"github.com/memwarden/memwarden/heap/snapshot"
)

// Analysis is what a heap snapshot says. Encoded as JSON and read back it serves for Diff, but no more for ByType,
// PathTo and Held, which need the graph.
//
// Sizes of objects are those of their slots: what the allocator gives, a little more than what was asked for. Counts and
// sizes are of reached objects but for Objects and Bytes, which include garbage that was not yet collected.
type Analysis struct {
	GoVersion    string          `json:"go_version"`
	OS           string          `json:"os"`
	Arch         string          `json:"arch"`
	Executable   string          `json:"executable"`
	BuildID      string          `json:"build_id,omitempty"`
	PID          int64           `json:"pid"`
	TakenAt      int64           `json:"taken_at_unix_nanoseconds"`
	Method       snapshot.Method `json:"method"`
	PauseSeconds float64         `json:"pause_seconds"`
	// RSSBytes is the resident memory of the process, -1 if unknown. What of it is neither heap nor stacks the program
	// holds outside of the heap: code, cgo, mappings, free heap.
	RSSBytes   int64  `json:"rss_bytes"`
	StackBytes uint64 `json:"stack_bytes"`

	Objects        uint64 `json:"objects"` // allocated, reached or not
	Bytes          uint64 `json:"bytes"`   // of them
	ReachedObjects uint64 `json:"reached_objects"`
	ReachedBytes   uint64 `json:"reached_bytes"`
	// ReachedRatio is the share of Bytes that was reached. The rest is garbage that was not yet collected.
	ReachedRatio float64 `json:"reached_ratio"`
	Edges        uint64  `json:"edges"` // pointers between allocated objects
	// RuntimeLiveBytes is what the last completed collection marked, and LiveRatio what was reached of it: about 1 in a
	// process at rest. It is 0 where the former is unknown.
	RuntimeLiveBytes uint64  `json:"runtime_live_bytes"`
	LiveRatio        float64 `json:"live_ratio"`
	// TypedRatio is the share of ReachedBytes whose type is known, exactly or inferred; InferredRatio that of the
	// inferred alone.
	TypedRatio    float64 `json:"typed_ratio"`
	InferredRatio float64 `json:"inferred_ratio"`

	// Suspects are the places that hold most, those that retain most first.
	Suspects []Suspect `json:"suspects"`
	// Types are those that retain most first.
	Types []Type `json:"types"`
	// TypeCount is how many types there are; Types may have been cut to a bound.
	TypeCount int `json:"type_count"`
	// Roots are variables and other places outside of the heap, those that retain most first.
	Roots     []Root `json:"roots"`
	RootCount int    `json:"root_count"` // those of one kind and name as one
	// Shared are objects that no single root or goroutine retains, by their types: several hold them.
	Shared []Shared `json:"shared"`
	// Goroutines are grouped by what they run and wait for; those that retain most first, then the largest groups.
	Goroutines     []Goroutine `json:"goroutines"`
	GoroutineCount int         `json:"goroutine_count"`
	// Pins are strings and slices that keep much more than they use.
	Pins     []Pin    `json:"pins"`
	Warnings []string `json:"warnings"`

	heap *heap // nil if it was decoded
}

// Type is a type of objects.
type Type struct {
	Name         string `json:"name"`          // "main.Session"
	Count        uint64 `json:"count"`         // reached objects
	ShallowBytes uint64 `json:"shallow_bytes"` // of the objects themselves
	// RetainedBytes is the sum of what each object retains, without those that another object of the type retains:
	// nothing counts twice.
	RetainedBytes uint64 `json:"retained_bytes"`

	number typeNumber
}

// Suspect is a place that holds much: one object that many smaller ones hang from, or many objects of a type that are
// held in the same way.
type Suspect struct {
	// Sentence says it all in plain words.
	Sentence string `json:"sentence"`
	// Type is what is held, Count how many objects of it, and RetainedBytes what they retain together.
	Type          string `json:"type"`
	Count         uint64 `json:"count"`
	RetainedBytes uint64 `json:"retained_bytes"`
	// Share is RetainedBytes in all reached bytes, from 0 to 1.
	Share float64 `json:"share"`
	// Path leads from a root to the objects: the root's label first, then fields and elements.
	Path []string `json:"path"`
	// PathShare is the share of the objects that this path leads to, from 0 to 1; others are held along other paths.
	PathShare float64 `json:"path_share"`
	// Holders are who holds the objects together, if no single root retains them.
	Holders []Holder `json:"holders,omitempty"`
	// AllocStack is where most of the bytes were allocated, innermost frame first, as far as the runtime sampled it.
	AllocStack []string `json:"alloc_stack"`
	// AllocShare is the share of the sampled bytes that have this stack, from 0 to 1.
	AllocShare float64 `json:"alloc_share"`
	// Consumers are the types that hold most within the suspect.
	Consumers []Type `json:"consumers"`
	// Signature is the same in other snapshots of the same program, also of another build: it is made of names of the
	// root, fields and types, not of addresses, counts or lines. A stripped program has no names of variables: its
	// signatures are the same among its stripped builds, as far as the types on the path could be inferred in each, but not
	// those of the program with its symbols, unless a goroutine or a finalizer is the root; and what several variables hold in
	// the same way has one signature there.
	Signature string `json:"signature"`
}

// Root is a place outside of the heap that holds objects.
type Root struct {
	Kind string `json:"kind"` // "global", "stack", "finalizer", …
	Name string `json:"name"`
	// RetainedBytes is what would be freed if the root were cleared.
	RetainedBytes uint64 `json:"retained_bytes"`
	// SharedBytes is what the root and others hold directly: no part of RetainedBytes, and counted with each of them.
	SharedBytes uint64 `json:"shared_bytes"`
	// Count is how many roots have this kind and name: variables of the same function in many goroutines, for example.
	Count        uint64 `json:"count"`
	Conservative bool   `json:"conservative,omitempty"` // it may be no pointer at all
}

// Shared are the objects of one type that several roots or goroutines hold, so that no single one retains them.
type Shared struct {
	Type          string   `json:"type"`
	Count         uint64   `json:"count"`
	RetainedBytes uint64   `json:"retained_bytes"`
	HolderCount   int      `json:"holder_count"`
	Holders       []Holder `json:"holders"` // those that hold most of the objects first
}

// Holder holds some of a group of objects.
type Holder struct {
	Kind  string `json:"kind"`  // of a root, "goroutine", or "object" of one that is shared itself
	Name  string `json:"name"`  // label of a root or goroutine, or the type of the object
	Count uint64 `json:"count"` // pointers from it, and from what it retains, to objects of the group
}

// Goroutine is a group of goroutines that run the same function and are in the same state.
type Goroutine struct {
	// Function is the innermost one that is not of the standard library; where there is none, the one that the goroutine
	// began with.
	Function  string `json:"function"`
	State     string `json:"state"`
	CreatedBy string `json:"created_by,omitempty"`
	Count     uint64 `json:"count"`
	// RetainedBytes is what is held by one of the goroutines alone, summed up.
	RetainedBytes uint64 `json:"retained_bytes"`
	SharedBytes   uint64 `json:"shared_bytes"` // as with Root
}

// Pin is a string or slice that keeps a much larger object alive than it uses.
type Pin struct {
	Holder      string `json:"holder"` // path or type of what holds it
	Type        string `json:"type"`   // of the object that it keeps
	Count       uint64 `json:"count"`  // objects kept in this way
	UsedBytes   uint64 `json:"used_bytes"`
	ObjectBytes uint64 `json:"object_bytes"`
}
