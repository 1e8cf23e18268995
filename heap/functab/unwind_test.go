package functab

import (
	"debug/elf"
	"errors"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
)

// The functions of the made programs. Each executes at entry+32 and returns to there.
const (
	fnExit = iota
	fnCaller
	fnCallee
	fnObjects
	fnPreempt
	fnPanic
	fnSwitch
	fnBare
	fnStub
	fnBarrier
	fnCallback
	fnTextless
	fnDefers
)

var heapWord = func(i int) uint64 { return heapAt + uint64(i)*8 }

func whole(value int32) []step { return []step{{value, codeSize}} }

// specs are as the compiler would make them; sizes leave out the return address.
func specs() []spec {
	return []spec{
		fnExit: {name: "runtime.goexit", flags: flagTop, frame: whole(0)},
		// Locals in words 0 and 1 of its frame of 3, of which the second is a pointer, and both in its other map.
		fnCaller: {
			name: "main.caller", frame: whole(24), maps: []step{{0, 64}, {1, 64}, {0, 128}},
			locals: [][]byte{{0b10}, {0b11}}, localWords: 2,
		},
		fnCallee: {
			name: "main.Set[go.shape.int].callee", frame: []step{{0, 16}, {8, codeSize - 16}}, args: 16, maps: whole(0),
			argMaps: [][]byte{{0b10}}, argWords: 2, locals: [][]byte{}, localWords: 0,
		},
		// An object of two words at word 0 and one of one word at word 2; word 3 is a pointer.
		fnObjects: {
			name: "main.objects", frame: whole(40), maps: whole(0), locals: [][]byte{{0b1000}}, localWords: 4,
			objects: []objectSpec{{-32, 16, []byte{0b11}, 2}, {-16, 8, []byte{0b1}, 1}},
		},
		fnPreempt: {name: "runtime.asyncPreempt", frame: whole(24), locals: [][]byte{{0}}, localWords: 0},
		fnPanic:   {name: "runtime.sigpanic", frame: whole(8)},
		fnSwitch:  {name: "runtime.mcall", flags: flagWritesSP, frame: whole(0), args: unknownArgs},
		// Locals without a map.
		fnBare:     {name: "main.bare", frame: whole(24)},
		fnStub:     {name: "reflect.makeFuncStub", args: unknownArgs, frame: whole(400), maps: nil, locals: [][]byte{{0}}, localWords: 0},
		fnBarrier:  {name: "gcWriteBarrier", frame: whole(16), args: unknownArgs},
		fnCallback: {name: "runtime.cgocallback", flags: flagWritesSP, frame: whole(8)},
		fnTextless: {name: "__tsan_read", args: unknownArgs},
		fnDefers: {
			name: "main.defers", frame: whole(24), deferReturn: 100, maps: []step{{0, 64}, {1, 192}},
			locals: [][]byte{{0b01}, {0b10}}, localWords: 2,
		},
	}
}

func at(fn int) uint64 { return entry(fn) + 32 }

// stacker pushes frames onto a made stack, outermost first.
type stacker struct {
	p  *program
	sp uint64
	pc uint64 // of the innermost
}

func newStacker(p *program) *stacker {
	s := &stacker{p: p, sp: stackTop - 8}
	s.push(entry(fnExit)+1, 0)
	return s
}

// push adds a frame of words at pc.
func (s *stacker) push(pc uint64, words ...uint64) *stacker {
	s.sp -= 8
	s.p.memory.put(s.sp, s.pc)
	for i := len(words) - 1; i >= 0; i-- {
		s.sp -= 8
		s.p.memory.put(s.sp, words[i])
	}
	if s.pc == 0 {
		s.sp += 8 // of goexit, whose frame is a word
	}
	s.pc = pc
	return s
}

func (s *stacker) waiting() layout.G {
	return layout.G{ID: 1, Status: layout.Waiting, SP: s.sp, PC: s.pc}
}

func newProgram() *program { return make1(elf.EM_X86_64, 26, specs()...) }

