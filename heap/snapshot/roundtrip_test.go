package snapshot

import (
	"fmt"
	"reflect"
	"testing"
)

// normal gives empty lists one form, and fills in what the writer counts.
func (c *contents) normal() *contents {
	n := *c
	n.Summary.Objects, n.Summary.Edges, n.Summary.AllocatedBytes = 0, 0, 0
	for i := range n.Spans {
		live := liveObjects(&n.Spans[i])
		n.Summary.Objects += live
		n.Summary.AllocatedBytes += live * n.Spans[i].ElemSize
	}
	for _, r := range n.Records {
		n.Summary.Edges += uint64(len(r.Edges))
	}
	return &n
}

// difference names a section in which two contents differ.
func difference(a, b *contents) string {
	x, y := reflect.ValueOf(*a.normal()), reflect.ValueOf(*b.normal())
	for i := range x.NumField() {
		if text := fmt.Sprintf("%+v", x.Field(i)); text != fmt.Sprintf("%+v", y.Field(i)) {
			return fmt.Sprintf("%s:\n%.2000s\n%.2000s", x.Type().Field(i).Name, text, fmt.Sprintf("%+v", y.Field(i)))
		}
	}
	return ""
}

func TestRoundTrip(t *testing.T) {
	for seed := range uint64(60) {
		c, random := randomContents(seed, 8)
		got, err := read(c.write(t, random))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d := difference(c, got); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
	}
}

// TestTotals holds what is known before anything is decoded against what is there.
func TestTotals(t *testing.T) {
	c, random := randomContents(3, 8)
	data := c.write(t, random)
	r := open(t, data)
	rootEdges, frames, stackFrames := 0, 0, 0
	for _, root := range c.Roots {
		rootEdges += len(root.Edges)
	}
	for _, g := range c.Goroutines {
		frames += len(g.Frames)
	}
	for _, s := range c.Stacks {
		stackFrames += len(s.Frames)
	}
	n := c.normal().Summary
	want := Totals{
		Objects: n.Objects, Spans: uint64(len(c.Spans)), Blocks: r.Totals().Blocks, Records: uint64(len(c.Records)), Edges: n.Edges,
		Types: uint64(len(c.Types)), Functions: uint64(len(c.Functions)), Shapes: uint64(len(c.Shapes)),
		Stacks: uint64(len(c.Stacks)), StackFrames: uint64(stackFrames), Roots: uint64(len(c.Roots)), RootEdges: uint64(rootEdges),
		Goroutines: uint64(len(c.Goroutines)), Frames: uint64(frames), Weak: uint64(len(c.Weak)), Sampled: uint64(len(c.Sampled)),
	}
	if got := r.Totals(); got != want {
		t.Errorf("totals\n%+v, want\n%+v", got, want)
	}
	records, edges, bytes := uint64(0), uint64(0), uint64(0)
	for i := range r.Totals().Blocks {
		b := r.BlockInfo(i)
		first := records
		if b.Continued {
			first--
		}
		if b.First != first || b.FirstEdge != edges || b.Bytes == 0 {
			t.Errorf("block %d: %+v behind %d records and %d edges", i, b, records, edges)
		}
		records, edges, bytes = records+b.Records, edges+b.Edges, bytes+b.Bytes
	}
	if records != want.Records || edges != want.Edges || bytes > uint64(len(data)) {
		t.Errorf("%d records and %d edges in all blocks, want %d and %d", records, edges, want.Records, want.Edges)
	}
}
