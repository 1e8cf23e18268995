package layout

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// TestReadOffsets reads the beginning of the debug information of a program that has more, and holds it against the table.
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
	if err != nil || len(found) < 50 {
		t.Fatalf("%d offsets: %v", len(found), err)
	}
	minor, ok := minorVersion(runtime.Version())
	if !ok {
		t.Fatalf("%s is no released version", runtime.Version())
	}
	var table offsets
	table.load(tableOf(minor), runtime.GOARCH)
	for _, f := range table.fields() {
		if at, ok := found[firstName(f.name)]; ok && uint64(at) != *f.at {
			t.Errorf("%s is at %d, in the table at %d", f.name, at, *f.at)
		}
	}
}

func TestCompleteUnits(t *testing.T) {
	little := binary.LittleEndian
	unit := func(version uint16, length uint32) []byte {
		return append(little.AppendUint16(little.AppendUint32(nil, length), version), make([]byte, length-2)...)
	}
	wide := func(version uint16, length uint64) []byte {
		return append(little.AppendUint16(little.AppendUint64([]byte{0xff, 0xff, 0xff, 0xff}, length), version), make([]byte, length-2)...)
	}
	for _, test := range []struct {
		name    string
		parts   [][]byte
		cut     int
		entries []int
		end     int
	}{
		{"nothing", nil, 0, nil, 0},
		{"two", [][]byte{unit(4, 100), unit(5, 20)}, 0, []int{11, 104 + 12}, 104 + 24},
		{"the second cut", [][]byte{unit(5, 100), unit(5, 30)}, 1, []int{12}, 104},
		{"wide ones", [][]byte{wide(5, 100), wide(4, 30)}, 0, []int{24, 112 + 23}, 112 + 42},
		{"a wide one cut", [][]byte{wide(5, 100)}, 1, nil, 0},
		{"a header cut", [][]byte{unit(5, 100), unit(5, 30)}, 20, []int{12}, 104},
		{"too short for a header", [][]byte{unit(5, 8), unit(5, 30)}, 0, nil, 0},
		{"a length that wraps", [][]byte{unit(5, 100), slices.Repeat([]byte{0xff}, 30)}, 0, []int{12}, 104},
	} {
		info := slices.Concat(test.parts...)
		entries, end := completeUnits(info[:len(info)-test.cut])
		if fmt.Sprint(entries) != fmt.Sprint(test.entries) || end != test.end {
			t.Errorf("%s: entries at %v, end %d, want %v and %d", test.name, entries, end, test.entries, test.end)
		}
	}
}
