package functab

import (
	"errors"
	"fmt"

	"github.com/memwarden/memwarden/heap/layout"
)

// The states of goroutines (runtime._Gidle, …) that matter here; the bit for a scan is masked.
const (
	statusIdle      = 0
	statusRunning   = 2
	statusDead      = 6
	statusDeadExtra = 11
	statusScan      = 0x1000
)

const maxStack = 1 << 40

// Unwind visits the frames of a goroutine, innermost first, and before and after them what else the collector follows
// for it: registers, the saved context, records of deferred calls. The frames' words are those that the collector of
// the runtime would follow (runtime.scanstack): by the stack maps, and those in variables on the stack to which a live
// pointer leads. Where no stack map holds, the frame is conservative: where a goroutine was interrupted by a signal or
// was running, with the registers of its thread. If it ran where no thread's registers are known to belong to its
// stack, as on the thread's own stack, then all of its stack is conservative.
//
// What cannot be unwound is visited as one conservative Remainder, in parts of 64 KiB, and told by Warnings. Unwind
// fails where the stack cannot be read and where its bounds cannot be those of a stack, and with visit's error. A
// goroutine that is dead has no frames. It costs one read of the stack and some 100 ns a frame, and needs 40 bytes of
// memory for each frame, 24 for each variable in them whose address is taken, and at most 1 MiB of a large stack. It may
// be called concurrently; visit is not.
func (t *Table) Unwind(g layout.G, visit func(Frame) error) error {
	status := g.Status &^ statusScan
	if status == statusIdle || status == statusDead || status == statusDeadExtra {
		return nil
	}
	if g.StackLo == 0 || g.StackLo >= g.StackHi || g.StackHi-g.StackLo > maxStack || (g.StackLo|g.StackHi)%wordSize != 0 {
		return fmt.Errorf("functab: goroutine %d: stack from %#x to %#x", g.ID, g.StackLo, g.StackHi)
	}
	w, ok := t.walkers.Get().(*walker)
	if !ok {
		return errors.New("functab: not made by New")
	}
	defer w.release()
	if err := w.unwind(&g, status, visit); err != nil {
		return fmt.Errorf("functab: goroutine %d: %w", g.ID, err)
	}
	return nil
}

// walker unwinds one stack at a time.
type walker struct {
	table *Table
	stack stack
	// frames are what was unwound, innermost first, and rest is where the unwinding ended early, 0 if it did not.
	frames  []record
	rest    uint64
	objects []object
	// stubs are the arguments of the frames of package reflect's stubs, by the place in frames.
	stubs map[int]mask
	// precise and guessed are pointers into the stack that have not been followed.
	precise, guessed []uint64
	words            []Word
	registers        []Word
	context          []Word
	deferred         []Word

	// near are sites met of late.
	near [256]struct {
		key  siteKey
		site *site
	}
}

// record is a frame that was unwound.
type record struct {
	site         *site
	pc, sp, cfa  uint64 // pc as in Frame
	conservative bool
}

// object is a stack object in a frame.
type object struct {
	addr   uint64
	of     *stackObject
	frame  int32
	follow following
}

type following uint8

const (
	unfollowed      following = iota // no pointer leads to it
	followed                         // a pointer does
	followedByGuess                  // a word does that may be a pointer
)

// keepFrames bounds what a walker keeps for the next stack.
const keepFrames = 1 << 15

func (w *walker) release() {
	if cap(w.frames) > keepFrames || cap(w.objects) > keepFrames || cap(w.words) > keepFrames || cap(w.deferred) > keepFrames {
		near := w.near
		*w = walker{table: w.table, near: near}
	}
	w.table.walkers.Put(w)
}

// start is where unwinding begins.
type start struct {
	pc, sp uint64
	// trapped tells that pc is where a thread was stopped rather than a return address.
	trapped bool
	// guess tells that all frames are conservative: the goroutine has run on since pc and sp were saved.
	guess bool
}

