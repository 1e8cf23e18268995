package memwarden

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// abandon starts goroutines that wait for a channel that nobody has.
func abandon(n int) {
	for range n {
		go func() { <-make(chan int) }()
	}
}

// abandoning is what the child of TestAbandonedGoroutines does: it prints a line for each sweep. Goroutines that the
// runtime has found can never be ended, so they need a process of their own.
func abandoning(t *testing.T) {
	// One that does not wait yet is not found, and what was told with a few less is not told anew: so all of them wait
	// before a warden looks, which does so by itself too.
	abandon(12)
	now := time.Now()
	for first := (&sweeps{}); ; now = now.Add(time.Hour) {
		if swept, err := first.look(now, sweepPause); !swept || err != nil {
			fmt.Println("sweep: none:", swept, err)
			break
		}
		if n, _ := first.total(); n == 12 {
			break
		}
	}
	w := begin(t, Options{Now: func() time.Time { return now }})
	(&investigator{w: w}).sweep(t.Context())
	list := leaksOf(t, w, 0, 100)
	for deadline := time.Now().Add(10 * time.Second); len(list) == 0 && time.Now().Before(deadline); list = leaksOf(t, w, 0, 100) {
		time.Sleep(10 * time.Millisecond) // it is kept by another goroutine
	}
	fmt.Printf("sweep: %d listed\n", len(list))
	for _, l := range list {
		fmt.Printf("sweep: %s %s %s: %s; %s\n", l.Kind, l.Status, l.Signature, l.Sentence, l.AllocStack[0])
	}
	if swept, err := w.sweeps.look(now.Add(sweepPause/2), sweepPause); swept || err != nil {
		fmt.Println("sweep: a second one at once:", swept, err)
	}
	fmt.Println("sweep:", w.goroutineEvidence(true))
	os.Exit(0)
}

// TestAbandonedGoroutines: the runtime finds those that wait for a channel that nobody has, where it looks for them; they
// are reported, and not looked for all the time.
func TestAbandonedGoroutines(t *testing.T) {
	const child = "MEMWARDEN_TEST_ABANDON"
	if os.Getenv(child) != "" {
		abandoning(t)
	}
	if pprof.Lookup("goroutineleak") == nil {
		if swept, err := new(sweeps).look(time.Now(), 0); swept || err != nil {
			t.Errorf("there is no profile, and yet it was had: %v, %v", swept, err)
		}
		t.Skip("SKIPPED: this version of Go has no goroutineleak profile; it is tested with the newest")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestAbandonedGoroutines$")
	command.Env = append(os.Environ(), child+"=1")
	out, err := command.CombinedOutput()
	var lines []string
	for line := range strings.Lines(string(out)) {
		if text, ok := strings.CutPrefix(line, "sweep: "); ok {
			lines = append(lines, strings.TrimSpace(text))
		}
	}
	if err != nil || len(lines) != 3 || lines[0] != "1 listed" || lines[2] != "[goroutineleak profile: 12 goroutines wait for what nobody can do any more]" ||
		!strings.HasPrefix(lines[1], "abandoned_goroutines confirmed goroutines github.com/memwarden/memwarden.abandon.func1: 12 goroutines are waiting to receive from a channel in "+
			"github.com/memwarden/memwarden.abandon.func1 (leaksweep_test.go:18), and nothing that the program can reach could wake them; ") {
		t.Errorf("%v: %q\n%s", err, lines, out)
	}
}

// TestSweepsAreUnited: what counts is the most that was found of a stack, and told is what are many, or become more.
func TestSweepsAreUnited(t *testing.T) {
	s := &sweeps{}
	began := time.Unix(1000, 0)
	now := began
	of := func(counts ...int) (told []int) {
		t.Helper()
		var all []abandoned
		for i, n := range counts {
			if n > 0 {
				all = append(all, abandoned{stack: []uintptr{uintptr(i + 1)}, count: n})
			}
		}
		s.merge(now, all)
		for _, a := range s.news() {
			told = append(told, int(a.stack[0])*100+a.count)
			if !a.since.Equal(began) {
				t.Errorf("%d of stack %d are since %v, want %v: when the first were found", a.count, a.stack[0], a.since, began)
			}
		}
		now = now.Add(time.Hour)
		return told
	}
	for i, step := range []struct{ counts, want []int }{
		{[]int{2, 10, 1}, []int{210}},
		{[]int{2, 12, 0}, nil},       // not twice as many
		{[]int{3, 5, 1}, []int{103}}, // which has become more, if few
		{[]int{3, 24, 1}, []int{224}},
		{[]int{3, 24, 1}, nil},
	} {
		if got := of(step.counts...); !reflect.DeepEqual(got, step.want) {
			t.Errorf("step %d: told is %v, want %v", i, got, step.want)
		}
	}
	if n, known := s.total(); n != 3+24+1 || !known {
		t.Errorf("%d are known, %v", n, known)
	}
}

func TestParseAbandoned(t *testing.T) {
	text := "goroutineleak profile: total 4\n3 @ 0x1a 0x2b\n# labels: {\"at\":\"1 @ 0x5\"}\n#\t0x1a\tmain.f+0x1\t/f.go:3\n\n1 @ 0x3c\n#\t0x3c\tmain.g+0x1\t/g.go:4\n"
	want := []abandoned{{stack: []uintptr{0x1a, 0x2b}, count: 3}, {stack: []uintptr{0x3c}, count: 1}}
	if got, err := parseAbandoned([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"x @ 0x1\n", "0 @ 0x1\n", "1 @ zz\n"} {
		if got, err := parseAbandoned([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func FuzzParseAbandoned(f *testing.F) {
	f.Add([]byte("goroutineleak profile: total 4\n3 @ 0x1a 0x2b\n#\t0x1a\tmain.f+0x1\t/f.go:3\n"))
	f.Add([]byte("1 @\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parseAbandoned(text)
		for _, a := range all {
			if err != nil || a.count < 1 {
				t.Errorf("%+v, %v", all, err)
			}
		}
	})
}