func TestUnwindPrecise(t *testing.T) {
	p := newProgram()
	s := newStacker(p)
	s.push(at(fnCaller), heapWord(0), heapWord(1), 0)
	s.push(at(fnCaller)+64, heapWord(2), heapWord(3), stackTop-8)
	// Its arguments are the first two words of its caller's frame.
	s.push(at(fnCallee), 77)
	table := p.open(t)
	all := frames(t, table, s.waiting())
	expect(t, all, "main.Set[...].callee -72=c000800018", "main.caller -80=c000800010 -72=c000800018", "main.caller -40=c000800008", "runtime.goexit")
	if f := all[1]; f.PC != at(fnCaller)+63 || f.CFA != f.SP+32 {
		t.Errorf("caller stands at %#x, its frame goes from %#x to %#x", f.PC, f.SP, f.CFA)
	}
	if w := table.Warnings(); len(w) > 0 {
		t.Error(w)
	}
	stopped := errors.New("stop")
	for i := range all {
		g := s.waiting()
		g.StackLo, g.StackHi = stackAt, stackTop
		n := 0
		err := table.Unwind(g, func(Frame) error {
			if n++; n > i {
				return stopped
			}
			return nil
		})
		if !errors.Is(err, stopped) {
			t.Errorf("visit's error of frame %d: %v", i, err)
		}
	}
}

func TestUnwindAtEntry(t *testing.T) {
	p := newProgram()
	s := newStacker(p)
	s.push(at(fnCaller), heapWord(0), heapWord(1), 0)
	// It has not made its frame; the first instruction's map does not matter.
	s.sp -= 8
	p.memory.put(s.sp, at(fnCaller))
	s.pc = entry(fnCallee)
	all := frames(t, p.open(t), s.waiting())
	expect(t, all, "main.Set[...].callee -40=c000800008", "main.caller -40=c000800008", "runtime.goexit")
	if all[0].PC != entry(fnCallee) {
		t.Errorf("at %#x", all[0].PC)
	}
}

func TestUnwindNilCall(t *testing.T) {
	p := newProgram()
	s := newStacker(p)
	s.push(at(fnCaller), heapWord(0), heapWord(1), 0)
	g := s.waiting()
	g.SP -= 8
	p.memory.put(g.SP, at(fnCaller))
	g.PC = 0
	expect(t, frames(t, p.open(t), g), "main.caller -40=c000800008", "runtime.goexit")
}

func TestUnwindObjects(t *testing.T) {
	const object, single = stackTop - 64, stackTop - 48 // of the outer frame
	for name, test := range map[string]struct {
		pointer uint64 // in the inner frame
		guess   bool
		want    []string
	}{
		"none":  {0, false, []string{"main.objects", "main.objects", "runtime.goexit"}},
		"first": {object, false, []string{"main.objects", "main.objects -64=c000800000", "runtime.goexit"}},
		// A pointer into the middle of the first leads to it, and from there to the second.
		"chain":  {object + 8, false, []string{"main.objects", "main.objects -64=c000800000", "runtime.goexit"}},
		"single": {single, false, []string{"main.objects", "main.objects -48=c000800008", "runtime.goexit"}},
		"behind": {single + 8, false, []string{"main.objects", "main.objects", "runtime.goexit"}},
		"guess":  {single, true, []string{"runtime.asyncPreempt! -144=400320 -120=400320", "main.objects! -72=400320", "main.objects", "main.objects+! -48=c000800008", "runtime.goexit"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram()
			s := newStacker(p)
			second := uint64(0)
			if name == "chain" {
				second = 4096 - 1 // no pointer
			}
			s.push(at(fnObjects), heapWord(0), second, heapWord(1), 0, 0)
			s.push(at(fnObjects), 0, 0, 0, test.pointer, 0)
			if test.guess {
				s.push(at(fnPreempt), at(fnObjects), 0, 0)
			}
			got := frames(t, p.open(t), s.waiting())
			expect(t, got, test.want...)
		})
	}
}

