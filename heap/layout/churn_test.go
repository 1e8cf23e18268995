//go:build linux

package layout

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestChurn stops a program that allocates and collects without pause, at any instruction, again and again: while it
// marks, while it sweeps, between two stores of the allocator. Everything must still decode.
func TestChurn(t *testing.T) {
	rounds := 20
	if *long {
		rounds = 50
	}
	for _, m := range churning() {
		cmd := exec.Command(build(t, "target", m.toolchain, m.settings...), "churn")
		pid, _ := start(t, cmd)
		agree := 0
		for range rounds {
			before := ticks(t, pid)
			for ticks(t, pid) < before+2 { // on, by processor time
				time.Sleep(time.Millisecond)
			}
			stop(t, pid)
			if churned(t, describe(t, pid)) {
				agree++
			}
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
		}
		// They differ where the collector stood between counting and the sweep, or a sweeper amid a span.
		if agree < rounds/2 {
			t.Errorf("%v: the spans and the collector agree in %d of %d stops", m, agree, rounds)
		}
	}
}

func churning() []mode {
	if !*long {
		return []mode{{"", nil}}
	}
	var all []mode
	for _, toolchain := range toolchains {
		all = append(all, mode{toolchain, nil}, mode{toolchain, []string{"-race"}})
	}
	return all
}

// churned decodes everything of one stop, and tells whether the spans have as many marked bytes as the collector counted.
func churned(t *testing.T, process Process) bool {
	t.Helper()
	r, err := Open(process)
	if err != nil {
		t.Fatal(err)
	}
	spans, err := r.Spans(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i := range spans {
		s := &spans[i]
		if s.MarkedBytes > s.Objects()*s.ElemSize {
			t.Fatalf("more is marked than allocated: %+v", *s)
		}
	}
	if _, err := r.Goroutines(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Queued(context.Background()); err != nil {
		t.Fatal(err)
	}
	return countedByCollector(t, r, spans) == r.HeapMarked
}

// ticks returns the processor time that a process has used.
func ticks(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		t.Fatal(err)
	}
	return user
}
