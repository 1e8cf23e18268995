package functab

import (
	"cmp"
	"slices"
	"sort"
)

// minPointer is the least address that may be a pointer (runtime.minLegalPointer).
const minPointer = 4096

// follow finds which stack objects are alive: those that pointers in frames lead to, or pointers in live ones. Those
// that only words lead to that may be pointers come last, so that none is held for a guess that is not.
func (w *walker) follow() {
	if !slices.IsSortedFunc(w.objects, compareObjects) {
		slices.SortFunc(w.objects, compareObjects)
	}
	for i := range w.frames {
		r := &w.frames[i]
		w.frameWords(i, func(_, value uint64) { w.point(value, r.conservative) })
	}
	if w.rest != 0 {
		w.between(w.rest, w.stack.high, func(_, value uint64) { w.point(value, true) })
	}
	for {
		var addr uint64
		how := followed
		if n := len(w.precise); n > 0 {
			addr, w.precise = w.precise[n-1], w.precise[:n-1]
		} else if n := len(w.guessed); n > 0 {
			addr, w.guessed = w.guessed[n-1], w.guessed[:n-1]
			how = followedByGuess
		} else {
			return
		}
		if o := w.object(addr); o != nil && o.follow == unfollowed {
			o.follow = how
			w.masked(o.addr, o.of.mask, func(_, value uint64) { w.point(value, how == followedByGuess) })
		}
	}
}

func compareObjects(a, b object) int { return cmp.Compare(a.addr, b.addr) }

// object returns the stack object that an address lies in, nil if in none.
func (w *walker) object(addr uint64) *object {
	i := sort.Search(len(w.objects), func(i int) bool { return w.objects[i].addr > addr }) - 1
	if i < 0 || addr-w.objects[i].addr >= w.objects[i].of.size {
		return nil
	}
	return &w.objects[i]
}

// point notes a word that points into the stack.
func (w *walker) point(value uint64, guess bool) {
	switch {
	case !w.stack.holds(value):
	case guess:
		w.guessed = append(w.guessed, value)
	default:
		w.precise = append(w.precise, value)
	}
}

// frameWords gives the words of a frame that are pointers, or may be, but for those in its stack objects.
func (w *walker) frameWords(i int, give func(addr, value uint64)) {
	r := &w.frames[i]
	a := &w.table.arch
	s := r.site
	args := r.cfa + a.minFrame
	if r.conservative {
		end := r.cfa
		if s.fn.role == interrupted || s.fn.role == sigpanic {
			end += a.injected
		}
		w.between(r.sp, end, give)
		if s.fn.args > 0 {
			w.between(max(args, end), args+uint64(s.fn.args), give)
		}
		return
	}
	if s.dead {
		return
	}
	if n := uint64(s.locals.words); n > 0 {
		w.masked(r.sp+s.varp-n*wordSize, s.locals, give)
	}
	m := s.args
	if stub, ok := w.stubs[i]; ok {
		m = stub
	}
	w.masked(args, m, give)
}

// between gives all words that may be pointers.
func (w *walker) between(from, to uint64, give func(addr, value uint64)) {
	for to = min(to, w.stack.high); from < to; from += wordSize {
		if value := w.stack.word(from); value >= minPointer {
			give(from, value)
		}
	}
}

// masked gives the words that a mask says are pointers, but for nil.
func (w *walker) masked(from uint64, m mask, give func(addr, value uint64)) {
	for i, bits := range m.bits {
		for word := i * 8; bits != 0 && word < m.words; word, bits = word+1, bits>>1 {
			if bits&1 == 0 {
				continue
			}
			addr := from + uint64(word)*wordSize
			if value := w.stack.word(addr); value >= minPointer {
				give(addr, value)
			}
		}
	}
}

// remainderPart is how much of what could not be unwound is visited at a time.
const remainderPart = 64 << 10

// emit visits what was found.
func (w *walker) emit(from start, visit func(Frame) error) error {
	for _, part := range []Frame{
		{Kind: Registers, Words: w.registers, Conservative: true},
		{Kind: Context, Words: w.context, Conservative: from.trapped || from.guess},
	} {
		if len(part.Words) == 0 {
			continue
		}
		if err := visit(part); err != nil {
			return err
		}
	}
	if from.guess && w.rest != w.stack.low {
		// What the goroutine did since it was saved may lie below.
		if err := w.emitRange(w.stack.low, from.sp, visit); err != nil {
			return err
		}
	}
	if err := w.emitFrames(visit); err != nil {
		return err
	}
	if w.rest != 0 {
		if err := w.emitRange(w.rest, w.stack.high, visit); err != nil {
			return err
		}
	}
	if len(w.deferred) == 0 {
		return nil
	}
	return visit(Frame{Kind: Deferred, Words: w.deferred})
}

// emitRange visits a part of the stack that belongs to no frame.
func (w *walker) emitRange(from, to uint64, visit func(Frame) error) error {
	for ; from < to; from += remainderPart {
		end := min(to, from+remainderPart)
		w.words = w.words[:0]
		w.between(from, end, w.keep)
		if err := visit(Frame{Kind: Remainder, SP: from, CFA: end, Words: w.words, Conservative: true}); err != nil {
			return err
		}
	}
	return nil
}

// keep adds a word to those of the current frame.
func (w *walker) keep(addr, value uint64) {
	if !w.stack.holds(value) {
		w.words = append(w.words, Word{addr, value})
	}
}

// emitFrames visits the frames of functions. The objects of a frame follow those of the frames inside it.
func (w *walker) emitFrames(visit func(Frame) error) error {
	keep := w.keep
	next := 0
	for i := range w.frames {
		r := &w.frames[i]
		w.words = w.words[:0]
		w.frameWords(i, keep)
		first, guessed := next, false
		for ; next < len(w.objects) && w.objects[next].frame <= int32(i); next++ {
			switch o := &w.objects[next]; o.follow {
			case followed:
				w.masked(o.addr, o.of.mask, keep)
			case followedByGuess:
				guessed = true
			case unfollowed:
			}
		}
		if next > first {
			w.sortWords()
		}
		frame := Frame{Func: r.site.fn.public(), PC: r.pc, SP: r.sp, CFA: r.cfa, Words: w.words, Conservative: r.conservative}
		if err := visit(frame); err != nil {
			return err
		}
		if !guessed {
			continue
		}
		w.words = w.words[:0]
		for _, o := range w.objects[first:next] {
			if o.follow == followedByGuess {
				w.masked(o.addr, o.of.mask, keep)
			}
		}
		frame.PC, frame.Words, frame.Conservative = 0, w.words, true
		if err := visit(frame); err != nil {
			return err
		}
	}
	return nil
}

// sortWords orders the words of a frame: an argument may be in a stack map and be a stack object.
func (w *walker) sortWords() {
	slices.SortFunc(w.words, func(a, b Word) int { return cmp.Compare(a.Addr, b.Addr) })
	w.words = slices.Compact(w.words)
}
