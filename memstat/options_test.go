package memstat

import (
	"strings"
	"testing"
	"time"
)

func TestNewNamesEveryMistake(t *testing.T) {
	_, err := New(Options{PID: -3, FastInterval: -1, SlowInterval: -2, Root: "no/such/place"})
	if err == nil {
		t.Fatal("want an error")
	}
	for _, part := range []string{"Options.PID is -3", "fast interval is -1ns", "slow interval is -2ns", "Options.Root"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error does not say %q:\n%v", part, err)
		}
	}
	tr := newTree(t)
	tr.write("file", "")
	if _, err := New(Options{Root: tr.path("file")}); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a file as Root: got %v", err)
	}
}

func TestIntervals(t *testing.T) {
	for _, c := range []struct {
		fast, slow         time.Duration
		wantFast, wantSlow time.Duration
		refused            bool
	}{
		{0, 0, time.Second, 10 * time.Second, false},
		{30 * time.Second, 0, 30 * time.Second, 30 * time.Second, false},
		{0, time.Minute, time.Second, time.Minute, false},
		{time.Second, time.Second, time.Second, time.Second, false},
		{2 * time.Second, time.Second, 0, 0, true},
		{-1, 0, 0, 0, true},
		{0, -1, 0, 0, true},
	} {
		fast, slow, err := intervals(c.fast, c.slow)
		if c.refused {
			if err == nil {
				t.Errorf("intervals(%v, %v) were not refused", c.fast, c.slow)
			}
			continue
		}
		if err != nil || fast != c.wantFast || slow != c.wantSlow {
			t.Errorf("intervals(%v, %v) = %v, %v, %v; want %v, %v", c.fast, c.slow, fast, slow, err, c.wantFast, c.wantSlow)
		}
	}
}

func TestTierDue(t *testing.T) {
	start := time.Unix(1000, 0)
	tr := tier{interval: time.Second}
	for _, step := range []struct {
		at   time.Duration
		want bool
	}{
		{0, true},
		{0, false},
		{899 * time.Millisecond, false},
		{900 * time.Millisecond, true},
		{1700 * time.Millisecond, false},
		{5 * time.Second, true},
		{-time.Hour, true}, // set back
		{-time.Hour, false},
	} {
		if got := tr.due(start.Add(step.at)); got != step.want {
			t.Errorf("due at %v: got %v, want %v", step.at, got, step.want)
		}
	}
}