func (w *walker) unwind(g *layout.G, status uint32, visit func(Frame) error) error {
	w.reset()
	from := w.begin(g, status)
	low := from.sp
	valid := from.sp >= g.StackLo && from.sp < g.StackHi && from.sp%wordSize == 0
	if from.guess || !valid {
		low = g.StackLo
	}
	if err := w.stack.load(w.table.memory.reader, low, g.StackHi); err != nil {
		return err
	}
	switch {
	case valid:
		w.walk(from)
	case from.guess:
		w.rest = low
	default:
		w.fail(low, &from, fmt.Errorf("stack pointer outside the stack"))
	}
	w.others(g, status)
	if len(w.objects) > 0 {
		w.follow()
	}
	if w.stack.err != nil {
		return w.stack.err
	}
	if err := w.emit(from, visit); err != nil {
		return err
	}
	return w.stack.err
}

func (w *walker) reset() {
	w.frames, w.objects, w.precise, w.guessed = w.frames[:0], w.objects[:0], w.precise[:0], w.guessed[:0]
	w.registers, w.context, w.deferred = w.registers[:0], w.context[:0], w.deferred[:0]
	w.rest = 0
	clear(w.stubs)
}

// begin finds where the goroutine stands.
func (w *walker) begin(g *layout.G, status uint32) start {
	if g.SyscallSP != 0 {
		return start{pc: g.SyscallPC, sp: g.SyscallSP}
	}
	if status != statusRunning {
		return start{pc: g.PC, sp: g.SP}
	}
	for i := range w.table.threads {
		thread := &w.table.threads[i]
		if thread.SP < g.StackLo || thread.SP >= g.StackHi {
			continue
		}
		for _, value := range thread.Registers {
			if value != 0 {
				w.registers = append(w.registers, Word{Value: value})
			}
		}
		return start{pc: thread.PC, sp: thread.SP, trapped: true}
	}
	w.table.warnings.add("a goroutine was running where no thread's registers are known: all of its stack is taken for pointers that look like some")
	return start{pc: g.PC, sp: g.SP, guess: true}
}

// fail notes that the stack cannot be unwound from an address on. Of a guess that was wrong there is nothing to tell.
func (w *walker) fail(at uint64, from *start, reason error) {
	if w.rest = at; from.guess {
		return
	}
	w.table.warnings.add(fmt.Sprintf("a stack could not be unwound to its end (%v): the rest of it is taken for pointers that look like some", reason))
}

func (w *walker) site(key siteKey) *site {
	slot := &w.near[(key.pc^key.pc>>8)%uint64(len(w.near))]
	if slot.site == nil || slot.key != key {
		slot.key, slot.site = key, w.table.site(key)
	}
	return slot.site
}

// position is where a frame stands.
type position struct {
	pc, sp uint64
	// link is the return address where a register holds it, else 0.
	link uint64
	// trapped tells that pc is not a return address, faulted that the callee is sigpanic.
	trapped, faulted bool
	// conservative tells that the callee leaves no stack map that holds.
	conservative bool
}

// walk unwinds from a place on, as runtime.unwinder does for the collector.
func (w *walker) walk(from start) {
	linked := w.table.arch.linked
	at := position{pc: from.pc, sp: from.sp, trapped: from.trapped, conservative: from.trapped}
	if at.pc == 0 {
		// A call of a nil function: begin with the caller.
		if at.pc = w.stack.word(at.sp); !linked {
			at.sp += wordSize
		}
	}
	for guess := from.guess; ; {
		s := w.site(siteKey{at.pc, at.faulted})
		innermost := len(w.frames) == 0
		if reason := w.check(s, at.sp); reason != nil {
			w.fail(at.sp, &from, w.describe(at.pc, reason))
			return
		}
		f := s.fn
		if innermost && from.trapped && f.writesSP {
			guess = true // the table may be wrong of this frame, and so of all that follow
		}
		cfa := at.sp + s.size
		w.push(record{site: s, pc: at.line(f), sp: at.sp, cfa: cfa, conservative: guess || at.conservative || w.unmapped(s)})
		switch {
		case f.top:
			return
		case f.writesSP && !innermost && f.role != cgocallback:
			w.fail(cfa, &from, fmt.Errorf("%s switched stacks", f.name))
			return
		case !linked:
			at.link = w.stack.word(cfa - wordSize)
		case innermost && s.size > 0 || at.link == 0:
			at.link = w.stack.word(at.sp)
		}
		if at.link == 0 {
			if linked && innermost && at.pc == f.entry {
				return // it has not begun: the register would hold runtime.goexit
			}
			w.fail(cfa, &from, fmt.Errorf("%s has no return address", f.name))
			return
		}
		w.leave(&at, f, cfa)
		// Arguments on the stack may be unknown to the function that a thread executes.
		at.conservative = at.conservative || innermost && from.trapped && f.args == unknownArgs
	}
}

