package layout

import (
	"debug/elf"
	"encoding/binary"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestReadOffsets reads the beginning of the debug information of a program that has more, and finds what all of it has.
func TestReadOffsets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gofmt")
	if out, err := exec.Command("go", "build", "-o", path, "cmd/gofmt").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	found, err := readOffsets(file)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := file.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	want, err := dwarfOffsets(whole)
	if err != nil || len(want) < 50 {
		t.Fatalf("%d offsets: %v", len(want), err)
	}
	for name, at := range want {
		if found[name] != at {
			t.Errorf("%s is at %d, in all of the debug information at %d", name, found[name], at)
		}
	}
}

func TestWholeUnits(t *testing.T) {
	short := func(length uint32) []byte {
		return append(binary.LittleEndian.AppendUint32(nil, length), make([]byte, length)...)
	}
	wide := func(length uint64) []byte {
		return append(binary.LittleEndian.AppendUint64([]byte{0xff, 0xff, 0xff, 0xff}, length), make([]byte, length)...)
	}
	for _, test := range []struct {
		name  string
		parts [][]byte
		cut   int
		want  int
	}{
		{"nothing", nil, 0, 0},
		{"two", [][]byte{short(100), short(20)}, 0, 104 + 24},
		{"the second cut", [][]byte{short(100), short(20)}, 1, 104},
		{"a wide one", [][]byte{wide(100), short(8)}, 0, 112 + 12},
		{"a wide one cut", [][]byte{wide(100)}, 1, 0},
		{"a header cut", [][]byte{short(100), short(8)}, 9, 104},
		{"a length that wraps", [][]byte{short(100), {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, 0, 104},
	} {
		var info []byte
		for _, part := range test.parts {
			info = append(info, part...)
		}
		if got := wholeUnits(info[:len(info)-test.cut]); got != test.want {
			t.Errorf("%s: %d bytes of whole units, want %d", test.name, got, test.want)
		}
	}
}
