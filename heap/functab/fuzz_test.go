package functab

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
)

// naive decodes a table as the format says, without bounds but those of the slice.
func naive(table []byte, pc uint64) (int32, bool) {
	value, at := int32(-1), uint64(0)
	for first := true; ; first = false {
		d, n := binary.Uvarint(table)
		if n <= 0 || d > 1<<32-1 || d == 0 && !first {
			return 0, false
		}
		table = table[n:]
		value += int32(uint32(d)>>1) ^ -int32(d&1)
		length, n := binary.Uvarint(table)
		if n <= 0 || length > 1<<32-1 {
			return 0, false
		}
		table = table[n:]
		if at += length; pc < at {
			return value, true
		}
	}
}

func FuzzValue(f *testing.F) {
	f.Add([]byte{2, 10, 3, 4, 0}, uint16(12))
	f.Add([]byte{0, 0x80, 0x80, 0x80, 0x80, 0x10}, uint16(1))
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80}, uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, pc uint16) {
		const page, at, end = 4096, 2*4096 - 7, 1 << 17
		table := &Table{memory: newMemory(image{page: append(make([]byte, at-page), data...)}), arch: amd64}
		value, start, err := table.lookUp(layout.Slice{Data: at, Len: uint64(len(data))}, 0, 0, end, uint64(pc))
		want, ok := naive(data, uint64(pc))
		if err == nil && (!ok || value != want || start > uint64(pc)) {
			t.Errorf("%x at %d: %d from %d on, want %d, %v", data, pc, value, start, want, ok)
		}
		if err != nil && ok && !errors.Is(err, errEndless) && len(data) > 0 {
			t.Errorf("%x at %d: %v, want %d", data, pc, err, want)
		}
	})
}

func TestValueAgainstNaive(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		data := []byte{0}
		end := uint64(0)
		for i := range 1 + random.IntN(20) {
			delta := random.Uint32() >> (random.IntN(32))
			if i > 0 && delta == 0 {
				delta = 1
			}
			data = binary.AppendUvarint(data, uint64(delta))
			length := 1 + random.Uint64N(300)
			data = binary.AppendUvarint(data, length)
			end += length
		}
		data = append(data, 0)
		table := &Table{memory: newMemory(image{1 << 20: data}), arch: amd64}
		pc := random.Uint64N(end + 2)
		value, _, err := table.lookUp(layout.Slice{Data: 1 << 20, Len: uint64(len(data))}, 1, 0, end, pc)
		want, ok := naive(data[1:], pc)
		if (err == nil) != ok || value != want {
			t.Fatalf("%x at %d: %d, %v, want %d, %v", data, pc, value, err, want, ok)
		}
	}
}

func FuzzStackMap(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 9, 0, 0, 0, 1, 1, 2, 1}, int32(1))
	f.Fuzz(func(t *testing.T, data []byte, index int32) {
		table := &Table{memory: newMemory(image{1 << 20: data}), arch: amd64}
		m, err := table.stackMap(1<<20, index, 1<<27)
		if err != nil {
			return
		}
		if m.words > 8*len(data) || len(m.bits) != (m.words+7)/8 {
			t.Errorf("%x: %d words, %d bytes", data, m.words, len(m.bits))
		}
	})
}

func FuzzStackObjects(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff, 16, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		table := &Table{memory: newMemory(image{1 << 20: data}), arch: amd64}
		fn := &function{module: &module{gofunc: 1 << 20, rodata: 1 << 20}, funcdata: []uint32{0, 0, 0}}
		objects, err := table.stackObjects(fn)
		if err == nil && len(objects)*16+8 > len(data) && len(objects) > 0 {
			t.Errorf("%x: %d objects", data, len(objects))
		}
	})
}

// TestCorrupted changes bytes of the tables and the stack at random: whatever comes of it, all words of the stack that
// look like pointers and are said to be conservative are there, and nothing panics or goes on for ever.
func TestCorrupted(t *testing.T) {
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 1))
		machine := elf.EM_X86_64
		p := newProgram()
		if seed%3 == 0 {
			machine = elf.EM_AARCH64
			p = make1(machine, 27, append(specs(), inliner(10))...)
		}
		s := newStacker(p)
		for range 1 + random.IntN(12) {
			fn := random.IntN(len(specs()))
			s.push(entry(fn)+random.Uint64N(codeSize), heapWord(1), s.sp-16, heapWord(2))
		}
		parts := []uint64{tablesAt, goAt, stackAt, heapAt}
		for range random.IntN(12) {
			data := p.memory[parts[random.IntN(len(parts))]]
			if random.IntN(2) == 0 {
				data[random.IntN(len(data))] = byte(random.Uint32())
			} else {
				copy(data[random.IntN(len(data)):], data[random.IntN(len(data)-8):][:random.IntN(9)])
			}
		}
		table, err := New(p.rt)
		if err != nil {
			continue
		}
		g := layout.G{Status: layout.Waiting, StackLo: stackAt, StackHi: stackTop, SP: s.sp, PC: s.pc, Defer: heapAt + 8, Context: heapWord(4)}
		switch random.IntN(4) {
		case 0:
			g.Status = layout.Running
		case 1:
			g.Status = layout.Running
			p.rt.Threads = []layout.Thread{{PC: s.pc, SP: s.sp, Registers: []uint64{s.sp, heapWord(1)}}}
			if table, err = New(p.rt); err != nil {
				continue
			}
		}
		visits := 0
		if err := table.Unwind(g, func(f Frame) error {
			visits++
			if f.PC != 0 {
				table.Frames(f.PC, func(string, string, uint32, uint32) {})
				table.Line(f.Func, f.PC)
			}
			return nil
		}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if visits == 0 || visits > (stackTop-stackAt)/8 {
			t.Fatalf("seed %d: %d frames", seed, visits)
		}
	}
}
