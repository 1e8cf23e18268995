package retain

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/memwarden/memwarden/internal/sorting"
)

// ErrNoGraph is wrapped by the errors of ByType, PathTo and Held of an Analysis that was read from JSON.
var ErrNoGraph = errors.New("the analysis was read from JSON and has no graph: analyse the snapshot itself")

// ErrUnknownType is wrapped by the errors of ByType and PathTo for a name that no type has, or several have.
var ErrUnknownType = errors.New("no such type")

// Closer is a closer look at a type.
type Closer struct {
	Type Type `json:"type"`
	// Instances are the objects that retain most, at most 20.
	Instances []Instance `json:"instances"`
	// Paths are how the objects are held, of a sample of them, at most 20, the most frequent first.
	Paths []Path `json:"paths"`
	// SampledPaths is how many objects Paths was made of.
	SampledPaths uint64 `json:"sampled_paths"`
	// Allocations are where they were allocated, as far as the runtime sampled it, at most 10.
	Allocations []Allocation `json:"allocations"`
	// Holds are the types of what the objects hold, at most 10, those that retain most first.
	Holds []Type `json:"holds"`
}

// Instance is an object.
type Instance struct {
	Object        uint32   `json:"object"` // number in the snapshot
	ShallowBytes  uint64   `json:"shallow_bytes"`
	RetainedBytes uint64   `json:"retained_bytes"`
	Path          []string `json:"path"`
}

// Bounds of a closer look.
const (
	maxInstances   = 20
	maxPaths       = 20
	maxAllocations = 10
	closerSample   = 4096
)

// ByType looks closer at a type, by its name or a part of it that no other type's name ends with. It goes once through
// the heap. It is safe for concurrent use.
func (a *Analysis) ByType(name string) (*Closer, error) {
	g, err := a.objects(name)
	if err != nil {
		return nil, err
	}
	h := a.heap
	closer := &Closer{Type: Type{Name: h.types.names[g.number]}}
	inside, end := newCensus(len(h.types.names)), place(0)
	for p := range g.members() {
		closer.Type.Count++
		closer.Type.ShallowBytes += h.g.Size(h.node[p])
		if p >= end { // else it is part of another object of the type
			end = h.end[p]
			closer.Type.RetainedBytes += h.retained.at(p)
			inside.add(h, p)
		}
		closer.Instances = insertInstance(closer.Instances, Instance{
			Object: h.node[p], ShallowBytes: h.g.Size(h.node[p]), RetainedBytes: h.retained.at(p),
		})
	}
	for i := range closer.Instances {
		closer.Instances[i].Path = h.path(closer.Instances[i].Object)
	}
	closer.Holds = slices.DeleteFunc(inside.take(h), func(t Type) bool { return t.number == g.number })
	closer.Holds = cut(closer.Holds, 10)
	sampled := evenly(g, closerSample)
	closer.SampledPaths = uint64(len(sampled))
	closer.Paths = cut(h.merged(sampled), maxPaths)
	var samples []sample
	for _, s := range h.samples {
		if h.typ(s.place) == g.number {
			samples = append(samples, s)
		}
	}
	closer.Allocations = cut(h.allocations(samples), maxAllocations)
	return closer, nil
}

// PathTo returns how the objects of a type are held, of a sample of them, the most frequent paths first. The name is as
// with ByType.
func (a *Analysis) PathTo(name string) ([]Path, error) {
	g, err := a.objects(name)
	if err != nil {
		return nil, err
	}
	return a.heap.merged(evenly(g, closerSample)), nil
}

// objects are all objects of a type.
func (a *Analysis) objects(name string) (group, error) {
	h := a.heap
	if h == nil {
		return group{}, fmt.Errorf("retain: look at type %q: %w", name, ErrNoGraph)
	}
	number, err := h.resolve(name)
	if err != nil {
		return group{}, err
	}
	g := group{number: number, members: func() iter.Seq[place] {
		return func(yield func(place) bool) {
			for p := range place(h.len()) {
				if h.object(p) && h.typ(p) == number && !yield(p) {
					return
				}
			}
		}
	}}
	for range g.members() {
		g.count++
	}
	return g, nil
}

