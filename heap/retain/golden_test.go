package retain

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
)

var update = flag.Bool("update", false, "write the golden texts anew")

// text tells an analysis for a golden text: what a change of words or figures shows in.
func text(a *Analysis) string {
	var w strings.Builder
	for _, s := range a.Suspects {
		fmt.Fprintf(&w, "%s\n    path      %s (%s)\n", s.Sentence, strings.Join(s.Path, " "), Percent(s.PathShare))
		fmt.Fprintf(&w, "    signature %s\n", s.Signature)
		for _, frame := range s.AllocStack {
			fmt.Fprintf(&w, "    allocated %s\n", frame)
		}
		for _, holder := range s.Holders {
			fmt.Fprintf(&w, "    holder    %s, %d pointers\n", holder.Name, holder.Count)
		}
		for _, t := range s.Consumers {
			fmt.Fprintf(&w, "    inside    %d %s: %d bytes, retain %d\n", t.Count, t.Name, t.ShallowBytes, t.RetainedBytes)
		}
	}
	for _, t := range a.Types {
		fmt.Fprintf(&w, "type      %d %s: %d bytes, retain %d\n", t.Count, t.Name, t.ShallowBytes, t.RetainedBytes)
	}
	for _, r := range a.Roots {
		fmt.Fprintf(&w, "root      %d %s %s: retains %d, shares %d\n", r.Count, r.Kind, r.Name, r.RetainedBytes, r.SharedBytes)
	}
	for _, s := range a.Shared {
		fmt.Fprintf(&w, "shared    %d %s: retain %d, %d holders: %v\n", s.Count, s.Type, s.RetainedBytes, s.HolderCount, s.Holders)
	}
	for _, g := range a.Goroutines {
		fmt.Fprintf(&w, "goroutine %d %s (%s) by %q: retain %d, share %d\n", g.Count, g.Function, g.State, g.CreatedBy, g.RetainedBytes, g.SharedBytes)
	}
	for _, p := range a.Pins {
		fmt.Fprintf(&w, "pin       %d %s by %s: %d of %d bytes\n", p.Count, p.Type, p.Holder, p.UsedBytes, p.ObjectBytes)
	}
	return w.String()
}

func build(s scenario, seed uint64) *heaptest.File {
	b := heaptest.New()
	s.build(b, rand.New(rand.NewPCG(seed, 0)))
	return b.Build()
}

// golden is the file of a scenario's text.
func (s scenario) golden() string {
	return "testdata/" + strings.ReplaceAll(strings.ReplaceAll(s.name, ",", ""), " ", "-") + ".txt"
}

// TestScenarios compares what is said of known heaps with golden texts.
func TestScenarios(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			name := s.golden()
			got := text(analyze(t, build(s, 1), unbounded))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs; if that is meant, run go test ./heap/retain -run Scenarios -update\ngot:\n%s\nwant:\n%s", name, got, want)
			}
		})
	}
}

// TestOrderDoesNotMatter: numbers and addresses of objects are not in an analysis, so the golden texts hold for another
// order than theirs, too.
func TestOrderDoesNotMatter(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			want, err := os.ReadFile(s.golden())
			if err != nil {
				t.Fatal(err)
			}
			const seed = 2 // the golden text is of 1
			if got := text(analyze(t, build(s, seed), unbounded)); got != string(want) {
				t.Errorf("with seed %d:\n%s\nwant:\n%s", seed, got, want)
			}
		})
	}
}
