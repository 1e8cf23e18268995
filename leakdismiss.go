package memwarden

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// quietCases are leaks that were dismissed, by their cases. One of each kind is seen at a time, and forgotten when it is
// over; but somebody may dismiss what was over already, as often as he likes, so that the newest alone are known. It is
// safe for concurrent use; the zero value is ready.
type quietCases struct {
	mu    sync.Mutex
	cases []quietCase // oldest first, at most maxQuietCases
}

// quietCase is a case, and the signature for which it is quiet; empty: it has none.
type quietCase struct{ name, signature string }

const maxQuietCases = 64

func (q *quietCases) add(c quietCase) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cases = append(slices.DeleteFunc(q.cases, func(known quietCase) bool { return known.name == c.name }), c)
	q.cases = slices.Delete(q.cases, 0, max(0, len(q.cases)-maxQuietCases))
}

func (q *quietCases) remove(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cases = slices.DeleteFunc(q.cases, func(known quietCase) bool { return known.name == name })
}

// readmit forgets a case, and all others of its signature.
func (q *quietCases) readmit(c quietCase) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cases = slices.DeleteFunc(q.cases, func(known quietCase) bool {
		return known.name == c.name || c.signature != "" && known.signature == c.signature
	})
}

func (q *quietCases) has(name string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.cases, func(known quietCase) bool { return known.name == name })
}

// hasSignature reports whether a case of a signature is known.
func (q *quietCases) hasSignature(signature string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.cases, func(known quietCase) bool { return known.signature == signature })
}

// list returns those that are known.
func (q *quietCases) list() []quietCase {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.cases)
}

// dismissed reports whether somebody has dismissed a signature.
func (w *Warden) dismissed(ctx context.Context, signature string) (found bool, err error) {
	if signature == "" {
		return false, nil
	}
	if w.o.DismissedLeaks != nil {
		if found, err = w.o.DismissedLeaks.Dismissed(ctx, signature); err != nil {
			return false, fmt.Errorf("memwarden: read what is dismissed: %w", err)
		}
		return found, nil
	}
	err = w.eachLeak(ctx, func(l KeptLeak, newest bool) bool {
		found = newest && l.Signature == signature && l.Status == LeakDismissed
		return !found
	})
	return found, err
}

// quiet reports whether somebody has dismissed a case, or leaks of its signature, and quiets the case then. It waits for
// the store so long at most.
func (w *Warden) quiet(ctx context.Context, c quietCase, patience time.Duration) bool {
	if c.name != "" && w.quietLeaks.has(c.name) {
		return true
	}
	reading, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := w.dismissed(reading, c.signature)
	if err != nil && ctx.Err() == nil {
		w.o.Logger.Error("memory leak reports cannot be read, so that nothing is known to be dismissed", "error", err)
	}
	if found {
		if c.name != "" {
			w.quietLeaks.add(c)
		}
		w.o.Logger.Info("memory leak is one that was dismissed", "case", c.name, "signature", c.signature)
	}
	return found
}

// reviewQuiet looks whether what was dismissed still is.
func (w *Warden) reviewQuiet(ctx context.Context) error {
	if w.o.DismissedLeaks == nil {
		return nil
	}
	for _, c := range w.quietLeaks.list() {
		if c.signature == "" {
			continue
		}
		dismissed, err := w.dismissed(ctx, c.signature)
		if err != nil {
			return err
		}
		if !dismissed {
			w.quietLeaks.readmit(c)
		}
	}
	return nil
}
