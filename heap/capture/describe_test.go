package capture

import (
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
)

func TestParseMaps(t *testing.T) {
	text := `00400000-0052b000 r-xp 00000000 fe:01 1835042                            /usr/bin/a b (deleted)
c000000000-c000400000 rw-p 00000000 00:00 0 
7f1b2c000000-7f1b2c021000 ---s 00001000 00:05 12    /dev/zero
7ffd0a9d2000-7ffd0a9f3000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`
	want := []layout.Mapping{
		{Start: 0x400000, End: 0x52b000, Readable: true, Execute: true, Inode: 1835042, Path: "/usr/bin/a b (deleted)"},
		{Start: 0xc000000000, End: 0xc000400000, Readable: true, Writable: true},
		{Start: 0x7f1b2c000000, End: 0x7f1b2c021000, Offset: 0x1000, Inode: 12, Path: "/dev/zero"},
		{Start: 0x7ffd0a9d2000, End: 0x7ffd0a9f3000, Readable: true, Writable: true, Path: "[stack]"},
		{Start: 0xffffffffff600000, End: 0xffffffffff601000, Execute: true, Path: "[vsyscall]"},
	}
	got, err := ParseMaps(strings.NewReader(text))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v, want\n%+v", err, got, want)
	}
}

func TestParseMapsFails(t *testing.T) {
	good := "1000-2000 r--p 00000000 00:00 0\n"
	for _, test := range []struct{ text, says string }{
		{"\n", "line 1: not a mapping"},
		{good + "nonsense\n", "line 2: not a mapping"},
		{"1000-2000 r--p 00000000 00:00\n", "not a mapping"},
		{"1000-2000 r-p 00000000 00:00 0\n", "not a mapping"},
		{"2000-2000 r--p 00000000 00:00 0\n", "not a mapping"},
		{"-1000-2000 r--p 00000000 00:00 0\n", "not a mapping"},
		{"1000-10000000000000000 r--p 00000000 00:00 0\n", "not a mapping"},
		{"1000-2000 r--p 00000000 00:00 99999999999999999999\n", "not a mapping"},
		{good + "1fff-3000 r--p 00000000 00:00 0\n", "line 2: 0x1fff lies below"},
		{good + strings.Repeat("x", maxMapsLine+1), "line 2: bufio.Scanner: token too long"},
	} {
		if m, err := ParseMaps(strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%.80q: %v, %v, want %q", test.text, m, err, test.says)
		}
	}
}

func FuzzParseMaps(f *testing.F) {
	f.Add("1000-2000 r--p 00000000 00:00 0\n2000-3000 rwxp 00001000 fe:01 12   /a b\n")
	f.Add("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]")
	f.Add("\x00-\n")
	f.Fuzz(func(t *testing.T, text string) {
		mappings, err := ParseMaps(strings.NewReader(text))
		if err != nil {
			return
		}
		if len(mappings) > strings.Count(text, "\n")+1 {
			t.Errorf("%d mappings", len(mappings))
		}
		var end uint64
		for _, m := range mappings {
			if m.Start < end || m.End <= m.Start {
				t.Errorf("mapping %+v after %#x", m, end)
			}
			end = m.End
		}
	})
}

func TestFromFiles(t *testing.T) {
	memory, binary := strings.NewReader("memory"), strings.NewReader("binary")
	threads := []layout.Thread{{TID: 7}}
	p, err := FromFiles(memory, binary, strings.NewReader("1-2 r--p 0 0:0 0\n"), threads)
	if err != nil || len(p.Mappings) != 1 || p.Binary != binary || len(p.Threads) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	b := make([]byte, 4)
	if _, err := p.Memory.ReadAt(b, 1); err != nil || string(b) != "emor" {
		t.Errorf("read %q, %v", b, err)
	}
	if _, err := p.Memory.ReadAt(b, 4); !errors.Is(err, ErrGone) {
		t.Errorf("read beyond the end, as of a process that is gone: %v", err)
	}
	if _, err := p.Memory.ReadAt(b, -1); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("read at -1: %v", err)
	}
	if _, err := FromFiles(memory, binary, strings.NewReader(""), nil); !errors.Is(err, ErrGone) {
		t.Errorf("no mappings: %v", err)
	}
	if _, err := FromFiles(memory, binary, strings.NewReader("x"), nil); err == nil {
		t.Error("bad mappings: no error")
	}
	if _, err := FromFiles(memory, binary, failing{}, nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("unreadable mappings: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, os.ErrClosed }

var _ io.ReaderAt = (*Child)(nil)
