package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// begin begins a snapshot with a span of five objects of two words.
func begin(t *testing.T, out io.Writer) *Writer {
	t.Helper()
	w, err := NewWriter(out, Header{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Spans([]Span{{Start: pageBytes, Pages: 1, ElemSize: 16, Slots: 5, Live: []uint64{31}}}); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestSpansMustBe(t *testing.T) {
	for want, s := range map[string]Span{
		"overlaps":                      {Start: pageBytes, Pages: 1, ElemSize: 8},
		"does not begin with a page":    {Start: 3*pageBytes + 8, Pages: 1, ElemSize: 8},
		"0 pages":                       {Start: 3 * pageBytes, ElemSize: 8},
		"9007199254740992 pages":        {Start: 3 * pageBytes, Pages: 1 << 53, ElemSize: 8},
		"1 slots of 0 bytes":            {Start: 3 * pageBytes, Pages: 1, Slots: 1},
		"1 slots of 12 bytes":           {Start: 3 * pageBytes, Pages: 1, Slots: 1, ElemSize: 12},
		"1 slots of 8200 bytes":         {Start: 3 * pageBytes, Pages: 1, Slots: 1, ElemSize: 8200},
		"1025 slots of 8 bytes":         {Start: 3 * pageBytes, Pages: 1, Slots: 1025, ElemSize: 8},
		"2 words of live bits":          {Start: 3 * pageBytes, Pages: 1, Slots: 64, ElemSize: 8, Live: []uint64{1, 1}},
		"live bits beyond its 63 slots": {Start: 3 * pageBytes, Pages: 1, Slots: 63, ElemSize: 8, Live: []uint64{1 << 63}},
	} {
		w := begin(t, io.Discard)
		err := w.Spans([]Span{s})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
		if again := w.Types(make([]Type, 1)); !errors.Is(again, err) {
			t.Errorf("after %v: %v", err, again)
		}
	}
	// Spans without objects need no live bits.
	w := begin(t, io.Discard)
	if err := w.Spans([]Span{{Start: 3 * pageBytes, Pages: 1, Slots: 63, ElemSize: 8}}); err != nil {
		t.Error(err)
	}
}

// TestBlocksMustBe builds blocks in wrong order: what the Writer takes is right.
func TestBlocksMustBe(t *testing.T) {
	for want, build := range map[string]func(b *Block){
		"does not lie behind": func(b *Block) {
			b.Object(0, 0)
			b.Edge(Edge{Slot: 1})
			b.Edge(Edge{Slot: 1})
			b.End()
		},
		"outside a record":                    func(b *Block) { b.Edge(Edge{}) },
		"end outside a record":                func(b *Block) { b.End() },
		"within the record of":                func(b *Block) { b.Object(0, 0); b.Object(0, 0) },
		"begun within":                        func(b *Block) { b.Object(0, 0); b.Continue(5) },
		"a kind that there is not":            func(b *Block) { b.Object(0, 0); b.Edge(Edge{Evidence: 7}) },
		"a length that no object has":         func(b *Block) { b.Object(0, 0); b.Edge(Edge{Evidence: Length, Len: 1 << 63}) },
		"from record 2 on, where record 0":    func(b *Block) { b.Reset(2); b.Object(0, 0); b.End() },
		"from record 0 on, where record 0 is": func(b *Block) { b.Continue(0); b.End() },
	} {
		w := begin(t, io.Discard)
		var b Block
		build(&b)
		if err := w.Objects(&b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := w.Objects(new(Block)); err == nil {
			t.Error("the writer goes on after an error")
		}
	}
}

func TestCloseMustBe(t *testing.T) {
	var b Block
	b.Object(0, 0)
	for want, finish := range map[string]func(w *Writer) error{
		"0 complete records of 5": func(w *Writer) error { return w.Close(Summary{}) },
		"1 complete records of 5": func(w *Writer) error { return errors.Join(w.Objects(&b), w.Close(Summary{})) },
		"spans behind objects":    func(w *Writer) error { return errors.Join(w.Objects(&b), w.Spans(make([]Span, 1))) },
	} {
		if err := finish(begin(t, io.Discard)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	w, err := NewWriter(io.Discard, Header{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(Summary{ReadSeconds: math.NaN()}); err == nil {
		t.Error("NaN seconds")
	}
	if w, err = NewWriter(io.Discard, Header{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(Summary{PauseSeconds: math.Inf(1)}); err == nil {
		t.Error("an infinite pause")
	}
	if w, err = NewWriter(io.Discard, Header{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(Summary{}); err != nil {
		t.Error(err)
	}
	if err := w.Close(Summary{}); err == nil || !strings.Contains(err.Error(), "is complete") {
		t.Errorf("closed twice: %v", err)
	}
}

func TestTooManyObjects(t *testing.T) {
	w, err := NewWriter(io.Discard, Header{})
	if err != nil {
		t.Fatal(err)
	}
	w.objects = math.MaxUint32 - 3
	err = w.Spans([]Span{{Start: pageBytes, Pages: 1, ElemSize: 16, Slots: 5, Live: []uint64{31}}})
	if err == nil || !strings.Contains(err.Error(), "more than 4294967294 objects") {
		t.Errorf("%v", err)
	}
}

// narrow is a writer that fails after some bytes.
type narrow struct{ room int }

var errFull = errors.New("disk full")

func (n *narrow) Write(p []byte) (int, error) {
	if n.room -= len(p); n.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriteErrors(t *testing.T) {
	var whole bytes.Buffer
	write := func(out io.Writer) error {
		w, err := NewWriter(out, Header{})
		if err != nil {
			return err
		}
		var b Block
		for range 5 {
			b.Object(0, 0)
			b.End()
		}
		// Whoever does not look at errors before the end is told there.
		_ = w.Spans([]Span{{Start: pageBytes, Pages: 1, ElemSize: 16, Slots: 5, Live: []uint64{31}}})
		_ = w.Objects(&b)
		_ = w.Types([]Type{{Name: strings.Repeat("long", 1000)}})
		_ = w.Shapes(make([]Shape, 1<<9))
		return w.Close(Summary{})
	}
	if err := write(&whole); err != nil {
		t.Fatal(err)
	}
	for room := 0; room < whole.Len(); room += 7 {
		if err := write(&narrow{room}); !errors.Is(err, errFull) {
			t.Errorf("%d bytes of room for %d: %v", room, whole.Len(), err)
		}
	}
}

// TestManyChunks writes tables that do not fit into one chunk.
func TestManyChunks(t *testing.T) {
	c, random := randomContents(8, 2)
	for n := len(c.Functions); n < 30_000; n++ {
		c.Functions = append(c.Functions, Function{Name: fmt.Sprintf("%080d", n), File: "main.go", Line: uint32(n)})
	}
	c.Functions = append(c.Functions, Function{Name: strings.Repeat("y", maxRaw+1)}) // more than a compressed chunk holds
	for len(c.Weak) < 1_200_000 {
		c.Weak = append(c.Weak, Weak{ObjectID(len(c.Weak) % 7)})
	}
	data := c.write(t, random)
	chunks := make(map[kind]int)
	for _, c := range open(t, data).chunks {
		chunks[c.kind]++
		if c.flags&flagDeflate != 0 && uint64(c.raw) > maxRatio*c.stored {
			t.Errorf("%s: %d bytes compressed to %d", c.kind, c.raw, c.stored)
		}
	}
	if chunks[kindFunctions] < 3 || chunks[kindWeak] < 2 {
		t.Errorf("chunks %v, want several", chunks)
	}
	got, err := read(data)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Functions, c.Functions) || !slices.Equal(got.Weak, c.Weak) {
		t.Error("functions or weak pointers are not those that were written")
	}
}
