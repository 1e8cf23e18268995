package memwarden

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/leak"
)

// TestAccounted: owners explain what lies within their own bounds.
func TestAccounted(t *testing.T) {
	const none = bounded.NotApplicable
	for name, c := range map[string]struct {
		usage OwnerUsage
		want  float64
	}{
		"within":          {OwnerUsage{Usage: bounded.Usage{Bytes: 10, MaxBytes: 20, Entries: 5, MaxEntries: 1}}, 10},
		"beyond":          {OwnerUsage{Usage: bounded.Usage{Bytes: 50, MaxBytes: 20}}, 20},
		"too many":        {OwnerUsage{Usage: bounded.Usage{Bytes: 50, MaxBytes: none, Entries: 10, MaxEntries: 2}}, 10},
		"without a bound": {OwnerUsage{Usage: bounded.Usage{Bytes: 50, MaxBytes: none, Entries: 10, MaxEntries: none}}, 50},
		"unknown":         {OwnerUsage{Usage: bounded.Usage{Bytes: none, MaxBytes: 20}}, 0},
		"elsewhere":       {OwnerUsage{Usage: bounded.Usage{Bytes: 10, MaxBytes: 20}, OutsideHeap: true}, 0},
		"ill":             {OwnerUsage{Usage: bounded.Usage{Bytes: 10, MaxBytes: 20}, Err: ErrClosed}, 0},
	} {
		if got := c.usage.accounted(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// overfull holds more than it may.
type overfull struct{ liar }

func (*overfull) Name() string { return "pages" }

func (*overfull) Usage() bounded.Usage { return bounded.Usage{Bytes: 64 << 20, MaxBytes: 1 << 20} }

// TestAnOwnerPastItsBound is told, where that explains the rise, and only of the heap.
func TestAnOwnerPastItsBound(t *testing.T) {
	w := begin(t, Options{})
	if _, err := w.Register(&overfull{}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if owner, text := w.pastItsBound(leak.Finding{Kind: leak.Heap, Rise: 100 << 20, To: 100 << 20}); owner == "pages" {
			if text != "owner pages holds 63.0 MiB beyond its own bound" {
				t.Error(text)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is not told")
		}
	}
	for _, f := range []leak.Finding{{Kind: leak.Native, Rise: 1}, {Kind: leak.Heap, Rise: 200 << 20, To: 200 << 20}, {Kind: leak.Heap, Rise: 1 << 20, To: 2 << 20}} {
		if owner, text := w.pastItsBound(f); owner != "" || text != "" {
			t.Errorf("%+v: %s, %s", f, owner, text)
		}
	}
}

// TestHolding: who holds what, what most of it is, and what of it is used.
func TestHolding(t *testing.T) {
	timers := retain.Suspect{Type: "runtime.timeTimer", Count: 3, RetainedBytes: 3 << 20, Path: []string{"runtime.allp", "[…]", ".timers"},
		Consumers: []retain.Type{{Name: "runtime.timeTimer", Count: 3, ShallowBytes: 100}, {Name: "main.visit", Count: 3, ShallowBytes: 3 << 20}}}
	texts := retain.Suspect{Type: "string", Count: 2, RetainedBytes: 2 << 20, Path: []string{"main.seen", "[key]"},
		Consumers: []retain.Type{{Name: "string", Count: 2, ShallowBytes: 2 << 20}}}
	a := &retain.Analysis{Pins: []retain.Pin{{Type: "string", UsedBytes: 1024, ObjectBytes: 2 << 20}, {Type: "main.visit", ObjectBytes: 1 << 20}}}
	for want, s := range map[string]*retain.Suspect{
		"3 objects of runtime.timeTimer, 3.0 MiB with what they hold, are held by runtime.allp[…].timers, most of it 3 main.visit":                &timers,
		"2 objects of string, 2.0 MiB with what they hold, are held by main.seen[key], of which strings and slices use 1.0 KiB and keep the rest": &texts,
	} {
		if got := holding(a, s); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// TestSlowInterval: what is read less often is read often enough for the shortest window, where leaks are looked for.
func TestSlowInterval(t *testing.T) {
	w := begin(t, Options{})
	c := DefaultConfig()
	if got := w.slowInterval(c); got != 10*time.Second {
		t.Errorf("by default %s", got)
	}
	c.Leaks.WindowSeconds = 48
	if got := w.slowInterval(c); got != 2*time.Second {
		t.Errorf("for 48 s %s", got)
	}
	c.Leaks.WindowSeconds = 2
	if got := w.slowInterval(c); got != time.Second {
		t.Errorf("for 2 s %s, want no less than between samples", got)
	}
	c.Leaks.Enabled = false
	if got := w.slowInterval(c); got != 10*time.Second {
		t.Errorf("while nothing is looked for %s", got)
	}
}

// TestCulprit: what grew as the pace says is told, and not what has only now become large enough to be seen.
func TestCulprit(t *testing.T) {
	const mib = 1 << 20
	suspect := func(name string, bytes uint64, stack ...string) retain.Suspect {
		return retain.Suspect{Type: name, Signature: name, RetainedBytes: bytes, AllocStack: stack}
	}
	analysis := func(second int64, suspects ...retain.Suspect) *retain.Analysis {
		return &retain.Analysis{TakenAt: second * 1e9, ReachedBytes: 20 * mib, Suspects: suspects}
	}
	at := func(place string, bytes uint64) retain.Suspect {
		s := suspect("alike", bytes)
		s.Type, s.Path = place, []string{place}
		return s
	}
	leaks, grows := "main.leak (main.go:1)", "main.grow (main.go:9)"
	before := analysis(0, suspect("leaks", 10*mib, leaks), suspect("large", 30*mib))
	for name, c := range map[string]struct {
		before, after *retain.Analysis
		stack         []string
		want          string
	}{
		"what grew":              {before, analysis(10, suspect("leaks", 15*mib, leaks), suspect("large", 30*mib)), nil, "leaks"},
		"what grew most":         {before, analysis(10, suspect("leaks", 15*mib, leaks), suspect("large", 37*mib)), nil, "large"},
		"whom the stack tells":   {before, analysis(10, suspect("leaks", 15*mib, leaks), suspect("large", 37*mib)), []string{leaks}, "leaks"},
		"not seen before":        {before, analysis(10, suspect("leaks", 15*mib, leaks), suspect("unseen", 3*mib, grows)), nil, "leaks"},
		"new":                    {before, analysis(10, suspect("new", 8*mib, grows)), nil, "new"},
		"too little, no stack":   {before, analysis(10, suspect("leaks", 10*mib+1, leaks)), nil, ""},
		"too little, by a stack": {before, analysis(10, suspect("leaks", 10*mib+1, leaks)), []string{leaks}, "leaks"},
		"nothing":                {before, analysis(10), []string{leaks}, ""},
		"the smaller of two":     {analysis(0, at("large", 9*mib), at("small", 4*mib)), analysis(10, at("large", 9*mib), at("small", 8*mib)), nil, "small"},
		"it becomes the larger":  {analysis(0, at("large", 9*mib), at("small", 7*mib)), analysis(10, at("small", 12*mib), at("large", 9*mib)), nil, "small"},
		"one more is seen":       {analysis(0, at("one", 5*mib)), analysis(10, at("one", 5*mib), at("one", 2*mib)), nil, ""},
		"it falls apart":         {analysis(0, at("one", 9*mib), suspect("large", 2*mib)), analysis(10, at("one", 6*mib), at("one", 6*mib), suspect("large", 9*mib/2)), nil, "large"},
		"one, by a stack":        {nil, before, []string{leaks}, "leaks"},
		"one, by another stack":  {nil, before, []string{grows}, ""},
		"one, without a stack":   {nil, before, nil, "leaks"},
	} {
		got := culprit(c.before, c.after, c.stack, mib/2)
		if got == nil && c.want != "" || got != nil && got.Type != c.want {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}

// stayed and grew are lists of the same kind: a test program has no symbols, so nothing but their places tells them apart.
var stayed, grew *leakedSession

// TestCulpritOfTwoThatAreAlike: of two variables that hold the same in the same way the one that grows is told, while it
// holds less than the other and when it comes to hold more.
func TestCulpritOfTwoThatAreAlike(t *testing.T) {
	t.Cleanup(func() { stayed, grew = nil, nil })
	w := beginPatient(t, Options{Snapshot: SnapshotOptions{Dir: t.TempDir(), Cooldown: -1}})
	total := uint64(0)
	look := func(sessions int) *retain.Analysis {
		for i := range sessions {
			grew = &leakedSession{user: strconv.Itoa(i), next: grew}
		}
		total += uint64(sessions)
		runtime.GC()
		record, err := w.StoreSnapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a, err := w.AnalyzeSnapshot(t.Context(), record.ID)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for i := range sessionCount {
		stayed = &leakedSession{user: strconv.Itoa(i), next: stayed}
	}
	before := look(sessionCount / 4)
	for _, sessions := range []int{sessionCount / 2, sessionCount} {
		after := look(sessions)
		paths := make(map[uint64]string) // by their numbers of sessions
		signatures := make(map[string]bool)
		for _, s := range after.Suspects {
			if s.Count == sessionCount || s.Count == total {
				paths[s.Count] = strings.Join(s.Path, "")
				signatures[s.Signature] = true
			}
		}
		if len(paths) != 2 || paths[total] == paths[sessionCount] || len(signatures) != 1 {
			t.Fatalf("of %d and %d there are %v, signatures %v: want two paths of one signature", sessionCount, total, paths, signatures)
		}
		if got := culprit(before, after, nil, 1); got == nil || got.Count != total || strings.Join(got.Path, "") != paths[total] {
			t.Errorf("culprit %+v, want the list of %d at %s", got, total, paths[total])
		}
		before = after
	}
}

// TestProcessorSeconds: work takes processor time, and no more than all processors have.
func TestProcessorSeconds(t *testing.T) {
	began := time.Now()
	before, ok := processorSeconds()
	if !ok || before <= 0 {
		t.Fatalf("%v, %v", before, ok)
	}
	for {
		now, ok := processorSeconds()
		if !ok || now < before || now-before > time.Since(began).Seconds()*float64(runtime.NumCPU())+0.1 {
			t.Fatalf("%v after %v", now, before)
		}
		if now > before+0.01 {
			return
		}
	}
}