// TestUnwindObjectsChain has a variable that points to another.
func TestUnwindObjectsChain(t *testing.T) {
	p := newProgram()
	s := newStacker(p)
	s.push(at(fnObjects), stackTop-48, stackTop-64, heapWord(1), stackTop-56, 0)
	expect(t, frames(t, p.open(t), s.waiting()), "main.objects -48=c000800008", "runtime.goexit")
	p.memory.put(stackTop-40, 0)
	expect(t, frames(t, p.open(t), s.waiting()), "main.objects", "runtime.goexit")
	// A panic and a deferred call lead to it too.
	g := s.waiting()
	g.Panic = stackTop - 64
	expect(t, frames(t, p.open(t), g), "main.objects -48=c000800008", "runtime.goexit")
	g = s.waiting()
	g.Context = heapWord(9)
	expect(t, frames(t, p.open(t), g), "context =c000800048", "main.objects", "runtime.goexit")
	g.Context = stackTop - 48
	expect(t, frames(t, p.open(t), g), "main.objects -48=c000800008", "runtime.goexit")
}

func TestUnwindPreempted(t *testing.T) {
	p := newProgram()
	s := newStacker(p)
	s.push(at(fnCaller), heapWord(0), heapWord(1), 0)
	s.push(at(fnCaller), heapWord(2), heapWord(3), 0)
	s.push(at(fnPreempt), heapWord(4), heapWord(5), heapWord(6))
	all := frames(t, p.open(t), s.waiting())
	for i, conservative := range []bool{true, true, false, false} {
		if all[i].Conservative != conservative {
			t.Errorf("%s: conservative %v", all[i].Func.Name, all[i].Conservative)
		}
	}
	if all[1].PC != at(fnCaller) {
		t.Errorf("interrupted at %#x", all[1].PC)
	}
	words := strings.Join(describeFrames(all), " ")
	for i := 1; i < 7; i++ {
		if !strings.Contains(words, describeFrames([]Frame{{Kind: Context, Words: []Word{{Value: heapWord(i)}}}})[0][len("context ="):]) {
			t.Errorf("%#x is not in %s", heapWord(i), words)
		}
	}
}

// TestUnwindFaulted has functions that will not go on but with their deferred calls.
func TestUnwindFaulted(t *testing.T) {
	p := newProgram()
	s := newStacker(p)
	s.push(at(fnCaller), heapWord(0), heapWord(1), 0)
	s.push(at(fnPanic), 0)
	expect(t, frames(t, p.open(t), s.waiting()), "runtime.sigpanic", "main.caller", "runtime.goexit")

	p = newProgram()
	s = newStacker(p)
	s.push(at(fnDefers), heapWord(0), heapWord(1), 0)
	s.push(at(fnPanic), 0)
	expect(t, frames(t, p.open(t), s.waiting()), "runtime.sigpanic", "main.defers -40=c000800008", "runtime.goexit")

	p = newProgram()
	s = newStacker(p)
	s.push(at(fnDefers), heapWord(0), heapWord(1), 0)
	s.push(at(fnCallee), 0)
	expect(t, frames(t, p.open(t), s.waiting())[1:], "main.defers -48=c000800000", "runtime.goexit")
}

