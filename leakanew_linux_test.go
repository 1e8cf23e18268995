package memwarden

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/leak"
)

// TestAnotherWindowEndsNoLeak: a leak that is suspected when the times are changed that it is judged by is the same one
// afterwards, and over when it has ended; of what is watched anew an event says so, and the log.
func TestAnotherWindowEndsNoLeak(t *testing.T) {
	for _, patch := range []string{`{"leaks":{"window_seconds":120}}`, `{"leaks":{"window_seconds":20}}`, `{"leaks":{"interval_seconds":1}}`} {
		synctest.Test(t, func(t *testing.T) {
			o, log := newContainer(t, "max").options()
			c := ofSeconds()
			c.Leaks.WindowSeconds, c.Leaks.IntervalSeconds, c.Leaks.Snapshots = 60, 5, false
			o.Config = c
			w := begin(t, o)
			release := make(chan struct{})
			leaking := true
			letGo := func() {
				if leaking {
					leaking = false
					close(release)
				}
			}
			t.Cleanup(letGo)
			told := subscribe(t, w)
			t.Cleanup(told.Close)
			// now goes on for a second, and returns what is thought of goroutines and what was told of leaks since.
			now := func() (f leak.Finding, events []LeakFinding) {
				if leaking {
					for range 10 {
						go func() { <-release }()
					}
				}
				time.Sleep(time.Second)
				for _, e := range waiting(told) {
					if found, ok := e.Data.(LeakFinding); ok {
						events = append(events, found)
					}
				}
				return w.Leaks().Findings[leak.Goroutines], events
			}
			var before leak.Finding
			for seconds := 0; before.Verdict < leak.Suspect; seconds++ {
				if before, _ = now(); seconds > 300 {
					t.Fatalf("%s: no leak is found: %+v", patch, before)
				}
			}
			if _, err := w.PatchConfig(t.Context(), ConfigPatch{Patch: []byte(patch)}); err != nil {
				t.Fatal(err)
			}
			var events []LeakFinding
			window := time.Duration(w.Config().Config.Leaks.WindowSeconds) * time.Second
			seconds := 0
			for after := before; after.Verdict < leak.Confirmed || after.Window != window; seconds++ {
				var more []LeakFinding
				after, more = now()
				if events = append(events, more...); !after.Since.Equal(before.Since) || seconds > 600 {
					t.Fatalf("%s: it was %+v, and is %+v", patch, before, after)
				}
			}
			anew := map[leak.Kind]bool{}
			for _, e := range events {
				if e.Verdict == leak.Insufficient && strings.HasPrefix(e.Reason, "it is watched anew: ") {
					anew[e.Kind] = true
				}
			}
			if !anew[leak.Heap] || !anew[leak.Threads] || anew[leak.Goroutines] {
				t.Errorf("%s: told to be watched anew is %v: %+v", patch, anew, events)
			}
			if text := log.String(); strings.Contains(text, "memory leak is over") || !strings.Contains(text, "memory leak detection begins anew") {
				t.Errorf("%s: the log is\n%s", patch, text)
			}
			letGo()
			for f, _ := now(); f.Verdict >= leak.Suspect; f, _ = now() {
				if seconds++; !f.Since.Equal(before.Since) || seconds > 1200 {
					t.Fatalf("%s: it was %+v, and is %+v", patch, before, f)
				}
			}
			if text := log.String(); !strings.Contains(text, "memory leak is over") {
				t.Errorf("%s: the log is\n%s", patch, text)
			}
			cases := map[string]bool{}
			for _, l := range leaksOf(t, w, 0, 100) {
				if l.Kind == "goroutines" {
					cases[fmt.Sprint(l.Case, " ", l.Status)] = true
				}
			}
			if len(cases) != 1 || !cases[caseOf(before)+" confirmed"] {
				t.Errorf("%s: reported is %v", patch, cases)
			}
		})
	}
}
