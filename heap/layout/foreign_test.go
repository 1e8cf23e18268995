package layout

import (
	"debug/elf"
	"io"
	"os"
	"strings"
	"testing"
)

// loaded is memory as the loader makes it from a file that is not position-independent.
type loaded struct{ *elf.File }

func (l loaded) ReadAt(p []byte, off int64) (int, error) {
	for _, s := range l.Progs {
		if s.Type == elf.PT_LOAD && uint64(off) >= s.Vaddr && uint64(off)+uint64(len(p)) <= s.Vaddr+s.Memsz {
			clear(p)
			if at := uint64(off) - s.Vaddr; at < s.Filesz {
				if _, err := s.ReadAt(p[:min(uint64(len(p)), s.Filesz-at)], int64(at)); err != nil {
					return 0, err
				}
			}
			return len(p), nil
		}
	}
	return 0, io.EOF
}

// TestForeign loads programs for the architecture that the tests do not run on, as far as they are set before they run.
func TestForeign(t *testing.T) {
	if !*long {
		t.Skip("needs every toolchain: run with -long")
	}
	for _, toolchain := range toolchains {
		for _, flags := range []string{"-ldflags=", "-ldflags=-s -w"} {
			binary, err := os.Open(build(t, "target", toolchain, "GOARCH=arm64", "CGO_ENABLED=0", flags))
			if err != nil {
				t.Fatal(err)
			}
			defer binary.Close()
			file, err := elf.NewFile(binary)
			if err != nil {
				t.Fatal(err)
			}
			p := Process{Binary: binary, Memory: loaded{file}}
			for _, s := range file.Progs {
				if s.Type == elf.PT_LOAD {
					p.Mappings = append(p.Mappings, Mapping{
						Start: s.Vaddr, End: s.Vaddr + s.Memsz, Readable: true, Writable: s.Flags&elf.PF_W != 0,
						Execute: s.Flags&elf.PF_X != 0, Offset: s.Off, Inode: 1,
					})
				}
			}
			r := &Runtime{Process: p, memory: newCache(p)}
			for _, step := range []func() error{r.openBinary, r.openDWARF} {
				if err := step(); err != nil {
					t.Fatalf("%s %s: %v", toolchain, flags, err)
				}
			}
			if r.Arch != "arm64" || r.Minor != minorOf(toolchain) || r.Bias != 0 {
				t.Errorf("%s %s: %s, 1.%d, bias %#x", toolchain, flags, r.Arch, r.Minor, r.Bias)
			}
			// The pointer bitmaps are made when the program starts.
			r.at.module.gcdatamask, r.at.module.gcbssmask = absent, absent
			want := "bits for"
			if len(r.symbols) == 0 && r.Minor < 26 {
				want = "0 places look like it"
			}
			if err := r.findModules(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: %v", toolchain, flags, err)
			}
		}
	}
}
