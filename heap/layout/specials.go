package layout

import (
	"errors"
	"fmt"
)

// SpecialKind says what a special record is for.
type SpecialKind uint8

// The kinds of specials that matter for reachability; the runtime has more.
const (
	OtherSpecial     SpecialKind = iota
	FinalizerSpecial             // keeps alive what the object reaches, though not the object
	CleanupSpecial               // keeps its function and argument alive
	WeakSpecial                  // keeps its handle alive, but not the object
	ProfileSpecial               // joins a sampled object to its allocation stack
)

// Special is a record that the runtime keeps beside an object.
type Special struct {
	Span   int    // index into the spans
	Object uint64 // address of the slot
	Offset uint64 // in the slot: of a value in a block of tiny ones
	Kind   SpecialKind
	// Func is the address of a finalizer's or cleanup's funcval.
	Func uint64
	// Arg is the address of a cleanup's argument, and Adapter that of the funcval that passes it to Func, since 1.26;
	// before, both are in the closure.
	Arg, Adapter uint64
	// Handle is the address of the word that weak pointers share.
	Handle uint64
	// Bucket is the address of the profile record, for ProfileStack.
	Bucket uint64
}

const (
	// maxSpecials bounds the list of one span: a slot has a few at most.
	maxSpecials = 1 << 20
	// specialRead covers the payload of every kind that is decoded.
	specialRead = 56
	// maxFrames is runtime.maxProfStackDepth, with room.
	maxFrames = 4 << 10
	memBucket = 1 // runtime.memProfile
)

// Specials visits the special records of spans, which Spans returned, span after span in the order of the objects. An
// error of visit ends it and is returned.
func (r *Runtime) Specials(spans []Span, visit func(Special) error) error {
	for i := range spans {
		if spans[i].Specials == 0 || spans[i].Stack {
			continue
		}
		if err := r.spanSpecials(i, &spans[i], visit); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runtime) spanSpecials(index int, s *Span, visit func(Special) error) error {
	addr, last := s.Specials, uint64(0)
	for n := 0; addr != 0; n++ {
		if n == maxSpecials {
			return fmt.Errorf("specials of the span at %#x: the list does not end", s.Start)
		}
		b, err := r.readSpecial(addr)
		if err != nil {
			return fmt.Errorf("special at %#x of the span at %#x: %w", addr, s.Start, err)
		}
		offset := b.uint64(r.at.special.offset)
		if offset < last || offset/s.ElemSize >= s.Slots {
			return fmt.Errorf("special at %#x of the span at %#x: offset %d after %d", addr, s.Start, offset, last)
		}
		last = offset
		special := Special{Span: index, Object: s.Start + offset - offset%s.ElemSize, Offset: offset % s.ElemSize}
		r.payload(&special, b)
		addr = b.uint64(r.at.special.next)
		if err := visit(special); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runtime) readSpecial(addr uint64) (record, error) {
	n := uint64(specialRead)
	if !r.Mapped(addr, n) { // the last record of a mapping
		n = r.at.special.kind + wordSize
	}
	p, err := r.Bytes(addr, n)
	return record(p), err
}

func (r *Runtime) payload(s *Special, b record) {
	s.Kind = r.names.kinds[b.uint8(r.at.special.kind)]
	switch s.Kind {
	case FinalizerSpecial:
		s.Func = b.uint64(r.at.finalizing.fn)
	case CleanupSpecial:
		s.Func = b.uint64(r.at.cleaning.fn)
		s.Arg, s.Adapter = b.uint64(r.at.cleaning.arg), b.uint64(r.at.cleaning.call)
	case WeakSpecial:
		s.Handle = b.uint64(r.at.weak.handle)
	case ProfileSpecial:
		s.Bucket = b.uint64(r.at.profiled.bucket)
	case OtherSpecial:
	}
}

// ProfileStack returns the stack of an allocation, the innermost frame first. As with runtime.Callers they are return
// addresses, and an inlined call has one of its own: at each, less one, only the innermost logical frame counts.
func (r *Runtime) ProfileStack(bucket uint64) ([]uint64, error) {
	at := &r.at.bucket
	p, err := r.Bytes(bucket, at.size)
	if err != nil {
		return nil, fmt.Errorf("profile record at %#x: %w", bucket, err)
	}
	typ, n := record(p).uint64(at.typ), record(p).uint64(at.nstk)
	if typ != memBucket || n > maxFrames {
		return nil, fmt.Errorf("profile record at %#x: kind %d with %d frames", bucket, typ, n)
	}
	stack := make([]uint64, 0, n)
	err = r.eachWord(Slice{bucket + at.size, n}, func(pc uint64) error {
		if !r.isText(pc) && !r.Mapped(pc, 1) {
			return errors.New("a frame is not mapped")
		}
		stack = append(stack, pc)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("profile record at %#x: %w", bucket, err)
	}
	return stack, nil
}