func TestUnwindRunning(t *testing.T) {
	p := newProgram()
	s := newStacker(p)
	s.push(at(fnCaller), heapWord(0), heapWord(1), 0)
	s.push(at(fnCaller), heapWord(2), heapWord(3), 0)
	thread := layout.Thread{TID: 1, PC: s.pc, SP: s.sp, Registers: []uint64{0, heapWord(7), s.sp}}
	p.rt.Threads = []layout.Thread{{TID: 2, SP: 4096}, thread}
	g := layout.G{Status: layout.Running, SP: 1}
	all := frames(t, p.open(t), g)
	expect(t, all, "registers! =c000800038",
		"main.caller! -80=c000800010 -72=c000800018 -56=400120", "main.caller -40=c000800008", "runtime.goexit")
	if all[1].PC != at(fnCaller) {
		t.Errorf("at %#x", all[1].PC)
	}

	// In a system call the registers do not matter.
	g.SyscallSP, g.SyscallPC = s.sp, s.pc
	expect(t, frames(t, p.open(t), g), "main.caller -72=c000800018", "main.caller -40=c000800008", "runtime.goexit")

	// Without the registers all is conservative, unwound or not.
	p.rt.Threads = nil
	table := p.open(t)
	g.SyscallSP = 0
	expect(t, frames(t, table, g), "remainder! -80=c000800010 -72=c000800018 -56=400120 -48=c000800000 -40=c000800008 -24=400001")
	g.SP, g.PC = s.sp, s.pc
	got := frames(t, table, g)
	expect(t, got, "remainder!", "main.caller! -80=c000800010 -72=c000800018 -56=400120",
		"main.caller! -48=c000800000 -40=c000800008 -24=400001", "runtime.goexit!")
	if got[0].SP != stackAt || got[0].CFA != s.sp {
		t.Errorf("below: %#x to %#x", got[0].SP, got[0].CFA)
	}
	if w := table.Warnings(); len(w) != 1 || !strings.Contains(w[0], "running") {
		t.Errorf("warnings %q", w)
	}
}

// TestUnwindRunningSwitch stops a thread where its frame may not be what the table says, and in a write barrier.
func TestUnwindRunningSwitch(t *testing.T) {
	p := newProgram()
	s := newStacker(p)
	s.push(at(fnCaller), heapWord(0), heapWord(1), 0)
	s.push(at(fnSwitch))
	p.rt.Threads = []layout.Thread{{PC: s.pc, SP: s.sp}}
	g := layout.G{Status: layout.Running}
	expect(t, frames(t, p.open(t), g), "runtime.mcall! -56=400120", "main.caller! -48=c000800000 -40=c000800008 -24=400001", "runtime.goexit!")

	p = newProgram()
	s = newStacker(p)
	s.push(at(fnCaller), heapWord(0), heapWord(1), 0)
	s.push(at(fnCaller), heapWord(2), heapWord(3), 0)
	s.push(at(fnBarrier), heapWord(4), heapWord(5))
	p.rt.Threads = []layout.Thread{{PC: s.pc, SP: s.sp}}
	all := frames(t, p.open(t), g)
	if !all[0].Conservative || !all[1].Conservative || all[2].Conservative {
		t.Errorf("%q", describeFrames(all))
	}
}

