package bounddir

import (
	"testing"
	"time"
)

func TestID(t *testing.T) {
	now := time.Date(2026, 1, 2, 16, 4, 5, 999, time.FixedZone("", 3600))
	id := NewID(now)
	if !IsID(id) {
		t.Errorf("%s is none", id)
	}
	if at, ok := TimeOf(id); !ok || !at.Equal(now.Truncate(time.Second)) {
		t.Errorf("%s is of %v, %v", id, at, ok)
	}
	if other := NewID(now); other == id {
		t.Errorf("%s twice", id)
	}
	for _, text := range []string{
		"", id[:len(id)-1], id + "0", "../" + id[3:], id[:24] + "/", id[:24] + "G", id[:24] + "F", "2026010xT150405Z-00000000",
		"20260102t150405Z-00000000", "20260102T150405Z_00000000", "20260102T150405Z-0000\n000",
	} {
		if IsID(text) {
			t.Errorf("%q is one", text)
		}
	}
	strange := "20261302T150405Z-00000000" // month 13
	if !IsID(strange) {
		t.Errorf("%s is none", strange)
	}
	if at, ok := TimeOf(strange); ok || !at.IsZero() {
		t.Errorf("%s is of %v", strange, at)
	}
	if _, ok := TimeOf("2026"); ok {
		t.Error("what is too short has a time")
	}
}
