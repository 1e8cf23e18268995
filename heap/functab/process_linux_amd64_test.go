package functab

import (
	"flag"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/internal/testprogram"
)

var long = flag.Bool("long", false, "build and freeze programs in every build mode with every toolchain")

// mode is a way to build a program.
type mode struct {
	toolchain string
	settings  []string
}

func (m mode) String() string { return strings.Join(append([]string{m.toolchain}, m.settings...), " ") }

// modes are the local toolchain's default and stripped, or with -long all.
func modes() []mode {
	if !*long {
		return []mode{{}, {"", []string{"-buildmode=pie", "-ldflags=-s -w"}}}
	}
	var all []mode
	for _, toolchain := range testprogram.Toolchains() {
		for _, settings := range [][]string{
			{"CGO_ENABLED=0"}, {"-ldflags=-s -w"}, {"-trimpath", "-buildmode=pie"}, {"-buildmode=pie", "-ldflags=-s -w"},
			{"-race"}, {"-gcflags=all=-N -l"}, {"-gcflags=all=-spectre=all"},
		} {
			all = append(all, mode{toolchain, settings})
		}
	}
	return all
}

// found is a word that was found of an object.
type found struct {
	frame        string
	kind         FrameKind
	conservative bool
	steps        int // 0: the word points to it, 1: to an object that does, ...
}