func TestUnwindBroken(t *testing.T) {
	rest := "remainder! -48=c000800000 -40=c000800008 -24=400001"
	for name, test := range map[string]struct {
		change  func(p *program, s *stacker, g *layout.G)
		want    []string
		warning string
	}{
		"return address": {
			func(p *program, s *stacker, _ *layout.G) { p.memory.put(s.sp+8, 0x123450) },
			[]string{"main.Set[...].callee -40=c000800008", rest}, "return address 0x123450 is in no function",
		},
		"no return address": {
			func(p *program, s *stacker, _ *layout.G) { p.memory.put(s.sp+8, 0) },
			[]string{"main.Set[...].callee -40=c000800008", rest}, "callee has no return address",
		},
		"stack pointer": {
			func(_ *program, _ *stacker, g *layout.G) { g.SP = stackTop },
			[]string{"remainder! -56=400120 -48=c000800000 -40=c000800008 -24=400001"}, "stack pointer outside",
		},
		"unaligned": {
			func(_ *program, _ *stacker, g *layout.G) { g.SP++ },
			[]string{"remainder! -56=400120 -48=c000800000 -40=c000800008 -24=400001"}, "stack pointer outside",
		},
		"larger than the stack": {
			func(_ *program, _ *stacker, g *layout.G) { g.SP, g.PC = stackTop-24, at(fnCaller) },
			[]string{"remainder! -24=400001"}, "larger than the stack",
		},
		"switch": {
			func(p *program, s *stacker, _ *layout.G) { p.memory.put(s.sp+8, at(fnSwitch)) },
			[]string{"main.Set[...].callee -40=c000800008", "runtime.mcall", "remainder! -40=c000800008 -24=400001"}, "switched stacks",
		},
		"no frame sizes": {
			func(p *program, s *stacker, _ *layout.G) { p.memory.put(s.sp+8, at(fnTextless)) },
			[]string{"main.Set[...].callee -40=c000800008", rest}, "no table of frame sizes",
		},
		"no stack map": {
			func(p *program, s *stacker, _ *layout.G) { p.memory.put(s.sp+8, at(fnBare)) },
			[]string{"main.Set[...].callee -40=c000800008", "main.bare! -48=c000800000 -40=c000800008 -24=400001", "runtime.goexit"}, "main.bare",
		},
		"callback": {
			func(p *program, s *stacker, _ *layout.G) {
				p.memory.put(s.sp+8, at(fnCallback))
				p.memory.put(s.sp+24, at(fnExit))
			},
			[]string{"main.Set[...].callee -40=400020", "runtime.cgocallback", "runtime.goexit"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram()
			s := newStacker(p)
			s.push(at(fnCaller), heapWord(0), heapWord(1), 0)
			s.push(at(fnCallee), 0)
			g := s.waiting()
			test.change(p, s, &g)
			table := p.open(t)
			expect(t, frames(t, table, g), test.want...)
			expect(t, frames(t, table, g), test.want...)
			w := table.Warnings()
			if test.warning == "" && len(w) == 0 {
				return
			}
			if len(w) != 1 || !strings.Contains(w[0], test.warning) {
				t.Errorf("warnings %q, want one of %q", w, test.warning)
			}
		})
	}
}

func TestUnwindRefuses(t *testing.T) {
	p := newProgram()
	table := p.open(t)
	none := func(Frame) error { return errors.New("visited") }
	for _, status := range []uint32{layout.Idle, layout.Dead, statusDeadExtra} {
		if err := table.Unwind(layout.G{Status: status}, none); err != nil {
			t.Errorf("status %d: %v", status, err)
		}
	}
	for _, g := range []layout.G{
		{StackLo: 0, StackHi: 8}, {StackLo: 16, StackHi: 8}, {StackLo: 8, StackHi: 1 << 60}, {StackLo: 9, StackHi: 1 << 20},
		{StackLo: 0x10000, StackHi: 0x20000, SP: 0x10000, PC: at(fnCaller)},
	} {
		g.Status = layout.Waiting
		if err := table.Unwind(g, none); err == nil || !strings.Contains(err.Error(), "functab: goroutine 0: stack") {
			t.Errorf("stack from %#x to %#x: %v", g.StackLo, g.StackHi, err)
		}
	}
	if err := new(Table).Unwind(layout.G{Status: layout.Waiting, StackLo: 8, StackHi: 16}, none); err == nil {
		t.Error("a table that was not made unwinds")
	}
}

func TestDeferred(t *testing.T) {
	p := newProgram()
	s := newStacker(p)
	s.push(at(fnObjects), 0, 0, heapWord(1), 0, 0)
	record := func(addr uint64, heap, function, link uint64) {
		p.memory.put(addr, heap)
		p.memory.put(addr+deferFunc, function)
		p.memory.put(addr+deferLink, link)
	}
	const first, second, third = stackAt, heapAt + 512, heapAt + 1024
	record(first, 0, heapWord(3), second)
	record(second, 1, stackTop-48, third) // its closure is a variable
	record(third, 1, 0, 0)
	g := s.waiting()
	g.Defer = first
	table := p.open(t)
	expect(t, frames(t, table, g), "main.objects -48=c000800008", "runtime.goexit",
		"deferred -32744=c000800018 -32736=c000800200 =c000800400 =c000800200 =c000800400")
	if w := table.Warnings(); len(w) > 0 {
		t.Error(w)
	}
	record(third, 1, 0, second)
	for _, list := range []uint64{first, 0x77770, 3} {
		table := p.open(t)
		g.Defer = list
		frames(t, table, g)
		if w := table.Warnings(); len(w) != 1 || !strings.Contains(w[0], "deferred calls") {
			t.Errorf("list at %#x: %q", list, w)
		}
	}
}