// insertInstance keeps the instances that retain most, in order.
func insertInstance(list []Instance, i Instance) []Instance {
	at, _ := slices.BinarySearchFunc(list, i, func(a, b Instance) int {
		return cmp.Or(cmp.Compare(b.RetainedBytes, a.RetainedBytes), cmp.Compare(a.Object, b.Object))
	})
	if at >= maxInstances {
		return list
	}
	list = slices.Insert(list, at, i)
	return list[:min(len(list), maxInstances)]
}

// resolve finds the type of a name.
func (h *heap) resolve(name string) (typeNumber, error) {
	used := make([]bool, len(h.types.names))
	for p := range place(h.len()) {
		if h.object(p) {
			used[h.typ(p)] = true
		}
	}
	if number, ok := h.types.ids[name]; ok && used[number] {
		return number, nil
	}
	var ending []typeNumber
	for number, of := range h.types.names {
		if used[number] && endsWith(of, name) {
			ending = append(ending, typeNumber(number))
		}
	}
	if len(ending) == 1 {
		return ending[0], nil
	}
	var names []string
	for _, number := range ending {
		names = append(names, h.types.names[number])
	}
	if len(names) > 0 {
		return 0, fmt.Errorf("retain: several types end with %q: %s: %w", name, proposals(names), ErrUnknownType)
	}
	for number, of := range h.types.names {
		if used[number] && near(of, name) {
			names = append(names, of)
		}
	}
	if len(names) == 0 {
		return 0, fmt.Errorf("retain: no object has a type %q: %w", name, ErrUnknownType)
	}
	return 0, fmt.Errorf("retain: no object has a type %q; there are %s: %w", name, proposals(names), ErrUnknownType)
}

// endsWith reports whether a type's name ends with another name, and what is before that is a package or a type of its
// own: Session in main.Session.
func endsWith(of, name string) bool {
	before, ok := strings.CutSuffix(of, name)
	return ok && name != "" && (before == "" || strings.ContainsRune("./", rune(before[len(before)-1])) && !strings.ContainsAny(before, "[*"))
}

// near reports whether a name could be meant: it is part of the other, whatever the case, or it has a slip or two.
func near(of, name string) bool {
	of, name = strings.ToLower(of), strings.ToLower(name)
	if len(name) >= 3 && strings.Contains(of, name) {
		return true
	}
	last := of[strings.LastIndexAny(of, "./")+1:]
	wanted := name[strings.LastIndexAny(name, "./")+1:]
	return wanted != "" && distance(last, wanted) <= 1+len(wanted)/5
}

// distance is the number of letters to insert, delete or replace (Levenshtein), for short names.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// proposals lists a few names, the shortest first.
func proposals(names []string) string {
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	if more := len(names) - 5; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), more)
	}
	return strings.Join(names, ", ")
}

// pins names what strings and slices keep beyond their length.
func (h *heap) pins() []Pin {
	var list []Pin
	at := make(map[[2]string]int) // where those of a holder and type are: each slot of a map's group is a field of its own
	for _, p := range h.g.Pins() {
		name := h.g.TypeName(p.Target)
		if name == "" {
			name = unknownType
		}
		i, known := at[[2]string{p.Holder, name}]
		if !known {
			i = len(list)
			at[[2]string{p.Holder, name}] = i
			list = append(list, Pin{Holder: p.Holder, Type: name})
		}
		list[i].Count += p.Objects
		list[i].UsedBytes += p.Used
		list[i].ObjectBytes += p.Bytes
	}
	sorting.StableBy(list, func(a, b Pin) int { return cmp.Compare(b.ObjectBytes-b.UsedBytes, a.ObjectBytes-a.UsedBytes) })
	return list
}
