package capture

import (
	"encoding/binary"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
)

func TestInUse(t *testing.T) {
	const present = 1 << 63
	entries := []byte{}
	for _, entry := range []uint64{present, 0, present | 1<<55, 1 << 62, 1<<63 - 1, present | 1<<61} {
		entries = binary.NativeEndian.AppendUint64(entries, entry)
	}
	for pages, want := range []uint64{0, 1, 1, 2, 2, 2, 3} {
		if got := inUse(entries[:pages*pagemapEntry]); got != want {
			t.Errorf("%d of %d pages are in use, want %d", got, pages, want)
		}
	}
}

func TestWantsNone(t *testing.T) {
	for setting, want := range map[string]bool{"always madvise [never]\n": true, "always [madvise] never\n": false, "[always] madvise never\n": false} {
		if got := wantsNone(setting); got != want {
			t.Errorf("%q: %v", setting, got)
		}
	}
}

func TestCollapsible(t *testing.T) {
	for _, c := range []struct {
		m    layout.Mapping
		want bool
	}{
		{layout.Mapping{Readable: true, Writable: true}, true},
		{layout.Mapping{Readable: true, Writable: true, Path: "[anon: Go: heap]"}, true},
		{layout.Mapping{Readable: true, Writable: true, Inode: 7, Path: "/data"}, false},
		{layout.Mapping{Readable: true, Path: "[vvar]"}, false},
	} {
		if got := collapsible(c.m); got != c.want {
			t.Errorf("%+v: %v", c.m, got)
		}
	}
}