// TestStub has a function that reflect.MakeFunc made: its arguments are known to a value on the heap alone.
func TestStub(t *testing.T) {
	const value, bitmap, bits = heapAt + 512, heapAt + 1024, heapAt + 2048
	for name, test := range map[string]struct {
		change  func(p *program, s *stacker)
		want    []string
		warning string
	}{
		"arguments":  {nil, []string{"reflect.makeFuncStub -80=c000800008 -48=c000800000 -40=c000800008", "main.caller -40=c000800008", "runtime.goexit"}, ""},
		"no results": {func(p *program, s *stacker) { p.memory.put(s.sp+stubResults, 0x100) }, []string{"reflect.makeFuncStub -80=c000800008 -48=c000800000", "main.caller -40=c000800008", "runtime.goexit"}, ""},
		"another":    {func(p *program, _ *stacker) { p.memory.put(value, 5) }, nil, "function at 0x5"},
		"endless":    {func(p *program, _ *stacker) { p.memory.put(bitmap, 1<<30) }, nil, "words of arguments"},
		"nil":        {func(p *program, s *stacker) { p.memory.put(s.sp, 0) }, nil, "0x0 is not mapped"},
		"no bitmap":  {func(p *program, _ *stacker) { p.memory.put(value+stubMap, 16) }, nil, "read at 0x10"},
		"no bits":    {func(p *program, _ *stacker) { p.memory.put(bitmap+8, 16) }, nil, "read at 0x10"},
		"no end":     {func(p *program, _ *stacker) { p.memory.put(value+stubMap, heapAt+4096-8) }, nil, "is not mapped"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram()
			s := newStacker(p)
			s.push(at(fnCaller), heapWord(0), heapWord(1), 0)
			words := make([]uint64, 50)
			words[0], words[4] = value, 1
			// Its variable of type abi.RegArgs begins at word 15 and has 9 pointers from word 39 on.
			words[47], words[38] = heapWord(1), heapWord(2)
			s.push(at(fnStub), words...)
			stub := s.sp
			s.push(at(fnObjects), 0, 0, 0, stub+39*8, 0)
			for i, v := range []uint64{entry(fnStub), bitmap, 8} {
				p.memory.put(value+uint64(i)*8, v)
			}
			p.memory.put(bitmap, 2)
			p.memory.put(bitmap+8, bits)
			p.memory.put(bits, 0b11)
			if test.change != nil {
				test.change(p, &stacker{p: p, sp: stub})
			}
			table := p.open(t)
			all := frames(t, table, s.waiting())[1:]
			w := table.Warnings()
			if test.warning != "" {
				if !all[0].Conservative || len(w) != 1 || !strings.Contains(w[0], test.warning) {
					t.Errorf("conservative: %v, warnings %q", all[0].Conservative, w)
				}
				return
			}
			expect(t, all, test.want...)
		})
	}
}

// TestStubAtEntry has a goroutine that is to begin with a stub: it has no frame yet, and no arguments.
func TestStubAtEntry(t *testing.T) {
	all := specs()
	all[fnStub].frame = []step{{0, 16}, {400, codeSize - 16}}
	p := make1(elf.EM_X86_64, 26, all...)
	s := newStacker(p)
	s.sp -= 8
	p.memory.put(s.sp, s.pc)
	s.pc = entry(fnStub)
	expect(t, frames(t, p.open(t), s.waiting()), "reflect.makeFuncStub", "runtime.goexit")
}

