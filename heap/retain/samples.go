package retain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/sorting"
)

// sampleBytes is how many allocated bytes one sampled object stands for, if it is no larger itself: the runtime's
// default rate, runtime.MemProfileRate. Only the relation of large to small objects depends on it.
const sampleBytes = 512 << 10

// sample is a sampled object that is reached.
type sample struct {
	place place
	stack snapshot.StackID
}

// newSamples returns the samples by place.
func newSamples(h *heap) []sample {
	var list []sample
	for _, s := range h.g.Sampled {
		if uint32(s.Object) < h.g.Objects() && h.places[s.Object] != nowhere && int(s.Stack) < len(h.g.Stacks) {
			list = append(list, sample{h.places[s.Object], s.Stack})
		}
	}
	slices.SortFunc(list, func(a, b sample) int { return cmp.Compare(a.place, b.place) })
	return list
}

// Allocation is where objects were allocated.
type Allocation struct {
	// Stack has the frames, innermost first, those of the runtime left out: "main.newSession (server.go:88)".
	Stack []string `json:"stack"`
	// Share is its part of the sampled bytes, from 0 to 1.
	Share float64 `json:"share"`
	// Samples is how many objects were sampled there.
	Samples int `json:"samples"`
}

// allocations returns the stacks of sampled objects, those that stand for most bytes first.
func (h *heap) allocations(samples []sample) []Allocation {
	weights := make(map[snapshot.StackID]float64)
	counts := make(map[snapshot.StackID]int)
	total := 0.0
	for _, s := range samples {
		weight := float64(max(h.g.Size(h.node[s.place]), sampleBytes))
		weights[s.stack] += weight
		counts[s.stack]++
		total += weight
	}
	var list []Allocation
	known := make(map[string]int)
	for stack, weight := range weights {
		frames := h.frames(stack)
		if len(frames) == 0 {
			continue
		}
		key := strings.Join(frames, "\n")
		at, ok := known[key]
		if !ok {
			at = len(list)
			known[key] = at
			list = append(list, Allocation{Stack: frames})
		}
		list[at].Share += weight / total
		list[at].Samples += counts[stack]
	}
	sorting.By(list, func(a, b Allocation) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), slices.Compare(a.Stack, b.Stack))
	})
	return list
}

// frames puts a stack into words, without the runtime's functions that allocate for others.
func (h *heap) frames(id snapshot.StackID) []string {
	var list []string
	for _, frame := range h.g.Stacks[id].Frames {
		name := h.labels.function(frame.Func)
		if name == "" || len(list) == 0 && (strings.HasPrefix(name, "runtime.") || strings.HasPrefix(name, "internal/runtime/")) {
			continue
		}
		file := h.g.Functions[frame.Func].File
		if slash := strings.LastIndexByte(file, '/'); slash >= 0 {
			file = file[slash+1:]
		}
		list = append(list, fmt.Sprintf("%s (%s:%d)", name, file, frame.Line))
	}
	return list
}

// allocatedIn is the frame of a stack that explains most: the innermost that is not of the standard library, or else
// the innermost.
func allocatedIn(stack []string) string {
	for _, frame := range stack {
		if !standard(frame) {
			return frame
		}
	}
	if len(stack) > 0 {
		return stack[0]
	}
	return ""
}
