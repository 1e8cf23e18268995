//go:build !linux || !(amd64 || arm64)

package capture

import (
	"errors"
	"os"
	"testing"
)

func TestUnsupported(t *testing.T) {
	if _, err := Self(t.Context(), Options{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := Attach(t.Context(), os.Getppid(), AttachOptions{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
