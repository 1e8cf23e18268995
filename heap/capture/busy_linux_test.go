//go:build amd64 || arm64

package capture

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestAttachOneAtATime: a process has one frozen child, whoever wants a second, and in whatever way.
func TestAttachOneAtATime(t *testing.T) {
	target := startSleep(t)
	pid := target.Process.Pid
	first := mustAttach(t, pid, AttachOptions{NoStop: true})
	if name := statusOf(first.ChildPID, first.ChildPID, "Name"); name != childName {
		t.Errorf("the child is called %s", name)
	}
	for _, o := range []AttachOptions{{}, {NoStop: true}, {NoFork: true}} {
		i, err := Attach(t.Context(), pid, o)
		if err == nil {
			i.Close()
		}
		if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), strconv.Itoa(first.ChildPID)) {
			t.Errorf("second capture: %v, want ErrBusy", err)
		}
	}
	if got := children(t, pid); !slices.Equal(got, []int{first.ChildPID}) {
		t.Errorf("children %v, want %d", got, first.ChildPID)
	}
	eventually(t, "the process sleeps on", func() bool { return state(pid) == "S" })
	checkDescription(t, first)
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if err := mustAttach(t, pid, AttachOptions{NoStop: true}).Close(); err != nil {
		t.Error(err)
	}
}

// TestAttachBesideSelf: a process that captures itself is not captured by another one, and the other way round.
func TestAttachBesideSelf(t *testing.T) {
	own := startRole(t, "self")
	child := own.line()
	if _, err := Attach(t.Context(), own.Process.Pid, AttachOptions{}); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), child) {
		t.Errorf("of a process that captures itself: %v, want ErrBusy", err)
	}
	other := startRole(t, "again")
	for _, early := range []bool{true, false} {
		if !early {
			fmt.Fprintln(other.in, "now")
			other.expect("asked") // it has looked for other captures
		}
		i := mustAttach(t, other.Process.Pid, AttachOptions{NoStop: true})
		fmt.Fprintln(other.in, "now")
		if got := other.line(); !strings.HasPrefix(got, "true ") || !strings.Contains(got, strconv.Itoa(i.ChildPID)) {
			t.Errorf("a process that is captured captures itself: %s", got)
		}
		if got := children(t, other.Process.Pid); !slices.Equal(got, []int{i.ChildPID}) {
			t.Errorf("children %v, want %d", got, i.ChildPID)
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}
	fmt.Fprintln(other.in, "now")
	other.expect("asked")
	fmt.Fprintln(other.in, "now")
	other.expect("false <nil>")
}

// TestAttachOvertaken: another capture comes between the first look for one and the stop.
func TestAttachOvertaken(t *testing.T) {
	target := startSleep(t)
	pid := target.Process.Pid
	var first *Image
	var firstErr error
	_, err := Attach(t.Context(), pid, AttachOptions{Headroom: func() (int64, error) {
		first, firstErr = Attach(t.Context(), pid, AttachOptions{NoStop: true})
		return 1 << 40, nil
	}})
	if firstErr != nil {
		t.Fatal(firstErr)
	}
	defer first.Close()
	if !errors.Is(err, ErrBusy) {
		t.Errorf("the later one: %v, want ErrBusy", err)
	}
	eventually(t, "the process sleeps on", func() bool { return state(pid) == "S" })
	if got := children(t, pid); !slices.Equal(got, []int{first.ChildPID}) {
		t.Errorf("children %v, want %d", got, first.ChildPID)
	}
}

// TestAttachAtOnce: of captures that begin at the same time never two have a child.
func TestAttachAtOnce(t *testing.T) {
	target := startRole(t, "busy")
	target.numbers()
	pid := target.Process.Pid
	rounds, taken := 10, 0
	if *long {
		rounds = 100
	}
	for range rounds {
		const attachers = 4
		images := make([]*Image, attachers)
		errs := make([]error, attachers)
		var all sync.WaitGroup
		begin := make(chan bool)
		for n := range attachers {
			all.Go(func() {
				<-begin
				images[n], errs[n] = Attach(t.Context(), pid, AttachOptions{NoStop: true})
			})
		}
		close(begin)
		all.Wait() // all of them are held
		had := 0
		for n, i := range images {
			if i != nil {
				had++
			} else if !errors.Is(errs[n], ErrBusy) && !errors.Is(errs[n], ErrTraced) {
				t.Error(errs[n])
			}
		}
		if had > 1 {
			t.Errorf("%d captures at once", had)
		}
		taken += had
		for _, i := range images {
			if i != nil {
				if err := i.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if taken == 0 {
		t.Error("none of the captures came about")
	}
	t.Logf("%d of %d", taken, rounds)
	if got := target.finish(); got != "unharmed" {
		t.Errorf("the program says: %s", got)
	}
}

func TestExitSignal(t *testing.T) {
	fields := "%s 1 7 7 0 -1 4194304 1 0 0 0 2 1 0 0 20 0 9 0 4242 3133440 408 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 %d 3 0"
	for text, want := range map[string]struct {
		state  byte
		signal int
	}{
		"7 (a) Z 1 (b) " + fmt.Sprintf(fields, "S", 17): {'S', 17},
		"7 (a) " + fmt.Sprintf(fields, "t", 0):          {'t', 0},
		"7 (a) R 1":                                     {0, -1},
		"":                                              {0, -1},
		strings.Repeat("x ", 50):                        {0, -1},
	} {
		if state, signal := exitSignal([]byte(text)); state != want.state || signal != want.signal {
			t.Errorf("%q: %c %d, want %c %d", text, state, signal, want.state, want.signal)
		}
	}
}

// TestChildrenOf: the two ways of finding children find the same.
func TestChildrenOf(t *testing.T) {
	target := startSleep(t)
	byThread, err := childrenOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	byParent, err := childrenByParent(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(byThread)
	slices.Sort(byParent)
	if !slices.Equal(byThread, byParent) || !slices.Contains(byThread, target.Process.Pid) {
		t.Errorf("by their threads %v, by their parents %v, want %d among them", byThread, byParent, target.Process.Pid)
	}
	if _, err := childrenOf(-1); !errors.Is(err, ErrGone) {
		t.Errorf("of no process: %v", err)
	}
}
