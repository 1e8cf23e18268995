package graph

import (
	"context"
	"errors"
	"fmt"
)

// Check is how inference did on objects whose type is known anyway.
type Check struct {
	Tried   int // objects looked at
	Decided int // those that only one type fits
	Wrong   int // of which it is not theirs
}

// ErrReleased is returned by CheckInference after ReleaseTyping.
var ErrReleased = errors.New("graph: what typing needs was released")

// CheckInference infers the types of up to sample objects whose type is known exactly, as if neither they nor what
// holds them had one, and compares. What they point to counts only as far as the runtime itself told its type, not
// where it was found by way of the very object. The sample is spread evenly over the heap. It must not run beside other
// methods.
func (g *Graph) CheckInference(ctx context.Context, sample int) (Check, error) {
	var c Check
	if g.clues == nil || g.clues.typer == nil {
		return c, ErrReleased
	}
	x := newInference(g.clues.typer)
	x.strict = true
	defer func() { x.strict = false }()
	fit := func(object uint32) bool {
		of := g.typing[object]
		kind := x.types.list[of.id()].kind
		return of.certainty() == Exact && kind <= array && g.reached.has(object) && g.forms[g.formOf[object]].small()
	}
	total := 0
	for object := range g.objects {
		if fit(object) {
			total++
		}
	}
	step := max(1, total/max(sample, 1))
	at := 0
	for object := range g.objects {
		if !fit(object) {
			continue
		}
		if at++; at%step != 0 || c.Tried == sample {
			continue
		}
		if c.Tried%1024 == 0 && ctx.Err() != nil {
			return c, fmt.Errorf("graph: %w", ctx.Err())
		}
		c.Tried++
		id, _ := x.decide(object, nil)
		if id == 0 {
			continue
		}
		c.Decided++
		if base := x.types.list[g.typing[object].id()].base; x.types.list[id].base != base {
			c.Wrong++
		}
	}
	return c, nil
}
