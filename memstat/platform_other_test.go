//go:build !darwin && !windows

package memstat

import (
	"errors"
	"testing"
)

// TestPlatform: where nothing is known, nothing is claimed.
func TestPlatform(t *testing.T) {
	p, err := newPlatform(0)
	if err != nil {
		t.Fatal(err)
	}
	var sample Sample
	p.fast(&sample, nil)
	p.slow(&sample, nil)
	check(t, "sample", sample, Sample{})
	if p.gone() || p.problems() != nil || p.close() != nil {
		t.Error("want nothing to report")
	}
	if _, err := newPlatform(1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("another process: got %v; want errors.ErrUnsupported", err)
	}
}
