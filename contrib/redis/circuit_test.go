package redis

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		caller context.Context
		err    error
		want   verdict
	}{{t.Context(), nil, answered}, {gone, nil, answered}, {gone, errors.New("cut"), unknown}, {t.Context(), errors.New("cut"), failed}} {
		if got := judge(c.caller, c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

// TestCircuit asks a Redis that goes and comes at random, with several callers at once, and looks at what a circuit is
// for.
func TestCircuit(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	time0 := newClock()
	c := &circuit{now: time0.now}
	type caller struct{ round uint64 }
	var asking []caller
	alive := true
	wasOpen, opened := false, time0.at
	pause := time.Duration(0) // the twin's
	for step := range 20_000 {
		switch random.IntN(8) {
		case 0:
			alive = random.IntN(3) > 0
		case 1:
			time0.add(time.Duration(random.IntN(300)) * time.Millisecond)
		case 2, 3, 4:
			before := c.open()
			round, ok := c.enter()
			if !before && !ok {
				t.Fatalf("seed %d, step %d: a closed circuit lets nobody in", seed, step)
			}
			if before && ok {
				if time0.at.Sub(opened) < pause {
					t.Fatalf("seed %d, step %d: asked %v after a failure, want a pause of %v", seed, step, time0.at.Sub(opened), pause)
				}
				if _, second := c.enter(); second {
					t.Fatalf("seed %d, step %d: two try at once", seed, step)
				}
			}
			if ok {
				asking = append(asking, caller{round})
			}
		default:
			if len(asking) == 0 {
				continue
			}
			i := random.IntN(len(asking))
			round := asking[i].round
			asking = append(asking[:i], asking[i+1:]...)
			current := round == c.round
			v := answered
			if !alive {
				v = failed
			}
			if random.IntN(10) == 0 {
				v = unknown
			}
			c.leave(round, v)
			if current && v == failed {
				opened = time0.at
				pause = min(max(2*pause, shortestPause), longestPause)
			} else if current && v == answered {
				pause = 0
			}
			if c.open() != (pause > 0) || c.pause != pause {
				t.Fatalf("seed %d, step %d: pause %v, want %v", seed, step, c.pause, pause)
			}
		}
		wasOpen = wasOpen || c.open()
	}
	if !wasOpen {
		t.Errorf("seed %d: it was never open", seed)
	}
}

// TestCircuitComesBack: whatever happened, one answer after the pause closes it.
func TestCircuitComesBack(t *testing.T) {
	t.Parallel()
	time0 := newClock()
	c := &circuit{now: time0.now}
	for range 10 {
		time0.add(longestPause)
		round, ok := c.enter()
		if !ok {
			t.Fatal("after the longest pause nobody may try")
		}
		c.leave(round, failed)
	}
	if c.pause != longestPause {
		t.Errorf("after many failures the pause is %v, want %v", c.pause, longestPause)
	}
	time0.add(longestPause)
	first, _ := c.enter()
	c.leave(first, unknown) // he went away
	second, ok := c.enter()
	if !ok {
		t.Fatal("the next one may not try")
	}
	c.leave(first, failed) // somebody who was here before
	c.leave(second, answered)
	if c.open() {
		t.Error("it is open after an answer")
	}
}

func TestCircuitWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &circuit{now: time.Now}
		took := func(ctx context.Context) time.Duration {
			start := time.Now()
			c.wait(ctx)
			return time.Since(start)
		}
		if got := took(t.Context()); got != shortestPause {
			t.Errorf("closed: %v", got)
		}
		for _, want := range []time.Duration{shortestPause, 2 * shortestPause} {
			round, _ := c.enter()
			c.leave(round, failed)
			if got := took(t.Context()); got != want {
				t.Errorf("open: %v, want %v", got, want)
			}
		}
		if _, ok := c.enter(); !ok {
			t.Error("nobody may try after the wait")
		}
		if got := took(t.Context()); got != shortestPause {
			t.Errorf("while another one tries: %v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if got := took(ctx); got != time.Millisecond {
			t.Errorf("with a context that ends: %v", got)
		}
	})
}
