//go:build amd64 || arm64

package capture

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
)

// TestAttachWithoutRoom: without room for a frozen child there is none. The process is read while it stands still, or left
// alone where it may not stand still.
func TestAttachWithoutRoom(t *testing.T) {
	target := startSleep(t)
	pid := target.Process.Pid
	for _, c := range []struct {
		available int64
		err       error
		says      string
	}{
		{0, nil, "0 B are available"}, {DefaultReserve, nil, "64.0 MiB must stay in reserve"}, {-5, nil, "0 B are available"},
		{1 << 40, io.ErrUnexpectedEOF, "memory left below the limit"},
	} {
		var asked atomic.Int64
		o := AttachOptions{NoStop: true, Headroom: func() (int64, error) {
			asked.Add(1)
			if state(pid) != "S" || len(children(t, pid)) > 0 {
				t.Errorf("when the room is asked for, the process is %s", state(pid))
			}
			return c.available, c.err
		}}
		i, err := Attach(t.Context(), pid, o)
		if err == nil {
			i.Close()
		}
		if !errors.Is(err, ErrHeadroom) || c.err != nil && !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d bytes, %v: %v, want ErrHeadroom", c.available, c.err, err)
		}
		if state(pid) != "S" || len(children(t, pid)) > 0 {
			t.Errorf("the process is %s, with children %v", state(pid), children(t, pid))
		}

		o.NoStop = false
		i = mustAttach(t, pid, o)
		if i.Method != MethodStop || i.ChildPID != 0 || !errors.Is(i.Refused, ErrHeadroom) || len(children(t, pid)) > 0 {
			t.Errorf("%d bytes: method %s, refused %v", c.available, i.Method, i.Refused)
		}
		checkDescription(t, i)
		if err := i.Close(); err != nil {
			t.Error(err)
		}
		eventually(t, "the process sleeps on", func() bool { return state(pid) == "S" })

		o.NoFork = true
		i = mustAttach(t, pid, o)
		if i.Refused != nil {
			t.Errorf("nobody wanted a fork: %v", i.Refused)
		}
		i.Close()
		eventually(t, "the process sleeps on", func() bool { return state(pid) == "S" })
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times, want once for each fork", n)
		}
	}
}

// TestAttachCosts: what is asked for is the cost of the child and the reserve, to the byte.
func TestAttachCosts(t *testing.T) {
	target := startSleep(t)
	h := newHeadroom("self", func() (int64, error) { return 0, nil }, 1000, 2000)
	if h.status != "/proc/self/status" || h.reserve != 1000 || h.written != 2000 {
		t.Errorf("%+v", h)
	}
	pid := target.Process.Pid
	tables := statusOf(pid, pid, "VmPTE")
	need := statusBytes([]byte("VmPTE:\t"+tables+"\n"), "VmPTE") + 2000 + childBytes + 1000
	for missing, want := range map[int64]error{0: nil, 1: ErrHeadroom} {
		i, err := Attach(t.Context(), pid, AttachOptions{NoStop: true, Reserve: 1000, Written: 2000, Headroom: func() (int64, error) {
			return need - missing, nil
		}})
		if !errors.Is(err, want) {
			t.Errorf("%d bytes less than needed: %v, want %v", missing, err, want)
		}
		if err == nil {
			i.Close()
		}
	}
}

// TestAttachHeadroomShrinks: the child is killed while it lives, its parent reaps it and runs on.
func TestAttachHeadroomShrinks(t *testing.T) {
	target := startSleep(t)
	pid := target.Process.Pid
	for _, later := range []error{nil, io.ErrUnexpectedEOF} {
		var asked atomic.Int64
		i := mustAttach(t, pid, AttachOptions{Reserve: 1000, Written: 1000, Headroom: func() (int64, error) {
			if asked.Add(1) < 4 {
				return 1 << 30, nil
			}
			return 999, later
		}})
		if i.Method != MethodFork {
			t.Fatalf("method %s, refused %v", i.Method, i.Refused)
		}
		<-i.Gone()
		if n := asked.Load(); n != 4 {
			t.Errorf("asked %d times", n)
		}
		if got := children(t, pid); len(got) > 0 {
			t.Errorf("children left: %v", got)
		}
		eventually(t, "the process sleeps on", func() bool { return state(pid) == "S" })
		_, err := i.Process.Memory.ReadAt(make([]byte, 8), int64(i.Process.Threads[0].SP))
		if !errors.Is(err, ErrHeadroom) || !errors.Is(err, later) && later != nil {
			t.Errorf("read: %v, want ErrHeadroom", err)
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAttachGoneBeforeTheFork: a process that ends while its room is looked at is gone.
func TestAttachGoneBeforeTheFork(t *testing.T) {
	target := startSleep(t)
	_, err := Attach(t.Context(), target.Process.Pid, AttachOptions{Headroom: func() (int64, error) {
		target.kill()
		return 1 << 40, nil
	}})
	if !errors.Is(err, ErrGone) {
		t.Errorf("%v, want ErrGone", err)
	}
}
