// Package lograte bounds how often a log repeats itself: a fault that recurs with every sample or every request must not
// fill a disk, nor hide the lines that say something else.
//
// It knows messages and times, not what they are about. The facade and package memhttp stand above it.
package lograte

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// Burst is how many lines of one message may come at once.
	Burst = 10
	// Every is how often one comes after that.
	Every = 10 * time.Second
	// maxMessages bounds the messages that are told apart. The code has fewer; those beyond share one rate.
	maxMessages = 256
)

// Limit returns a logger that writes to another, each message (with its level) Burst times at once and then once in Every.
// The next line that is written says in "suppressed" how many were left out before it. It takes the time of now, costs a
// lock and a look into a map for each line, holds 256 messages at most, and is safe for concurrent use.
func Limit(logger *slog.Logger, now func() time.Time) *slog.Logger {
	return slog.New(&handler{Handler: logger.Handler(), book: &book{now: now, lines: make(map[message]*line)}})
}

// handler passes on what the book lets through. Those derived from it share the book.
type handler struct {
	slog.Handler

	book *book
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	suppressed, ok := h.book.take(message{r.Level, r.Message})
	if !ok {
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return h.Handler.Handle(ctx, r)
}

func (h *handler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(attributes), h.book}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.book}
}

// message is what makes two lines one that is repeated.
type message struct {
	level slog.Level
	text  string
}

// line is what the book knows of a message.
type line struct {
	due        time.Time // when it would come next if lines came evenly
	suppressed int       // since the last that was written
}

type book struct {
	now func() time.Time

	mu    sync.Mutex
	lines map[message]*line
}

// take decides whether a line is written, and says how many like it were left out before it.
func (b *book) take(m message) (suppressed int, ok bool) {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.line(m)
	ahead := l.due.Sub(now)
	if ahead < 0 || ahead > Burst*Every { // nothing was written for long, or the clock was set back
		ahead = 0
	}
	if ahead > (Burst-1)*Every {
		l.suppressed++
		return 0, false
	}
	l.due = now.Add(ahead + Every)
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}

// line finds the entry of a message. The caller holds mu.
func (b *book) line(m message) *line {
	if l := b.lines[m]; l != nil {
		return l
	}
	if len(b.lines) >= maxMessages-1 {
		m = message{}
		if l := b.lines[m]; l != nil {
			return l
		}
	}
	l := &line{}
	b.lines[m] = l
	return l
}
