package layout

import (
	"strings"
	"testing"
)

// TestListsOfGoroutines: of several lists the one that has all goroutines of the others is the runtime's; where there is
// none, nothing is chosen.
func TestListsOfGoroutines(t *testing.T) {
	m := make(image, imageSize)
	r := m.runtime(26, "amd64")
	const long, one, other = imageList, imageList + 0x100, imageList + 0x200
	for i := range uint64(5) {
		m.put(long+i*wordSize, imageStep+i*0x200)
	}
	m.put(one, imageStep+2*0x200) // what waits begins with its goroutine
	m.put(other, imageStep+9*0x200)
	for _, c := range []struct {
		found map[uint64]uint64
		want  string
	}{
		{map[uint64]uint64{long: 5}, ""},
		{map[uint64]uint64{long: 5, one: 1}, ""},
		{map[uint64]uint64{long: 5, other: 1}, "2 places"},
		{map[uint64]uint64{long: 5, one: 1, imageBase + imageSize: 1}, "EOF"},
		{nil, "0 places"},
	} {
		r.allgs = Slice{long, 5}
		switch err := r.allAmong(c.found); {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%v: %v, want %q", c.found, err, c.want)
		}
	}
}
