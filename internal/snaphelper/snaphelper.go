// Package snaphelper does in another process what must not be done on a service's own heap: it reads a frozen process
// into a snapshot file, and it analyses such a file. The other process is the same executable, started anew and entered
// from this package's init before the user's main.
//
// It knows how a helper is started, fed, bounded and ended, and nothing of when that is wise: the facade above judges
// how much memory there is. What a helper does is packages scan, graph and retain.
//
// A process becomes a helper only if three things meet, none of which an environment can bring about by accident: the
// variable MEMWARDEN_HELPER_TOKEN, a zeroth argument that no command line has, and a pipe as descriptor 3 on which
// the token in the variable comes. In every other process this package costs one look at the environment.
//
// A helper never goes on to the user's main. It dies with the thread that started it, which is kept alive for that, and
// when the pipe of its request closes; it runs under a memory limit of its own and at a low priority. The inits of
// packages that this one does not import and whose paths sort before its own may run in it, as they do in any process.
package snaphelper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// Errors of a helper, besides those that its task has.
var (
	// ErrBudget means that the task needs more memory than it may use, and nothing was done, or that it took more, and the
	// helper ended itself.
	ErrBudget = errors.New("the memory budget is too small")
	// ErrFileLimit means that the snapshot file would grow beyond its bound, or that the disk is full.
	ErrFileLimit = errors.New("there is no room for the snapshot file")
	// ErrEnded means that the helper ended without an answer: it was killed, or crashed.
	ErrEnded = errors.New("the helper process ended without an answer")
)

// Options of a helper process.
type Options struct {
	// Executable is a program that links this package; empty: the calling process's own, also if its file was replaced.
	Executable string
	// BudgetBytes is what the helper may use, without the pages of files. A task that needs more is refused, and one that
	// takes more all the same is ended within some 20 ms.
	BudgetBytes int64
}

// Scan is the task of reading a frozen process into a snapshot file. The files stay the caller's.
type Scan struct {
	Memory, Maps, Binary *os.File // /proc/PID/mem, maps (unread) and exe of the frozen process
	Threads              []layout.Thread
	Header               snapshot.Header
	Pause                time.Duration // for which the process stood still
	// NeedBytes is what the helper needs for it: see ScanBytes.
	NeedBytes int64
	// MaxFileBytes bounds the file; 0: no bound.
	MaxFileBytes int64
	// Released is called once the frozen process is no longer needed, while the file is being finished. Nil: nobody is.
	Released func()
}

// ScanBytes is about what reading a process needs: what a Go program starts with, the tables of types and functions that
// the executable describes, and, for so many bytes of Go's memory, a bit for each word and the tables of pages.
func ScanBytes(executable, goMemory int64) int64 { return 48<<20 + executable + goMemory/32 }

// Result is what came of a Scan.
type Result struct {
	Summary snapshot.Summary
	Bytes   int64 // of the file
}

// refuse is the error of a task that needs more than it may use.
func refuse(what string, need, budget int64) error {
	return fmt.Errorf("%w: %s needs about %s and may use %s", ErrBudget, what, bytesize.Format(need), bytesize.Format(budget))
}

// request is what a helper reads from descriptor 3: one JSON document.
type request struct {
	Token       string // that of the environment
	BudgetBytes int64
	Scan        *scanRequest
	Analyze     *analyzeRequest
}

type scanRequest struct {
	Threads      []layout.Thread
	Header       snapshot.Header
	Pause        time.Duration
	NeedBytes    int64
	MaxFileBytes int64
}

type analyzeRequest struct {
	Held [][]uint64 // addresses of objects, by what is asked for together
}

// answer is what a helper writes to descriptor 4: a JSON document when the frozen process is no longer needed, if it is
// about one, and one at the end.
type answer struct {
	Released bool   // only that
	Error    string // empty: it went well
	Kind     string // of the error: one of the kinds below, or empty
	Result   Result
	Analysis *retain.Analysis
	Held     []retain.Held // by what was asked for
}

// kinds are the errors that keep their identity on the way.
var kinds = map[string]error{"budget": ErrBudget, "file": ErrFileLimit, "unsupported": errors.ErrUnsupported}

// failure turns an error into an answer.
func failure(err error) answer {
	a := answer{Error: err.Error()}
	for kind, sentinel := range kinds {
		if errors.Is(err, sentinel) {
			a.Kind = kind
		}
	}
	return a
}

// err turns an answer back into the error.
func (a answer) err() error {
	if a.Error == "" {
		return nil
	}
	return &taskError{a.Error, kinds[a.Kind]}
}

// taskError is an error that came from a helper as text.
type taskError struct {
	text string
	kind error
}

func (e *taskError) Error() string { return e.text }

func (e *taskError) Unwrap() error { return e.kind }

// maxAnswerBytes bounds what is read of an answer.
const maxAnswerBytes = 64 << 20

// readAnswer reads the last answer, and calls released when the frozen process is no longer needed.
func readAnswer(in io.Reader, released func()) (answer, error) {
	decoder := json.NewDecoder(io.LimitReader(in, maxAnswerBytes))
	for {
		var a answer
		switch err := decoder.Decode(&a); {
		case errors.Is(err, io.EOF):
			return a, ErrEnded
		case err != nil:
			return a, fmt.Errorf("%w: %w", ErrEnded, err)
		case !a.Released:
			return a, nil
		case released != nil:
			released()
		}
	}
}
