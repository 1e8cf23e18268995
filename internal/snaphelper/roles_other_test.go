//go:build !linux

package snaphelper

import (
	"errors"
	"testing"
)

func roles() {}

func TestUnsupported(t *testing.T) {
	if _, err := new(Scan).Run(t.Context(), Options{}, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := Analyze(t.Context(), Options{}, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
