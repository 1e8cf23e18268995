package snapshot

import "fmt"

// each decodes the chunks of a kind. entry is called for each entry.
func (r *Reader) each(k kind, entry func(d *decoder) error) error {
	unfold := new(unfolder)
	for number := range r.chunks {
		c := &r.chunks[number]
		if c.kind != k {
			continue
		}
		d, err := r.decoder(number, unfold)
		if err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		for i := range c.count {
			err := entry(d)
			if d.err != nil {
				return fmt.Errorf("snapshot: %w", c.damaged(fmt.Errorf("entry %d: %w", i, d.err), number))
			}
			if err != nil {
				return err
			}
		}
		if d.left() != 0 {
			return fmt.Errorf("snapshot: %w", c.damaged(fmt.Errorf("%d bytes behind its last entry", d.left()), number))
		}
	}
	return nil
}

// all collects the entries of a kind behind those that are implied.
func all[T any](r *Reader, k kind, implied, total uint64, entry func(d *decoder, v *T)) ([]T, error) {
	list := make([]T, implied, total)
	err := r.each(k, func(d *decoder) error {
		list = append(list, *new(T))
		entry(d, &list[len(list)-1])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Types returns the table of types; a TypeID is a place in it. Beyond the references it is checked that values can be
// laid out: see CheckTypes.
func (r *Reader) Types() ([]Type, error) {
	types, err := all(r, kindTypes, 1, r.totals.Types, (*decoder).typ)
	if err != nil {
		return nil, err
	}
	if err := CheckTypes(types); err != nil {
		return nil, fmt.Errorf("snapshot: %w: %w", ErrDamaged, err)
	}
	return types, nil
}

// Functions returns the table of functions; a FuncID is a place in it.
func (r *Reader) Functions() ([]Function, error) {
	return all(r, kindFunctions, 1, r.totals.Functions, (*decoder).function)
}

// Shapes returns the table of shapes; a ShapeID is a place in it.
func (r *Reader) Shapes() ([]Shape, error) {
	return all(r, kindShapes, 1, r.totals.Shapes, (*decoder).shape)
}

// Stacks returns the table of allocation stacks; a StackID is a place in it.
func (r *Reader) Stacks() ([]Stack, error) {
	return all(r, kindStacks, 1, r.totals.Stacks, func(d *decoder, s *Stack) { s.Frames = d.frames() })
}

// Goroutines returns the goroutines.
func (r *Reader) Goroutines() ([]Goroutine, error) {
	return all(r, kindGoroutines, 0, r.totals.Goroutines, (*decoder).goroutine)
}

// Weak returns the weak pointers.
func (r *Reader) Weak() ([]Weak, error) {
	return all(r, kindWeak, 0, r.totals.Weak, func(d *decoder, w *Weak) { w.Object = d.object() })
}

// Sampled returns the objects of which it is known where they were allocated.
func (r *Reader) Sampled() ([]Sampled, error) {
	return all(r, kindSampled, 0, r.totals.Sampled, func(d *decoder, s *Sampled) {
		s.Object = d.object()
		s.Stack = StackID(d.below(r.totals.Stacks, "stack"))
		s.Type = d.typeID()
	})
}

// Roots returns the roots. There may be millions of them; EachRoot holds one at a time.
func (r *Reader) Roots() ([]Root, error) {
	list := make([]Root, 0, r.totals.Roots)
	err := r.EachRoot(func(_ int, root *Root) error {
		list = append(list, *root)
		root.Edges = nil
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// EachRoot calls visit for each root, with its place among them, until it returns an error, which EachRoot returns. The
// root and its edges are used again after the call; who keeps the edges sets root.Edges to nil.
func (r *Reader) EachRoot(visit func(i int, root *Root) error) error {
	frames := make([]uint32, 0, r.totals.Goroutines)
	var g Goroutine
	err := r.each(kindGoroutines, func(d *decoder) error {
		d.goroutine(&g)
		frames = append(frames, uint32(len(g.Frames)))
		return nil
	})
	if err != nil {
		return err
	}
	var root Root
	i := 0
	return r.each(kindRoots, func(d *decoder) error {
		d.root(&root, frames)
		if d.err != nil {
			return nil
		}
		if err := r.checkOffsets(d, &root); err != nil || d.err != nil {
			return err
		}
		i++
		return visit(i-1, &root)
	})
}

// checkOffsets holds offsets and lengths of a root's edges against the sizes of the objects.
func (r *Reader) checkOffsets(d *decoder, root *Root) error {
	l, err := r.located()
	if err != nil {
		return err
	}
	for i := range root.Edges {
		e := &root.Edges[i]
		if e.Offset == 0 && e.Evidence != Length {
			continue
		}
		if size := l.spans[l.spanOf(e.Target)].ElemSize; e.Offset >= size || e.Len > size || e.Cap > size {
			d.failf("offset %d, length %d and capacity %d in object %d of %d bytes", e.Offset, e.Len, e.Cap, e.Target, size)
			return nil
		}
	}
	return nil
}
