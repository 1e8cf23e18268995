package layout

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"go/version"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// openBinary reads the executable: its version, its symbols, and where the process has it.
func (r *Runtime) openBinary() error {
	if r.Binary == nil || r.Memory == nil {
		return errors.New("layout: a process needs its memory and its executable")
	}
	file, err := elf.NewFile(r.Binary)
	if err != nil {
		return fmt.Errorf("executable: %w (%w)", ErrNotGo, err)
	}
	r.ELF = file
	if err := r.readVersion(); err != nil {
		return err
	}
	if err := r.locate(); err != nil {
		return err
	}
	r.BuildID = buildID(file)
	r.readSymbols()
	return nil
}

// minorVersion returns the second number of a released version: 26 of "go1.26.8", "go1.26rc1", "go1.26.8-X:nogreenteagc",
// 24 of "go1.24.6 (Red Hat 1.24.6-1.el9)"; false for another.
func minorVersion(name string) (int, bool) {
	name, _, _ = strings.Cut(name, " ")
	name, _, _ = strings.Cut(name, "-")
	number, isGo1 := strings.CutPrefix(version.Lang(name), "go1.")
	minor, err := strconv.Atoi(number)
	return minor, isGo1 && err == nil
}

func (r *Runtime) readVersion() error {
	info, err := buildinfo.Read(r.Binary)
	if err != nil {
		return fmt.Errorf("executable: %w (%w)", ErrNotGo, err)
	}
	r.Version = info.GoVersion
	r.Arch = architecture(r.ELF.Machine)
	if r.Arch == "" || r.ELF.Class != elf.ELFCLASS64 || r.ELF.Data != elf.ELFDATA2LSB {
		return &UnsupportedError{r.Version, "is built for " + r.ELF.Machine.String()}
	}
	minor, released := minorVersion(r.Version)
	if !released {
		return &UnsupportedError{r.Version, "is not a released version of Go"}
	}
	r.Minor, r.names = minor, tableOf(minor)
	if r.names == nil || strings.Contains(r.Version, "-devel") {
		return &UnsupportedError{r.Version, "its runtime has no known layout"}
	}
	r.at.load(r.names, r.Arch)
	r.GreenTea = greenTea(r.Minor, experiments(r.Version))
	return nil
}

// architecture returns Go's name of a machine; empty for one that is not supported.
func architecture(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_AARCH64:
		return "arm64"
	}
	return ""
}

// experiments returns the list after "X:" in a version, comma separated: what differs from its default.
func experiments(version string) []string {
	if _, list, ok := strings.Cut(version, "X:"); ok {
		list, _, _ = strings.Cut(list, " ")
		return strings.Split(list, ",")
	}
	return nil
}

// greenTea tells whether small spans have inline mark bits: an experiment in 1.25, the default since.
func greenTea(minor int, experiments []string) bool {
	on := minor >= 26
	for _, e := range experiments {
		switch e {
		case "greenteagc":
			on = true
		case "nogreenteagc":
			on = false
		}
	}
	return on
}

const (
	// compared is how much of the text is held against the file.
	compared = 4 << 10
	// maxNote bounds the build ID's section.
	maxNote = 4 << 10
)

// locate finds the load bias, and that the process runs this executable: the text in memory is the file's.
func (r *Runtime) locate() error {
	text := r.textSegment()
	if text == nil {
		return &LayoutError{"executable", errors.New("it has no executable segment")}
	}
	want := make([]byte, min(text.Filesz, compared))
	if _, err := text.ReadAt(want, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("executable: text: %w", err)
	}
	var cause error
	for _, m := range r.Mappings {
		if !m.Readable || !m.Execute || text.Off < m.Offset || text.Off-m.Offset >= m.End-m.Start {
			continue
		}
		bias := m.Start + (text.Off - m.Offset) - text.Vaddr
		if bias != 0 && r.ELF.Type != elf.ET_DYN || bias%(4<<10) != 0 {
			continue
		}
		got := make([]byte, len(want))
		if err := r.memory.read(text.Vaddr+bias, got); err != nil {
			cause = err
			continue
		}
		if bytes.Equal(got, want) {
			r.Bias = bias
			return nil
		}
	}
	if cause == nil {
		cause = errors.New("no mapping holds its text: the process runs another file")
	}
	return &LayoutError{"executable", cause}
}

func (r *Runtime) textSegment() *elf.Prog {
	for _, p := range r.ELF.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && p.Filesz > 0 && p.Vaddr < math.MaxInt64 {
			return p
		}
	}
	return nil
}

// segments returns the address ranges of the binary's loaded segments in the process.
func (r *Runtime) segments() []Range {
	var ranges []Range
	for _, p := range r.ELF.Progs {
		if p.Type == elf.PT_LOAD {
			ranges = append(ranges, Range{p.Vaddr + r.Bias, p.Vaddr + p.Memsz + r.Bias})
		}
	}
	return ranges
}

// section returns the address range of a section in the process.
func (r *Runtime) section(names ...string) (Range, bool) {
	for _, name := range names {
		if s := r.ELF.Section(name); s != nil && s.Addr != 0 && s.Size > 0 && s.Addr+s.Size > s.Addr {
			return Range{s.Addr + r.Bias, s.Addr + s.Size + r.Bias}, true
		}
	}
	return Range{}, false
}

// buildID reads the note that the Go linker writes; empty where there is none.
func buildID(file *elf.File) string {
	s := file.Section(".note.go.buildid")
	if s == nil || s.Size < 16 || s.Size > maxNote {
		return ""
	}
	note := make([]byte, s.Size)
	if _, err := s.ReadAt(note, 0); err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	// Elf64_Nhdr: three words, then the name "Go\0\0", then the description.
	if n := uint64(binary.LittleEndian.Uint32(note[4:])); n <= s.Size-16 {
		return string(note[16:][:n])
	}
	return ""
}

// wantedSymbols are the runtime's variables that are found by name where the binary has a symbol table.
var wantedSymbols = []string{
	"runtime.firstmoduledata", "runtime.mheap_", "runtime.allgs", "runtime.allfin", "runtime.gcCleanups", "runtime.gcController",
	"runtime.memstats",
}

func (r *Runtime) readSymbols() {
	r.symbols = make(map[string]uint64)
	symbols, err := r.ELF.Symbols()
	if err != nil {
		return // none, or damaged: then the structures are found by their shape
	}
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_OBJECT && slices.Contains(wantedSymbols, s.Name) {
			r.symbols[s.Name] = s.Value + r.Bias
		}
	}
}
