package memwarden

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/leak"
)

// TestCasesWait: those for which there is no room are told of once and looked into later, but for what is over by then and for
// what there is a newer case of.
func TestCasesWait(t *testing.T) {
	log := &logBook{}
	w := begin(t, Options{Config: notWatched(), Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err := w.Close(context.Background()); err != nil { // nobody looks into anything
		t.Fatal(err)
	}
	l := &leakWatch{w: w, config: LeakConfig{Snapshots: true}}
	finding := func(kind leak.Kind, n int) leak.Finding {
		return leak.Finding{Kind: kind, Verdict: leak.Suspect, Since: time.Unix(int64(n), 0), Reason: "it rose"}
	}
	tell := func(f, before leak.Finding) { l.tell(t.Context(), LeakFinding{Finding: f}, before) }
	room := cap(w.leakCases)
	for n := range room {
		w.leakCases <- leakCase{finding: finding(leak.Threads, n)}
	}
	tell(finding(leak.Heap, 100), leak.Finding{}) // which is not told before its snapshot, elsewhere
	tell(finding(leak.Native, 200), leak.Finding{})
	tell(finding(leak.Native, 201), finding(leak.Native, 200))
	tell(finding(leak.Goroutines, 300), leak.Finding{})
	tell(leak.Finding{Kind: leak.Goroutines, Verdict: leak.Healthy}, finding(leak.Goroutines, 300))
	var looked []string
	for range room {
		looked = append(looked, caseOf((<-w.leakCases).finding))
	}
	l.handOver()
	for len(w.leakCases) > 0 {
		c := <-w.leakCases
		looked = append(looked, caseOf(c.finding))
		if !c.told {
			t.Errorf("%s is told of twice", caseOf(c.finding))
		}
	}
	want := []string{"heap-100", "native-201"}
	if !slices.Equal(looked[room:], want) || len(l.waiting) != 0 {
		t.Errorf("looked into are %v, want %v at the end; %d wait", looked, want, len(l.waiting))
	}
	for said, times := range map[string]int{
		`msg="memory leak suspect" kind=heap`: 1, `msg="memory leak suspect" kind=native`: 2, "looked into later": 4,
	} {
		if n := strings.Count(log.String(), said); n != times {
			t.Error(fmt.Sprintf("the log says %q %d times, want %d:\n", said, n, times), log)
		}
	}
}
