package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/leakrules"
	"github.com/memwarden/memwarden/leak/leaksim"
)

// leakPlan is how many runs are made up of each shape.
type leakPlan struct{ seeds int }

var leakDefaults = leakPlan{seeds: 100}

// leakRates are those of the leaks of which all must be found, in MiB an hour.
var leakRates = []float64{20, 40, 80}

// leakStart is the minute in which those leaks begin that do not begin with the process.
const leakStart = 10 * 60

// mostFalseAlarms is the share of healthy runs that may have an alarm.
const mostFalseAlarms = 0.02

// hours is a delay.
var hours figure.Unit = func(v float64) string { return fmt.Sprintf("%.1f h", v) }

// measureLeaks has rules judge processes that are made up, of 72 hours each.
func measureLeaks(ctx context.Context, p plan, w workshop) ([]figure.Figure, error) {
	var s series
	w.note("heaps of 300 MiB, 72 hours, a value a minute; an alarm is suspect or worse; caches are registered, the load is told where there is one; a leak that is not found counts as found after 72 h, and so does one of which the alarm came before it")
	w.note("a shape is a way to grow beneath one of the healthy shapes; the goals are those of each shape by itself, so that the largest value is what is judged")
	w.note("of rules that give alarm where there is no leak, a short delay says nothing: the first table has their alarms")
	if err := leakAlarms(ctx, p.leak, &s, w); err != nil {
		return s, err
	}
	for _, from := range []int{leakStart, 0} {
		for _, rate := range leakRates {
			name := fmt.Sprintf("%.0f MiB/h %s", rate, begins(from))
			if err := leakDelays(ctx, p.leak, &s, w, name, leaksim.Leaks(rate, from), true); err != nil {
				return s, err
			}
		}
		if err := leakDelays(ctx, p.leak, &s, w, "2 to 5 MiB/h "+begins(from), leaksim.Tiny(from), false); err != nil {
			return s, err
		}
	}
	return s, nil
}

// leakAlarms counts alarms where there is no leak.
func leakAlarms(ctx context.Context, p leakPlan, s *series, w workshop) error {
	rows := [][]string{ruleNames("shape")}
	for _, shape := range leaksim.Healthy() {
		first, err := firstAlarms(ctx, p, shape)
		if err != nil {
			return err
		}
		row := []string{shape.Name}
		for k, kind := range leakrules.All() {
			alarms := p.seeds
			for _, at := range first[k] {
				if at < 0 {
					alarms--
				}
			}
			share := float64(alarms) / float64(p.seeds)
			if kind.Ours {
				s.add(fmt.Sprintf("false alarms, %s: %s", shape.Name, kind.Name), figure.Percent, figure.AtMost(mostFalseAlarms), share)
			}
			row = append(row, fmt.Sprintf("%.0f %%", 100*share))
		}
		rows = append(rows, row)
	}
	return w.grid("Runs of 72 h with a false alarm", rows)
}

// ruleNames are a table's head.
func ruleNames(first string) []string {
	row := []string{first}
	for _, kind := range leakrules.All() {
		row = append(row, kind.Name)
	}
	return row
}

// delays is when a rule has found the leaks of one shape.
type delays struct {
	hours        []float64 // one for each run; that of a leak that was not found is 72 h
	early, never int
}

func delaysOf(shape leaksim.Shape, first []int) (d delays) {
	for _, at := range first {
		switch {
		case at < 0:
			d.never++
		case at < shape.From:
			d.early++
		}
		if at < shape.From {
			at = shape.From + leaksim.Minutes
		}
		d.hours = append(d.hours, float64(at-shape.From)/60)
	}
	return d
}

func (d delays) median() float64 { return figure.Figure{Values: d.hours}.Median() }

// String is the median and how many leaks were not found.
func (d delays) String() string {
	text := "–"
	if median := d.median(); median < leaksim.Minutes/60 {
		text = hours(median)
	}
	if d.never > 0 {
		text += fmt.Sprintf(", %d never", d.never)
	}
	if d.early > 0 {
		text += fmt.Sprintf(", %d too early", d.early)
	}
	return text
}

// leakDelays finds how long it takes until leaks are seen. Of ours each shape is held against the goals, if there are any.
func leakDelays(ctx context.Context, p leakPlan, s *series, w workshop, name string, shapes []leaksim.Shape, goals bool) error {
	kinds := leakrules.All()
	rows := [][]string{ruleNames("shape")}
	all := make([][]delays, len(kinds))
	for _, shape := range shapes {
		first, err := firstAlarms(ctx, p, shape)
		if err != nil {
			return err
		}
		row := []string{shape.Name}
		for k := range kinds {
			d := delaysOf(shape, first[k])
			all[k] = append(all[k], d)
			row = append(row, d.String())
		}
		rows = append(rows, row)
	}
	for k, kind := range kinds {
		if kind.Ours {
			s.addDelays(fmt.Sprintf("%s, %d shapes: %s", name, len(shapes), kind.Name), kind, all[k], goals)
		}
	}
	return w.grid(strings.ToUpper(name[:1])+name[1:]+", median delay", rows)
}

// addDelays adds the median of all runs, that of each shape, and how many leaks of each were not found.
func (s *series) addDelays(name string, kind leakrules.Kind, shapes []delays, goals bool) {
	whole, median, missing := none, none, none
	if goals {
		most := 6.0
		if kind.Sites {
			most = 1
		}
		whole, median, missing = figure.AtMost(most), figure.EveryAtMost(most), figure.EveryAtMost(0)
	}
	var all, medians, missed []float64
	runs := 0
	for _, d := range shapes {
		all, medians = append(all, d.hours...), append(medians, d.median())
		missed = append(missed, float64(d.never+d.early))
		runs = len(d.hours)
	}
	found := slices.DeleteFunc(slices.Clone(medians), func(v float64) bool { return v >= leaksim.Minutes/60 })
	*s = append(*s,
		figure.Figure{Name: "delay in all runs, " + name, Unit: hours, Goal: whole, Values: all},
		figure.Figure{Name: "median delay of each shape, " + name, Unit: hours, Goal: median, Values: medians},
		figure.Figure{Name: fmt.Sprintf("… not found in 72 h, or taken for found before they began, of %d runs of each shape", runs), Unit: figure.Count, Goal: missing, Values: missed},
		figure.Figure{Name: "… shapes of which most are found", Unit: figure.Count, Values: []float64{float64(len(found))}},
	)
}

func begins(from int) string {
	if from == 0 {
		return "from the start"
	}
	return fmt.Sprintf("after %d h", from/60)
}

// firstAlarms returns the minute of the first alarm of each rule and seed, -1 for none. It makes up as many runs at once
// as there are processors.
func firstAlarms(ctx context.Context, p leakPlan, shape leaksim.Shape) ([][]int, error) {
	kinds := leakrules.All()
	first := make([][]int, len(kinds))
	for k := range first {
		first[k] = make([]int, p.seeds)
	}
	var group sync.WaitGroup
	workers := runtime.NumCPU()
	for worker := range workers {
		group.Go(func() {
			for seed := worker; seed < p.seeds && ctx.Err() == nil; seed += workers {
				run := shape.Run(uint64(seed))
				for k, kind := range kinds {
					first[k][seed] = leakrules.FirstAlarm(kind, run)
				}
			}
		})
	}
	group.Wait()
	return first, ctx.Err()
}
