package main

import (
	"context"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/heap/capture"
)

// small is a plan that shows that everything can be measured. Its figures say nothing.
var small = plan{
	settle: 10 * time.Millisecond, window: 100 * time.Millisecond, rounds: 1, requests: 5000, starts: 1, shutdowns: 1, count: 1,
	heap:  heapPlan{rounds: 1, captured: 1000, attached: 1000, typed: 1000, sample: 100, timeout: 5 * time.Minute},
	cache: cachePlan{writes: 50, replays: 1, longest: 2000, rounds: 1, reads: 10_000, read: 1000, entries: 10_000},
	parts: partsPlan{rounds: 1, keys: 20_000, decisions: 10_000, events: 10_000, connections: 1},
	leak:  leakPlan{seeds: 1},
	watch: watchPlan{rounds: 1, window: 100 * time.Millisecond, bytes: 1 << 20, goroutines: 8},
}

func onLinux(t *testing.T) workshop {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: what a process takes is read from Linux's /proc")
	}
	return workshop{t.TempDir(), io.Discard, new([]string), new([]string)}
}

// TestNotesNameNoServer: what a tool says when it fails comes into documents, without the servers that this machine asks.
func TestNotesNameNoServer(t *testing.T) {
	w := workshop{t.TempDir(), io.Discard, new([]string), new([]string)}
	w.note("tool: reading https://mirror.example:8443/a/@v/list:\n\t403")
	if got, want := (*w.notes)[0], "tool: reading …/a/@v/list: 403"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestShutdownLosesNothing is a promise: every request that the service has accepted is answered, also while it ends.
func TestShutdownLosesNothing(t *testing.T) {
	w := onLinux(t)
	file, err := w.service(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		room, err := w.room()
		if err != nil {
			t.Fatal(err)
		}
		tally, _, err := shutDown(t.Context(), file, room)
		if err != nil {
			t.Fatal(err)
		}
		if tally.Lost > 0 || tally.Answered == 0 || tally.Turned == 0 || tally.Refused != connections {
			t.Errorf("%+v: want none lost, some answered and asked to connect anew, and all connections refused in the end", tally)
		}
	}
}

// TestLoadLeavesNothingBehind looks at what can be counted exactly.
func TestLoadLeavesNothingBehind(t *testing.T) {
	figures, err := measureStats(t.Context(), small, onLinux(t))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range figures {
		if strings.HasPrefix(f.Name, "growth in") {
			found++
			if !f.Met() {
				t.Errorf("%s: %v", f.Name, f.Values)
			}
		}
	}
	if found != 2 {
		t.Errorf("%d figures of growth, want goroutines and descriptors", found)
	}
}

func TestEverySectionMeasures(t *testing.T) {
	onLinux(t)
	for _, s := range sections {
		if s.name == "stats" || s.name == "cold" { // the one has a test of its own and takes the longest, the other fetches all modules anew
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			var out strings.Builder
			_, err := run(t.Context(), []section{s}, small, "", &out, io.Discard)
			if s.onRequest && err != nil && strings.Contains(err.Error(), capture.ErrPermission.Error()) {
				t.Skip("SKIPPED: processes must not be traced here: ", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), "not measured") || !strings.Contains(out.String(), "## "+s.title) || strings.Count(out.String(), "\n| ") < 3 {
				t.Errorf("report:\n%s", out.String())
			}
		})
	}
}

func TestRunTellsWhatCannotBeMeasured(t *testing.T) {
	late := []section{{name: "late", title: "Too late", measure: func(ctx context.Context, _ plan, w workshop) ([]figure.Figure, error) {
		w.note("too\n late.")
		return []figure.Figure{{Name: "never", Unit: figure.Count, Goal: figure.AtMost(1)}}, ctx.Err()
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	met, err := run(ctx, late, small, "", &out, io.Discard)
	if met || err == nil || !strings.Contains(err.Error(), "late: ") || !strings.Contains(out.String(), "0 of 1 goals met") || !strings.Contains(out.String(), "Note: too late.\n") {
		t.Errorf("met %v, %v, report:\n%s", met, err, out.String())
	}
}

func TestChoose(t *testing.T) {
	all, err := choose("")
	if err != nil || len(all) == 0 || slices.ContainsFunc(all, func(s section) bool { return s.onRequest }) {
		t.Errorf("%d sections, %v: want those that are not on request", len(all), err)
	}
	if one, err := choose("heap-pid"); err != nil || len(one) != 1 || !one[0].onRequest {
		t.Errorf("%v, %v", one, err)
	}
	if two, err := choose("sample,stats"); err != nil || len(two) != 2 || two[0].name != "sample" || two[1].name != "stats" {
		t.Errorf("%v, %v", two, err)
	}
	if _, err := choose("stats,nothing"); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("an unknown section: %v", err)
	}
	if err := (plan{}).check(); err == nil {
		t.Error("an empty plan: want an error")
	}
}
