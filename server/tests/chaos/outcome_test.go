//go:build linux

package chaos

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// outcome is a row of the table.
type outcome struct {
	fault     string
	done      string
	said      string        // by health
	after     time.Duration // until health said so; 0: it had nothing to say
	accepted  int
	lost      int
	peakRSS   int64
	liveDelta int64         // of the live heap, after a collection each
	recovered time.Duration // until health was ok and a report accepted
	failed    bool
}

// ledgerOfFaults are the outcomes of this run.
type ledgerOfFaults struct {
	mu   sync.Mutex
	rows []outcome
}

var outcomes ledgerOfFaults

func (l *ledgerOfFaults) add(o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = append(l.rows, o)
}

// markdown is the table, in the order of the faults' names.
func (l *ledgerOfFaults) markdown() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortFunc(l.rows, func(a, b outcome) int { return strings.Compare(a.fault, b.fault) })
	var text strings.Builder
	fmt.Fprintf(&text, "Writers and readers go on during each fault. *Lost* counts what was acknowledged, of the newest 1,000 reports and of the\n"+
		"changes of the configuration, and is no longer there or not the same. Memory: resident at most %d MiB, live heap after the\n"+
		"fault at most %d MiB above the one before. Health must tell the truth within 10 s, of the fault and of its end.\n\n",
		maxRSS>>20, maxLiveGrowth>>20)
	text.WriteString("| fault | what was done | health said, after | accepted | lost | peak RSS | live heap after − before | recovered after | |\n")
	text.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, o := range l.rows {
		verdict := "ok"
		if o.failed {
			verdict = "**failed**"
		}
		said := o.said
		if o.after > 0 {
			said += fmt.Sprintf(", %.1f s", o.after.Seconds())
		}
		recovered := "at once"
		if o.recovered > 0 {
			recovered = fmt.Sprintf("%.1f s", o.recovered.Seconds())
		}
		rss, live := "–", "–"
		if o.peakRSS > 0 {
			rss, live = fmt.Sprintf("%d MiB", o.peakRSS>>20), fmt.Sprintf("%+.1f MiB", float64(o.liveDelta)/(1<<20))
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %d | %d | %s | %s | %s | %s |\n",
			o.fault, o.done, said, o.accepted, o.lost, rss, live, recovered, verdict)
	}
	return text.String()
}
