//go:build linux

package layout

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// patched is memory with some words changed.
type patched struct {
	io.ReaderAt
	words map[uint64]uint64 // by address, aligned
}

func (p patched) ReadAt(b []byte, off int64) (int, error) {
	n, err := p.ReaderAt.ReadAt(b, off)
	var word [8]byte
	for addr, value := range p.words {
		binary.LittleEndian.PutUint64(word[:], value)
		for i := range uint64(8) {
			if at := addr + i - uint64(off); at < uint64(n) {
				b[at] = word[i]
			}
		}
	}
	return n, err
}

// all calls everything that a Runtime has.
func all(p Process) error {
	r, err := Open(p)
	if err != nil {
		return err
	}
	spans, err := r.Spans(context.Background())
	if err != nil {
		return err
	}
	if _, err := r.Goroutines(context.Background()); err != nil {
		return err
	}
	if err := r.Specials(spans, func(s Special) error {
		if s.Kind == ProfileSpecial {
			_, err := r.ProfileStack(s.Bucket)
			return err
		}
		return nil
	}); err != nil {
		return err
	}
	_, err = r.Queued(context.Background())
	return err
}

// damage is a word that is changed, and what the error must say.
type damage struct {
	name  string
	addr  uint64
	value uint64
	want  string
}

// damages lists one for each check, on what a process really has.
func damages(t *testing.T, process Process, said report) []damage {
	t.Helper()
	r, err := Open(process)
	if err != nil {
		t.Fatal(err)
	}
	spans, err := r.Spans(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	gs, err := r.Goroutines(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	waiting := slices.IndexFunc(gs, func(g G) bool { return g.Status == Waiting })
	node, module, g := spanOf(t, spans, said.Node).Address, r.Modules[0].Address, gs[waiting].Address
	special := spanOf(t, spans, said.Cleaned).Specials
	heap := r.symbols["runtime.mheap_"]
	return []damage{
		{"span start", node + r.at.span.startAddr, 0x123, "start 0x123"},
		{"span pages", node + r.at.span.npages, 1 << 60, "pages"},
		{"span beyond what is mapped", node + r.at.span.npages, 1 << 30, "not mapped"},
		{"span slots", node + r.at.span.freeindex, 0xffff_ffff_0001_ffff, "free index"},
		{"span size", node + r.at.span.elemsize, 47, "slots of 47 bytes"},
		{"span bitmap", node + r.at.span.allocBits, 0, "no bitmaps"},
		{"span limit", node + r.at.span.limit, 1, "limit"},
		{"span generation", node + r.at.span.sweepgen, 0xffff_0001_0000_4444, "multiplier"},
		{"spans", heap + r.at.heap.allspans, 0, "0x0"},
		{"number of spans", heap + r.at.heap.allspans + 8, 1 << 62, "capacity"},
		{"generation", heap + r.at.heap.sweepgen, 3, "odd"},
		{"generation of others", heap + r.at.heap.sweepgen, 4444, "generation"},
		{"allgs", r.symbols["runtime.allgs"], 0x10, "goroutines at 0x10"},
		{"goroutine's status", g + r.at.g.atomicstatus, 77, "status 77"},
		{"goroutine's number", g + r.at.g.goid, 0, "no number"},
		{"goroutine's twin", g + r.at.g.goid, gs[0].ID, "two goroutines"},
		{"goroutine's stack", g + r.at.g.stackHi, 0, "stack"},
		{"goroutine's stack pointer", g + r.at.g.sp, 1, "stack pointer"},
		{"goroutine's PC", g + r.at.g.pc, 1, "no module"},
		{"module's header", module + r.at.module.pcHeader, said.Node, "pcHeader begins"},
		{"module's text", module + r.at.module.text, 1, "text"},
		{"module's functions", module + r.at.module.minpc, 1, "outside the text"},
		{"module's table", module + r.at.module.ftab + 8, 1 << 60, "ftab"},
		{"module's mask", module + r.at.module.gcdatamask, 77, "77 bits"},
		{"module's mask's place", module + r.at.module.gcbssmask + 8, 77, "not mapped"},
		{"module's next", module + r.at.module.next, module, "does not end"},
		{"module elsewhere", module + r.at.module.data, said.Node, "data"},
		{"special's place", special + r.at.special.offset, 1 << 40, "offset"},
		{"special's loop", special + r.at.special.next, special, "does not end"},
		{"special's next", special + r.at.special.next, 1, "not mapped"},
		{"finalizers", r.symbols["runtime.allfin"], 1, "a block at 0x1"},
		{"finalizers elsewhere", r.symbols["runtime.allfin"], said.Node, "entr"},
		{"cleanups", r.symbols["runtime.gcCleanups"] + r.at.cleanQueue.all, 8, "not mapped"},
	}
}

// TestDamage changes a word of a real process and expects to be told.
func TestDamage(t *testing.T) {
	process, said := freeze(t, build(t, "target", "", "-ldflags=-w"))
	for _, test := range damages(t, process, said) {
		t.Run(test.name, func(t *testing.T) {
			damaged := process
			damaged.Memory = patched{process.Memory, map[uint64]uint64{test.addr: test.value}}
			if err := all(damaged); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// TestRandomDamage changes words of the runtime's structures at random: any outcome but a panic will do.
func TestRandomDamage(t *testing.T) {
	process, said := freeze(t, build(t, "target", "", "-ldflags=-s -w"))
	r, err := Open(process)
	if err != nil {
		t.Fatal(err)
	}
	spans, err := r.Spans(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	gs, err := r.Goroutines(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	values := []uint64{0, 1, 7, 8, 1 << 13, 1 << 31, 1 << 47, 1 << 62, 1<<63 - 1, 1<<64 - 1, said.Node, r.Modules[0].PCHeader}
	rounds := 30
	if *long {
		rounds = 1000
	}
	for range rounds {
		structures := []Range{
			{r.Modules[0].Address, r.Modules[0].Address + r.at.module.size},
			{spans[random.IntN(len(spans))].Address, 0},
			{gs[random.IntN(len(gs))].Address, 0},
			{r.Modules[0].NoPtrBSS.Start &^ 7, r.Modules[0].NoPtrBSS.End &^ 7},
		}
		structures[1].End = structures[1].Start + r.at.span.size
		structures[2].End = structures[2].Start + r.at.g.size
		words := make(map[uint64]uint64)
		for range 1 + random.IntN(3) {
			s := structures[random.IntN(len(structures))]
			words[s.Start+random.Uint64N(s.Size()/8)*8] = values[random.IntN(len(values))]
		}
		damaged := process
		damaged.Memory = patched{process.Memory, words}
		_ = all(damaged)
	}
}

// TestBinaries opens what is no supported Go program.
func TestBinaries(t *testing.T) {
	path := build(t, "target", "", "-ldflags=-s -w")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	open := func(binary []byte) error {
		_, err := Open(Process{Memory: bytes.NewReader(nil), Binary: bytes.NewReader(binary)})
		return err
	}
	for name, binary := range map[string][]byte{
		"empty": nil, "script": []byte("#!/bin/sh\n"), "ELF without sections": text[:64], "cut": text[:1000],
	} {
		if err := open(binary); !errors.Is(err, ErrNotGo) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A Go program in a process that does not run it.
	var layout *LayoutError
	if err := open(text); !errors.As(err, &layout) || layout.What != "executable" || layout.Unwrap() == nil {
		t.Errorf("no mappings: %v", err)
	}
	for cut := 0; cut < len(text); cut += len(text) / 50 {
		if open(text[:cut]) == nil {
			t.Errorf("cut at %d: no error", cut)
		}
	}
	if _, err := Open(Process{}); err == nil {
		t.Error("nothing: no error")
	}
	// Other versions and architectures.
	info := bytes.Index(text, []byte("go1."))
	for info >= 0 && !bytes.HasPrefix(text[info-1:], []byte{8}) {
		next := bytes.Index(text[info+1:], []byte("go1."))
		info += next + 1
	}
	version := text[info:][:8]
	for _, other := range []string{"go1.99.8", "go1.23.1", "go1.x.yz", "gccgo1.2"} {
		old := string(version)
		copy(version, other)
		err := open(text)
		var unsupported *UnsupportedError
		if !errors.As(err, &unsupported) || unsupported.Version != other || !strings.Contains(err.Error(), knownVersions()) {
			t.Errorf("%s: %v", other, err)
		}
		copy(version, old)
	}
	binary.LittleEndian.PutUint16(text[18:], uint16(elf.EM_RISCV))
	var unsupported *UnsupportedError
	if err := open(text); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "RISCV") {
		t.Errorf("another architecture: %v", err)
	}
}

// TestOtherExecutable describes a process with another program's file.
func TestOtherExecutable(t *testing.T) {
	process, _ := freeze(t, build(t, "target", "", "-ldflags=-s -w"))
	other, err := os.Open(build(t, "target", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	process.Binary = other
	var layout *LayoutError
	if _, err := Open(process); !errors.As(err, &layout) {
		t.Errorf("error %v", err)
	}
}
