package gotype

import (
	"debug/elf"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/internal/testprogram"
)

// image is the memory of a program as its file has it: no process is needed to read what the linker wrote.
type image struct {
	base  uint64
	bytes []byte
}

func (m image) ReadAt(p []byte, off int64) (int, error) {
	at := uint64(off) - m.base
	if uint64(off) < m.base || at >= uint64(len(m.bytes)) {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, m.bytes[at:])
	if n < len(p) {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}

// bias is where images of position-independent executables are loaded.
const bias = 0x555555554000

// openImage makes a source of an executable that has a symbol table.
func openImage(t testing.TB, path string, minor int) source {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	file, err := elf.NewFile(f)
	if err != nil {
		t.Fatal(err)
	}
	s := source{binary: file, minor: minor}
	if file.Type == elf.ET_DYN {
		s.bias = bias
	}
	low, high := ^uint64(0), uint64(0)
	for _, p := range file.Progs {
		if p.Type == elf.PT_LOAD {
			low, high = min(low, p.Vaddr), max(high, p.Vaddr+p.Memsz)
		}
	}
	m := image{base: low + s.bias, bytes: make([]byte, high-low)}
	for _, p := range file.Progs {
		if p.Type == elf.PT_LOAD {
			if _, err := p.ReadAt(m.bytes[p.Vaddr-low:][:p.Filesz], 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	relocate(t, file, m.bytes, low, s.bias)
	s.process = layout.Process{Memory: m, Binary: f}
	s.modules = []module{imageModule(t, file, m, s.bias, minor)}
	return s
}

// relocate does what the dynamic linker does with relative relocations.
func relocate(t testing.TB, file *elf.File, memory []byte, low, bias uint64) {
	t.Helper()
	for _, name := range []string{".rela", ".rela.dyn"} {
		section := file.Section(name)
		if section == nil {
			continue
		}
		rela, err := section.Data()
		if err != nil {
			t.Fatal(err)
		}
		for ; len(rela) >= 24; rela = rela[24:] {
			at, info := binary.LittleEndian.Uint64(rela), binary.LittleEndian.Uint64(rela[8:])
			if elf.R_X86_64(uint32(info)) == elf.R_X86_64_RELATIVE {
				binary.LittleEndian.PutUint64(memory[at-low:], binary.LittleEndian.Uint64(rela[16:])+bias)
			}
		}
	}
}

// imageModule finds the sections by the linker's symbols.
func imageModule(t testing.TB, file *elf.File, m image, bias uint64, minor int) module {
	t.Helper()
	symbols, err := file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	at := make(map[string]uint64)
	for _, s := range symbols {
		if strings.HasPrefix(s.Name, "runtime.") {
			at[s.Name] = s.Value + bias
		}
	}
	section := func(name string) layout.Range {
		end := at["runtime.e"+strings.TrimPrefix(name, "runtime.")]
		if at[name] == 0 || end < at[name] {
			t.Fatalf("symbols of %s: %#x to %#x", name, at[name], end)
		}
		return layout.Range{Start: at[name], End: end}
	}
	mod := module{
		text: section("runtime.text"), types: section("runtime.types"), data: section("runtime.data"),
		bss: section("runtime.bss"), noPtrData: section("runtime.noptrdata"), noPtrBSS: section("runtime.noptrbss"),
	}
	if minor >= 27 {
		const itabOffset = 320 // of moduledata
		moduledata := m.bytes[at["runtime.firstmoduledata"]-m.base:]
		mod.itabs.Start = mod.types.Start + binary.LittleEndian.Uint64(moduledata[itabOffset:])
		mod.itabs.End = mod.itabs.Start + binary.LittleEndian.Uint64(moduledata[itabOffset+8:])
	} else {
		for _, name := range []string{".itablink", ".data.rel.ro.itablink"} {
			if s := file.Section(name); s != nil {
				mod.itablinks = layout.Slice{Data: s.Addr + bias, Len: s.Size / 8}
			}
		}
	}
	return mod
}

// build builds testdata/target.
func build(t testing.TB, toolchain string, env []string, args ...string) string {
	t.Helper()
	settings := slices.Concat([]string{"GOOS=linux"}, env, args)
	return testprogram.Build(t, filepath.Join("testdata", "target"), toolchain, settings...)
}

// TestImage reads programs for both architectures from their files.
func TestImage(t *testing.T) {
	minor := localMinor(t)
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			path := build(t, "", []string{"GOARCH=" + arch, "CGO_ENABLED=0"})
			s := openImage(t, path, minor)
			table, err := newTable(s)
			if err != nil {
				t.Fatal(err)
			}
			checkItabs(t, s, table)
			if err := table.LoadAll(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkGlobals(t, table, true, true)
			checkDWARF(t, s.binary, table)
			checkConsistent(t, table)
			checkFunctions(t, s, table)
			if arch != "amd64" {
				return // what follows does not depend on it
			}
			for name, test := range map[string]func(*testing.T, source){
				"concurrent": testConcurrent, "damaged memory": testDamagedMemory, "damaged DWARF": testDamagedDWARF,
				"refusal": testRefusal, "released": testReleased,
			} {
				t.Run(name, func(t *testing.T) { test(t, s) })
			}
		})
	}
}

// localMinor is the minor version of the toolchain that build uses.
func localMinor(t testing.TB) int {
	t.Helper()
	_, version, _ := strings.Cut(runtime.Version(), "go1.")
	version, _, _ = strings.Cut(version, ".")
	minor, err := strconv.Atoi(version)
	if err != nil {
		t.Fatal(err)
	}
	return minor
}

// checkItabs checks that the linker's interface tables are known with the type that their symbol names.
func checkItabs(t *testing.T, s source, table *Table) {
	t.Helper()
	if s.minor >= 27 { // the linker names them no more: the first one of the module stands for all
		if first := s.modules[0].itabs.Start; first == 0 || !table.IsTypeWord(first) {
			t.Errorf("there is no interface table at %#x", first)
		}
		return
	}
	symbols, err := s.binary.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, symbol := range symbols {
		name, ok := strings.CutPrefix(symbol.Name, "go:itab.")
		if !ok {
			continue
		}
		id, ok := table.Dynamic(symbol.Value + s.bias)
		name, _, _ = strings.Cut(name, ",")
		if got := table.Types()[id].Name; !ok || !strings.Contains(name, "[") && got != table.reflectName(name).name {
			t.Errorf("%s: %q, %v", symbol.Name, got, ok)
		}
		if _, err := table.ByAddress(symbol.Value + s.bias); err == nil {
			t.Errorf("%s is a type", symbol.Name)
		}
		checked++
	}
	if checked < 10 {
		t.Errorf("%d interface tables", checked)
	}
}

// checkFunctions asks for the variables of every function, at its entry and some way into it.
func checkFunctions(t *testing.T, s source, table *Table) {
	t.Helper()
	locals, captured := 0, 0
	for _, f := range table.dwarf.functions {
		entry := f.entry + s.bias
		for _, pc := range []uint64{entry, entry + 40, entry + 400} {
			found, err := table.Locals(entry, pc)
			if err != nil {
				t.Fatal(err)
			}
			again, err := table.Locals(entry, pc)
			if err != nil || len(again) != len(found) {
				t.Fatalf("asked again: %v, %v; first %v", again, err, found)
			}
			for _, l := range found {
				if size := table.types[l.Type].Size; l.Type != 0 && (l.Size == 0 || l.Start+l.Size > size) {
					t.Errorf("function at %#x: local %+v of %d bytes", entry, l, size)
				}
			}
			locals += len(found)
		}
		found, err := table.Captured(entry)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := table.Captured(entry); err != nil || len(again) != len(found) {
			t.Fatalf("asked again: %v, %v; first %v", again, err, found)
		}
		captured += len(found)
	}
	if locals < 500 || captured < 100 {
		t.Errorf("%d locals, %d captured variables", locals, captured)
	}
	if found, err := table.Locals(1, 1); err != nil || found != nil {
		t.Errorf("a function that does not exist: %v, %v", found, err)
	}
}
