package lograte

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that the test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

func begin() (*slog.Logger, *bytes.Buffer, *clock) {
	c, out := &clock{time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)}, &bytes.Buffer{}
	return Limit(slog.New(slog.NewTextHandler(out, nil)), c.now), out, c
}

// written counts the lines so far, and forgets them.
func written(out *bytes.Buffer) int {
	defer out.Reset()
	return strings.Count(out.String(), "\n")
}

// TestRepeatedLines come ten at once and then one in ten seconds, and the next one says how many are lacking.
func TestRepeatedLines(t *testing.T) {
	log, out, clock := begin()
	for range 25 {
		log.Error("memory fault", "error", "disk full")
	}
	if n := written(out); n != 10 {
		t.Errorf("%d of 25 lines at once, want 10", n)
	}
	clock.pass(Every - 1)
	log.Error("memory fault")
	if n := written(out); n != 0 {
		t.Errorf("%d lines before it is due, want none", n)
	}
	clock.pass(1)
	log.Error("memory fault", "error", "disk full")
	if got := out.String(); !strings.HasSuffix(got, "msg=\"memory fault\" error=\"disk full\" suppressed=16\n") {
		t.Errorf("it says %q, want suppressed=16", got)
	}
	written(out)
	for range 3600 { // once a second for an hour
		clock.pass(time.Second)
		log.Error("memory fault")
	}
	if n := written(out); n != 360 {
		t.Errorf("%d lines in an hour, want 360", n)
	}
	clock.pass(time.Hour)
	for range 25 {
		log.Error("memory fault")
	}
	if n := written(out); n != 10 {
		t.Errorf("%d lines at once after an hour of silence, want 10", n)
	}
}

// TestOtherLines are not held up by one that is repeated: another message, another level.
func TestOtherLines(t *testing.T) {
	log, out, _ := begin()
	for range 100 {
		log.Error("memory fault")
	}
	written(out)
	log.Warn("memory fault")
	log.Error("memory is back")
	if n := written(out); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
}

// TestDerivedLoggers count together, and levels that are off are not counted.
func TestDerivedLoggers(t *testing.T) {
	log, out, _ := begin()
	for i := range 6 {
		log.With("part", i).Info("memory fault")
		log.WithGroup("g").Info("memory fault", "part", i)
		log.Debug("memory fault")
	}
	if got := out.String(); strings.Count(got, "\n") != 10 || !strings.Contains(got, "part=0") || !strings.Contains(got, "g.part=0") {
		t.Errorf("want ten lines with their attributes:\n%s", got)
	}
}

// TestClockSetBack does not silence a message for as long as that.
func TestClockSetBack(t *testing.T) {
	log, out, clock := begin()
	for range 25 {
		log.Info("memory fault")
	}
	written(out)
	clock.pass(-24 * time.Hour)
	log.Info("memory fault")
	if n := written(out); n != 1 {
		t.Errorf("%d lines after the clock was set back by a day, want 1", n)
	}
}

// TestMessagesAreBounded: messages made of what comes from outside cannot fill the memory, nor the log.
func TestMessagesAreBounded(t *testing.T) {
	log, out, _ := begin()
	for i := range 100_000 {
		log.Info(fmt.Sprint("memory fault ", i))
	}
	if n := len(log.Handler().(*handler).book.lines); n != maxMessages {
		t.Errorf("%d messages are held, want %d", n, maxMessages)
	}
	if n := written(out); n != maxMessages-1+Burst {
		t.Errorf("%d lines, want %d", n, maxMessages-1+Burst)
	}
}

func TestConcurrentUse(t *testing.T) {
	log, out, _ := begin()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				log.LogAttrs(context.Background(), slog.LevelInfo, "memory fault")
			}
		})
	}
	all.Wait()
	if n := written(out); n != Burst {
		t.Errorf("%d lines of 800, want %d", n, Burst)
	}
}