// line is the address of the instruction that the function executes.
func (p *position) line(f *function) uint64 {
	if !p.trapped && p.pc > f.entry {
		return p.pc - 1
	}
	return p.pc
}

// unmapped tells whether a function's stack map does not hold, and says so where it should.
func (w *walker) unmapped(s *site) bool {
	if s.fn.role == interrupted || s.fn.role == registerSaving {
		return true
	}
	if s.unmapped != nil {
		w.conservative(s.fn, s.unmapped)
	}
	return s.unmapped != nil
}

func (w *walker) conservative(f *function, reason error) {
	w.table.warnings.add(fmt.Sprintf("the frames of %s are taken for pointers that look like some (%v)", f.name, reason))
}

// leave goes from a frame of f to its caller's.
func (w *walker) leave(at *position, f *function, cfa uint64) {
	*at = position{
		pc: at.link, sp: cfa, trapped: f.role == sigpanic || f.role == interrupted, faulted: f.role == sigpanic,
		conservative: f.role == interrupted || f.role == registerSaving,
	}
	a := &w.table.arch
	if !a.linked || !at.trapped {
		return
	}
	// The handler of the signal saved the link register before it made this appear to be a call.
	saved := w.stack.word(at.sp)
	at.sp += a.injected
	if next := w.site(siteKey{at.pc, at.faulted}); next == nil {
		at.pc = saved
	} else if next.broken == nil && next.size == 0 {
		at.link = saved
	}
}

// check tells why a frame cannot be one.
func (w *walker) check(s *site, sp uint64) error {
	switch {
	case s == nil:
		return errors.New("in no function")
	case s.broken != nil:
		return s.broken
	case sp >= w.stack.high || w.stack.high-sp < s.size:
		return fmt.Errorf("its frame of %d bytes is larger than the stack", s.size)
	}
	return nil
}

// describe tells where unwinding ended. The address itself is left out where the function is known: warnings are told
// once.
func (w *walker) describe(pc uint64, reason error) error {
	if f := w.table.find(pc); f != nil {
		return fmt.Errorf("%s: %w", f.name, reason)
	}
	return fmt.Errorf("return address %#x is %w", pc, reason)
}

// push adds a frame with its stack objects.
func (w *walker) push(r record) {
	frame := len(w.frames)
	w.frames = append(w.frames, r)
	if r.conservative || r.site.dead {
		return
	}
	f := r.site.fn
	objects := f.objects
	if f.role == reflectStub {
		args, has, err := w.stub(&r)
		if err != nil {
			w.conservative(f, err)
			w.frames[frame].conservative = true
			return
		}
		if !has {
			objects = nil
		}
		if w.stubs == nil {
			w.stubs = make(map[int]mask)
		}
		w.stubs[frame] = args
	}
	varp, args := r.sp+r.site.varp, r.cfa+w.table.arch.minFrame
	for i := range objects {
		o := &objects[i]
		base := varp
		if o.offset >= 0 {
			base = args
		}
		addr := base + uint64(o.offset)
		if addr < r.sp {
			continue // the frame is not made yet
		}
		w.objects = append(w.objects, object{addr: addr, of: o, frame: int32(frame)})
	}
}
