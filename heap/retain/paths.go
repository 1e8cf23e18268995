package retain

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/memwarden/memwarden/internal/sorting"
)

const (
	// maxSteps bounds the steps of a path that are told; of a longer one, the middle is left out.
	maxSteps = 48
	// element is the step from an array, slice, map or channel to what is in it.
	element = "[…]"
	// key is the step from a map to its keys.
	key = "[key]"
	// repetition ends a step that is taken over and over, as from one element of a list to the next.
	repetition = "…"
	// omission stands for steps that are left out.
	omission = ".…"
)

// Path is how objects are held.
type Path struct {
	// Steps are the label of a root, then fields and elements: "main.cache", ".m", "[…]", ".User".
	Steps []string `json:"steps"`
	// Count is how many of the objects that were looked at are held along it.
	Count uint64 `json:"count"`
	// RetainedBytes is what these retain, each by itself.
	RetainedBytes uint64 `json:"retained_bytes"`
}

// String returns the path as one text: "main.cache.m[…].User".
func (p Path) String() string { return strings.Join(p.Steps, "") }

// route is a path as nodes: from a root, without the goroutine and the super root before it, to a node.
func (h *heap) route(node uint32) []uint32 {
	var nodes []uint32
	for super := h.g.Super(); node != super && node != nowhere; node = h.parents[node] {
		nodes = append(nodes, node)
	}
	slices.Reverse(nodes)
	if len(nodes) > 1 {
		if _, root := h.labels.of(nodes[0]); root && nodes[1] >= h.g.Objects() {
			nodes = nodes[1:]
		}
	}
	return nodes
}

// path returns the steps of a shortest path from a root to a node.
func (h *heap) path(node uint32) []string { return h.steps(h.route(node), h.find) }

// steps puts a route into words.
func (h *heap) steps(nodes []uint32, find func(from, to uint32) (edge uint32, ok bool)) []string {
	if len(nodes) == 0 {
		return nil
	}
	label := "unknown root"
	if id, ok := h.labels.of(nodes[0]); ok {
		label = h.labels.list[id].short()
	}
	steps := []string{label}
	skip := max(0, len(nodes)-1-4*maxSteps) // enough remain when repetitions have been folded
	for i := 1; i < len(nodes); i++ {
		if skip > 0 && i > 2*maxSteps && i <= 2*maxSteps+skip {
			if i == 2*maxSteps+skip {
				steps = append(steps, omission)
			}
			continue
		}
		if edge, ok := find(nodes[i-1], nodes[i]); ok {
			for step := range parts(h.step(nodes[i-1], edge)) {
				steps = appendStep(steps, step)
			}
		}
	}
	if len(steps) > maxSteps {
		half := maxSteps / 2
		steps = slices.Concat(steps[:half], []string{omission}, steps[len(steps)-half:])
	}
	return steps
}

// parts yields the fields and elements of a step: "[…].User.Tags" has three.
func parts(step string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for step != "" {
			_, first := utf8.DecodeRuneInString(step)
			end := strings.IndexAny(step[first:], ".[{+")
			if end < 0 {
				end = len(step) - first
			}
			if !yield(step[:first+end]) {
				return
			}
			step = step[first+end:]
		}
	}
}

// appendStep appends a step, and folds the third of the same kind and more.
func appendStep(steps []string, step string) []string {
	last := len(steps) - 1
	switch {
	case last >= 1 && steps[last] == step+repetition:
		return steps
	case last >= 1 && steps[last] == omission && steps[last-1] == step+repetition:
		return steps[:last]
	case last >= 2 && steps[last] == step && steps[last-1] == step:
		steps[last-1] = step + repetition
		return steps[:last]
	}
	return append(steps, step)
}

// find returns the first edge from a node to another.
func (h *heap) find(from, to uint32) (edge uint32, ok bool) {
	for edge := h.g.Starts[from]; edge < h.g.Starts[from+1]; edge++ {
		if h.g.Targets[edge] == to {
			return edge, true
		}
	}
	return 0, false
}

// edgeFinder finds edges of many routes, and goes only once through the edges of a node with very many.
type edgeFinder struct {
	h *heap
	// wide has, of nodes with many edges, the first edge to each node that was asked for in advance.
	wide   map[uint32]map[uint32]uint32
	budget int // routes may have so many nodes together
}

const (
	wideNode    = 256
	routeBudget = 4 << 20
)

// prepare notes which edges a route will need.
func (f *edgeFinder) prepare(nodes []uint32) {
	for i := 1; i < len(nodes); i++ {
		from, to := nodes[i-1], nodes[i]
		if f.h.g.Starts[from+1]-f.h.g.Starts[from] < wideNode {
			continue
		}
		if f.wide[from] == nil {
			f.wide[from] = make(map[uint32]uint32)
		}
		f.wide[from][to] = nowhere
	}
}

// look goes through the edges of wide nodes.
func (f *edgeFinder) look() {
	for from, wanted := range f.wide {
		missing := len(wanted)
		for edge := f.h.g.Starts[from]; edge < f.h.g.Starts[from+1] && missing > 0; edge++ {
			if found, asked := wanted[f.h.g.Targets[edge]]; asked && found == nowhere {
				wanted[f.h.g.Targets[edge]] = edge
				missing--
			}
		}
	}
}

func (f *edgeFinder) find(from, to uint32) (edge uint32, ok bool) {
	if wanted := f.wide[from]; wanted != nil {
		edge, ok = wanted[to]
		return edge, ok && edge != nowhere
	}
	return f.h.find(from, to)
}

// paths returns the paths to places, nil for some that are far from their roots if there are many.
func (h *heap) paths(places []place) [][]string {
	finder := edgeFinder{h: h, wide: make(map[uint32]map[uint32]uint32), budget: routeBudget}
	routes := make([][]uint32, len(places))
	for i, p := range places {
		route := h.route(h.node[p])
		if finder.budget -= len(route); finder.budget < 0 && i > 0 {
			break
		}
		finder.prepare(route)
		routes[i] = route
	}
	finder.look()
	paths := make([][]string, len(places))
	for i, route := range routes {
		paths[i] = h.steps(route, finder.find)
	}
	return paths
}

// merged returns the paths to some places, those in the same words as one, the most frequent first.
func (h *heap) merged(places []place) []Path {
	known := make(map[string]int)
	var list []Path
	for i, steps := range h.paths(places) {
		if steps == nil {
			continue
		}
		text := strings.Join(steps, "\x00")
		at, ok := known[text]
		if !ok {
			at = len(list)
			known[text] = at
			list = append(list, Path{Steps: steps})
		}
		list[at].Count++
		list[at].RetainedBytes += h.retained.at(places[i])
	}
	sorting.StableBy(list, func(a, b Path) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), slices.Compare(a.Steps, b.Steps))
	})
	return list
}
