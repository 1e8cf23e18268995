package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/leakrules"
	"github.com/memwarden/memwarden/leak/leaksim"
)

// leakPlan is how many runs are made up of each shape.
type leakPlan struct{ seeds int }

var leakDefaults = leakPlan{seeds: 100}

// leakRates are those of the leaks, in MiB an hour.
var leakRates = []float64{20, 40, 80}

// leakStart is the minute in which those leaks begin that do not begin with the process.
const leakStart = 10 * 60

// hours is a delay.
var hours figure.Unit = func(v float64) string { return fmt.Sprintf("%.1f h", v) }

// measureLeaks has rules judge processes that are made up, of 72 hours each.
func measureLeaks(ctx context.Context, p plan, w workshop) ([]figure.Figure, error) {
	var s series
	w.note("heaps of 300 MiB, 72 hours, a value a minute; an alarm is suspect or worse; caches are registered, the load is told where there is one; a leak that is not found counts as found after 72 h")
	if err := leakAlarms(ctx, p.leak, &s); err != nil {
		return s, err
	}
	return s, leakDelays(ctx, p.leak, &s)
}

// leakAlarms counts alarms where there is no leak.
func leakAlarms(ctx context.Context, p leakPlan, s *series) error {
	for _, shape := range leaksim.Healthy() {
		for _, kind := range leakrules.All() {
			first, err := firstAlarms(ctx, p, kind, shape)
			if err != nil {
				return err
			}
			alarms := 0
			for _, at := range first {
				if at >= 0 {
					alarms++
				}
			}
			goal := none
			if kind.Ours {
				goal = figure.AtMost(0.02)
			}
			s.add(fmt.Sprintf("false alarms, %s: %s", shape.Name, kind.Name), figure.Percent, goal, float64(alarms)/float64(p.seeds))
		}
	}
	return nil
}

// leakDelays finds how long it takes until a leak is seen.
func leakDelays(ctx context.Context, p leakPlan, s *series) error {
	for _, from := range []int{leakStart, 0} {
		for _, kind := range leakrules.All() {
			if !kind.Ours {
				continue // they see a leak where there is none
			}
			var all []float64
			missed := 0
			for _, rate := range leakRates {
				for _, shape := range leaksim.Leaks(rate, from) {
					first, err := firstAlarms(ctx, p, kind, shape)
					if err != nil {
						return err
					}
					f := figure.Figure{Name: fmt.Sprintf("%.0f MiB/h %s, %s: %s", rate, begins(from), shape.Name, kind.Name), Unit: hours}
					for _, at := range first {
						if at < shape.From {
							missed++
							at = shape.From + leaksim.Minutes
						}
						f.Values = append(f.Values, float64(at-shape.From)/60)
					}
					all = append(all, f.Values...)
					*s = append(*s, f)
				}
			}
			goal := figure.AtMost(6)
			switch {
			case kind.Sites && from > 0:
				goal = figure.AtMost(1)
			case kind.Sites:
				goal = none
			}
			*s = append(*s, figure.Figure{Name: fmt.Sprintf("all leaks %s: %s", begins(from), kind.Name), Unit: hours, Goal: goal, Values: all})
			s.add(fmt.Sprintf("… not found in 72 h, or taken for found before they began, of %d", len(all)), figure.Count, figure.AtMost(0.02*float64(len(all))), float64(missed))
		}
	}
	return nil
}

func begins(from int) string {
	if from == 0 {
		return "from the start"
	}
	return fmt.Sprintf("after %d h", from/60)
}

// firstAlarms returns the minute of the first alarm of each seed, -1 for none, as many at once as there are processors.
func firstAlarms(ctx context.Context, p leakPlan, kind leakrules.Kind, shape leaksim.Shape) ([]int, error) {
	first := make([]int, p.seeds)
	var group sync.WaitGroup
	workers := runtime.NumCPU()
	for worker := range workers {
		group.Go(func() {
			for seed := worker; seed < p.seeds && ctx.Err() == nil; seed += workers {
				first[seed] = leakrules.FirstAlarm(kind, shape.Run(uint64(seed)))
			}
		})
	}
	group.Wait()
	return first, ctx.Err()
}
