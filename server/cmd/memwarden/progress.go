package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progress is a bar on a terminal, for work that takes seconds: one line, drawn anew in place.
type progress struct {
	out  io.Writer // nil: nobody looks
	now  func() time.Time
	mu   sync.Mutex
	last time.Time // when it was drawn
	long int       // columns that the line takes
}

const (
	barColumns   = 30
	drawInterval = 100 * time.Millisecond
)

// newProgress draws on standard error if that is a terminal.
func (w *world) newProgress() *progress {
	p := &progress{now: w.now}
	if w.terminal {
		p.out = w.stderr
	}
	return p
}

// show says that done of total are done at a stage; total 0: nobody knows of how much. It may be called as often as one
// likes, from several goroutines.
func (p *progress) show(stage string, done, total uint64) {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); now.Sub(p.last) >= drawInterval {
		p.last = now
		p.draw(line(stage, done, total))
	}
}

func line(stage string, done, total uint64) string {
	if total == 0 {
		return stage + " …"
	}
	share := min(float64(done)/float64(total), 1)
	full := int(share * barColumns)
	return fmt.Sprintf("%-22.22s [%s%s] %3.0f %%", stage, strings.Repeat("#", full), strings.Repeat(".", barColumns-full), 100*share)
}

// draw puts a line in place of the last one.
func (p *progress) draw(text string) {
	columns := len([]rune(text))
	fmt.Fprintf(p.out, "\r%s%s", text, strings.Repeat(" ", max(0, p.long-columns)))
	p.long = columns
}

// end takes the bar away. More of it may come.
func (p *progress) end() {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.long > 0 {
		p.draw("")
		fmt.Fprint(p.out, "\r")
	}
}