// search unwinds all stacks for words that point to addr, or lead to it in so many steps.
func (tg *target) search(t testing.TB, addr uint64, steps int) []found {
	t.Helper()
	var all []found
	for _, g := range tg.gs {
		if g.System {
			continue
		}
		err := tg.table.Unwind(g, func(f Frame) error {
			for _, word := range f.Words {
				if n := tg.leads(word.Value, addr, steps, make(map[uint64]bool)); n >= 0 {
					all = append(all, found{f.Func.Name, f.Kind, f.Conservative, n})
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// leads returns in how many steps a pointer leads to addr, -1 if in no so few.
func (tg *target) leads(from, addr uint64, steps int, seen map[uint64]bool) int {
	if from == addr {
		return 0
	}
	if steps == 0 || seen[from] || from-addr+64<<20 > 128<<20 {
		return -1
	}
	seen[from] = true
	for at := from &^ 7; at < from&^7+6*wordSize; at += wordSize {
		value, err := tg.table.memory.uint64(at)
		if err != nil {
			return -1
		}
		if n := tg.leads(value, addr, steps-1, seen); n >= 0 {
			return n + 1
		}
	}
	return -1
}

// steps is in how many a stack leads to nodes that it holds by closures and records of deferred calls.
var steps = map[string]int{"rangefunc": 4}

func TestStates(t *testing.T) {
	for _, m := range modes() {
		t.Run(m.String(), func(t *testing.T) {
			tg := freeze(t, false, build(t, "states", m.toolchain, m.settings...), "states")
			debuggable := slices.Contains(m.settings, "-gcflags=all=-N -l")
			for _, h := range tg.holds {
				limit := 0
				if h.live {
					limit = max(1, steps[h.name])
				}
				all := tg.search(t, h.addr, limit)
				precise := slices.ContainsFunc(all, func(f found) bool { return !f.conservative })
				if !h.live && len(all) > 0 && !debuggable {
					t.Errorf("dead %s is found at %+v", h.name, all)
				}
				if h.live && !precise {
					t.Errorf("%s is found at %+v", h.name, all)
				}
			}
			compareStacks(t, tg)
			for _, g := range tg.gs {
				if g.Status != layout.Running { // as the runtime's own may be at any time
					noRemainder(t, tg, g)
				}
			}
			for _, warning := range tg.table.Warnings() {
				if !strings.HasPrefix(warning, "a goroutine was running") {
					t.Error(warning)
				}
			}
		})
	}
}

// noRemainder sees that the stack is unwound to its end, in order.
func noRemainder(t *testing.T, tg *target, g layout.G) {
	t.Helper()
	last := uint64(0)
	err := tg.table.Unwind(g, func(f Frame) error {
		if f.Kind == Remainder {
			t.Errorf("goroutine %d (%s): from %#x to %#x not unwound", g.ID, g.State, f.SP, f.CFA)
		}
		if f.Kind == Call && f.PC != 0 {
			if f.SP < last || f.CFA < f.SP {
				t.Errorf("goroutine %d: %s from %#x to %#x, last %#x", g.ID, f.Func.Name, f.SP, f.CFA, last)
			}
			last = f.CFA
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// compareStacks holds the unwound stacks against what the runtime printed of the program's goroutines.
func compareStacks(t *testing.T, tg *target) {
	t.Helper()
	truth := parseStacks(tg.stacks)
	compared := 0
	for _, g := range tg.gs {
		want := truth[g.ID]
		if !strings.Contains(strings.Join(want, "\n"), "main.") {
			continue
		}
		compared++
		if got := tg.lines(t, g); !slices.Equal(got, want) {
			t.Errorf("goroutine %d (%s):\n%s\nwant\n%s", g.ID, g.State, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if compared < 20 {
		t.Errorf("%d stacks compared", compared)
	}
}

// shown tells whether the function is one whose frames are compared: the runtime shows few of its own.
func shown(name string) bool {
	return !strings.HasPrefix(name, "runtime.") || name == "runtime.gopanic"
}

// parseStacks returns by goroutine the functions and lines of runtime.Stack.
func parseStacks(text string) map[uint64][]string {
	all := make(map[uint64][]string)
	for stack := range strings.SplitSeq(text, "\n\n") {
		lines := strings.Split(stack, "\n")
		for len(lines) > 0 && !strings.HasPrefix(lines[0], "goroutine ") {
			lines = lines[1:]
		}
		if len(lines) == 0 {
			continue
		}
		number, _, _ := strings.Cut(lines[0][len("goroutine "):], " ")
		id, _ := strconv.ParseUint(number, 10, 64)
		for i := 1; i+1 < len(lines); i += 2 {
			if strings.HasPrefix(lines[i], "created by ") {
				break
			}
			name := lines[i][:strings.LastIndexByte(lines[i], '(')]
			place, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " ")
			if name == "panic" {
				name = "runtime.gopanic"
			}
			if shown(name) {
				all[id] = append(all[id], name+" "+place)
			}
		}
	}
	return all
}

// lines names the logical frames as the runtime prints them, without wrappers.
func (tg *target) lines(t testing.TB, g layout.G) []string {
	var all []string
	err := tg.table.Unwind(g, func(f Frame) error {
		if f.Kind != Call || f.PC == 0 {
			return nil
		}
		tg.table.Frames(f.PC, func(name, file string, start, line uint32) {
			if shown(name) && (!f.Func.Wrapper || name != f.Func.Name) {
				all = append(all, fmt.Sprintf("%s %s:%d", name, file, line))
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestSpinning freezes goroutines that were interrupted between any two instructions, and one that waits for its turn.
func TestSpinning(t *testing.T) {
	for _, m := range modes() {
		for _, registers := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v registers=%v", m, registers), func(t *testing.T) {
				tg := freeze(t, registers, build(t, "states", m.toolchain, m.settings...), "spin", busy)
				for _, h := range tg.holds {
					all := tg.search(t, h.addr, 0)
					if len(all) == 0 {
						t.Errorf("%s is not found", h.name)
					}
					t.Logf("%s is found at %+v", h.name, all)
				}
				for _, g := range tg.gs {
					tg.checkSpinner(t, &g, registers)
				}
			})
		}
	}
}

func (tg *target) checkSpinner(t *testing.T, g *layout.G, registers bool) {
	t.Helper()
	var names []string
	conservative := make(map[string]bool)
	kinds := make(map[FrameKind]int)
	err := tg.table.Unwind(*g, func(f Frame) error {
		kinds[f.Kind]++
		if f.Kind == Call && f.PC != 0 {
			names = append(names, f.Func.Name)
			conservative[f.Func.Name] = f.Conservative
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("goroutine %d (%s): %v, conservative %v, %v", g.ID, g.State, names, conservative, kinds)
	running := g.Status == layout.Running && g.SyscallSP == 0
	if running && !registers {
		if kinds[Remainder] == 0 {
			t.Errorf("goroutine %d runs, its registers are not known, and it has no remainder", g.ID)
		}
		return
	}
	at := slices.Index(names, "main.spin")
	if at < 0 {
		return
	}
	if !conservative["main.spin"] {
		t.Errorf("goroutine %d was interrupted in %v, which is not conservative", g.ID, names)
	}
	if at > 0 && (!conservative["runtime.asyncPreempt"] || conservative["runtime.asyncPreempt2"]) {
		t.Errorf("goroutine %d was preempted: %v", g.ID, conservative)
	}
	if at == 0 && kinds[Registers] != 1 {
		t.Errorf("goroutine %d runs: %v", g.ID, kinds)
	}
	if caller := "main.spinner"; conservative[caller] {
		t.Errorf("goroutine %d: %s stands at a call and is conservative", g.ID, caller)
	}
	if kinds[Remainder] > 0 {
		t.Errorf("goroutine %d is not unwound to its end: %v", g.ID, names)
	}
}

// TestDeepStack unwinds a recursion of many frames to its end.
func TestDeepStack(t *testing.T) {
	depth := 100_000
	if *long {
		depth = 1_000_000
	}
	tg := freeze(t, false, build(t, "states", ""), "deep", strconv.Itoa(depth))
	frames, last := 0, ""
	for _, g := range tg.gs {
		if g.StackHi-g.StackLo < uint64(depth)*64 {
			continue
		}
		noRemainder(t, tg, g)
		err := tg.table.Unwind(g, func(f Frame) error {
			frames++
			last = f.Func.Name
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if frames < depth || last != "runtime.goexit" {
		t.Errorf("%d frames, the last is of %s", frames, last)
	}
}

func TestCallbacks(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("SKIPPED: there is no gcc")
	}
	tg := freeze(t, false, build(t, "callback", "", "CGO_ENABLED=1"))
	for _, h := range tg.holds {
		if all := tg.search(t, h.addr, 0); !slices.ContainsFunc(all, func(f found) bool { return !f.conservative }) {
			t.Errorf("%s is found at %+v", h.name, all)
		}
	}
	for _, g := range tg.gs {
		noRemainder(t, tg, g)
		if lines := strings.Join(tg.lines(t, g), "\n"); strings.Contains(lines, "goCallback") && !strings.Contains(lines, "main.main.func1") {
			t.Errorf("not unwound past C:\n%s", lines)
		}
	}
	for _, warning := range tg.table.Warnings() {
		t.Error(warning)
	}
}

// TestConcurrent unwinds all stacks from several goroutines at once.
func TestConcurrent(t *testing.T) {
	tg := freeze(t, false, build(t, "states", ""), "states")
	var group sync.WaitGroup
	counts := make([]int, 4)
	for i := range counts {
		group.Go(func() {
			for _, g := range tg.gs {
				err := tg.table.Unwind(g, func(f Frame) error {
					counts[i] += 1 + len(f.Words)
					tg.table.Frames(f.PC, func(string, string, uint32, uint32) { counts[i]++ })
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for _, n := range counts {
		if n != counts[0] || n == 0 {
			t.Errorf("%v", counts)
		}
	}
}

func BenchmarkGoroutines(b *testing.B) {
	tg := freeze(b, false, build(b, "states", ""), "many", "100000")
	b.ResetTimer()
	frames := 0
	for b.Loop() {
		frames = 0
		for _, g := range tg.gs {
			if err := tg.table.Unwind(g, func(Frame) error { frames++; return nil }); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(frames), "ns/frame")
	b.ReportMetric(float64(frames), "frames")
}

func BenchmarkDeepStack(b *testing.B) {
	tg := freeze(b, false, build(b, "states", ""), "deep", "1000000")
	b.ResetTimer()
	for b.Loop() {
		for _, g := range tg.gs {
			if err := tg.table.Unwind(g, func(Frame) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	}
}
