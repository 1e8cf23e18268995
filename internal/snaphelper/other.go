//go:build !linux

package snaphelper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/memwarden/memwarden/heap/retain"
)

// Run fails: processes are frozen on Linux alone.
func (*Scan) Run(context.Context, Options, io.Writer) (Result, error) { return Result{}, unsupported() }

// Analyze fails: without snapshots taken here there is nothing to analyse in another process.
func Analyze(context.Context, Options, *os.File) (*retain.Analysis, error) {
	return nil, unsupported()
}

// AnalyzeHeld fails as Analyze does.
func AnalyzeHeld(context.Context, Options, *os.File, [][]uint64) (*retain.Analysis, []retain.Held, error) {
	return nil, nil, unsupported()
}

func unsupported() error {
	return fmt.Errorf("snapshot helper: not on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