// arm64Program has frames as arm64 makes them: the return address at the bottom, the caller's frame pointer below.
func arm64Program() *program {
	return make1(elf.EM_AARCH64, 26,
		spec{name: "runtime.goexit", flags: flagTop, frame: whole(0)},
		spec{name: "main.caller", frame: []step{{0, 16}, {48, codeSize - 16}}, maps: whole(0), locals: [][]byte{{0b101}}, localWords: 3},
		spec{name: "main.leaf", frame: whole(0)},
		spec{name: "runtime.asyncPreempt", frame: whole(32)},
		spec{name: "runtime.sigpanic", frame: whole(32), maps: whole(0), locals: [][]byte{{0}}, localWords: 1},
	)
}

func TestUnwindARM64(t *testing.T) {
	const sp = stackTop - 64
	p := arm64Program()
	for i, v := range []uint64{entry(0) + 4, heapWord(1), heapWord(2), heapWord(3), heapWord(4), heapWord(5)} {
		p.memory.put(sp+uint64(i)*8, v) // the link register, unused, three variables from word 2 on, the frame pointer
	}
	g := layout.G{Status: layout.Waiting, SP: sp, PC: at(1)}
	table := p.open(t)
	expect(t, frames(t, table, g), "main.caller -48=c000800010 -32=c000800020", "runtime.goexit")

	// A leaf was interrupted: the handler stored its link register, and made it appear to call.
	const handler = sp - 16 - 32
	p.memory.put(handler, at(2))
	p.memory.put(handler+8, heapWord(6))
	p.memory.put(handler+32, at(1)) // the link register of the leaf
	g = layout.G{Status: layout.Waiting, SP: handler, PC: at(3)}
	all := frames(t, table, g)
	if got := []string{all[0].Func.Name, all[1].Func.Name, all[2].Func.Name, all[3].Func.Name}; strings.Join(got, " ") != "runtime.asyncPreempt main.leaf main.caller runtime.goexit" {
		t.Errorf("%q", got)
	}
	if !all[0].Conservative || !all[1].Conservative || all[2].Conservative {
		t.Errorf("%q", describeFrames(all))
	}

	// A call of a function at an address that is none: the handler stored where it came from.
	p.memory.put(handler, 0x44)
	g.PC = at(4)
	all = frames(t, table, g)
	if len(all) != 3 || all[1].Func.Name != "main.caller" {
		t.Errorf("%q", describeFrames(all))
	}

	// It has not begun.
	g = layout.G{Status: layout.Runnable, SP: stackTop - 16, PC: entry(1)}
	expect(t, frames(t, table, g), "main.caller")
	if w := table.Warnings(); len(w) > 0 {
		t.Error(w)
	}
	// It cannot be told where it returns to.
	g.PC = at(2)
	expect(t, frames(t, table, g), "main.leaf", "remainder!")
	if w := table.Warnings(); len(w) != 1 {
		t.Error(w)
	}
}

// TestLargeStack has more on its stack than is read at once.
func TestLargeStack(t *testing.T) {
	p := newProgram()
	const top = stackAt + 4<<20
	p.memory[stackAt] = make([]byte, top-stackAt)
	s := &stacker{p: p, sp: top - 8}
	s.push(entry(fnExit)+1, 0)
	const n = 60_000
	for i := range n {
		// Each has a variable to which a pointer in its frame leads.
		s.push(at(fnObjects), heapWord(i%16), 0, heapWord(16+i%16), s.sp-48, 0)
	}
	g := s.waiting()
	g.StackLo, g.StackHi = stackAt, top
	table := p.open(t)
	count, words := 0, 0
	err := table.Unwind(g, func(f Frame) error {
		count++
		words += len(f.Words)
		return nil
	})
	if err != nil || count != n+1 || words != n {
		t.Errorf("%d frames, %d words, %v", count, words, err)
	}
	// A small one afterwards finds nothing of it.
	expect(t, frames(t, table, layout.G{Status: layout.Waiting, SP: stackTop - 16, PC: entry(fnExit) + 1}), "runtime.goexit")
	// Memory that ends is told.
	p.memory[stackAt] = p.memory[stackAt][:3<<20]
	g.SP = stackAt + 64
	if err := table.Unwind(g, func(Frame) error { return nil }); err == nil {
		t.Error("a stack that cannot be read is unwound")
	}
}
