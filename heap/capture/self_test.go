//go:build linux && (amd64 || arm64)

package capture

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// long asks for the number of captures that is promised, rather than for a fast part of it.
var long = flag.Bool("long", false, "1,000 captures of the process itself, 200 of others")

func mustSelf(t *testing.T, o Options) *Child {
	t.Helper()
	c, err := Self(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestSelfUnderLoad captures a process that does all kinds of work, again and again. Its peers see their connections end
// while the frozen child lives: it holds none of them open.
func TestSelfUnderLoad(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	l := startLoad()
	l.begun()
	captures := 50
	if *long {
		captures = 1000
	}
	before, most := descriptors(t, os.Getpid()), 0
	var longest time.Duration
	for i := range captures {
		peer, served := connection(t)
		c, err := Self(t.Context(), Options{})
		if err != nil {
			t.Fatalf("capture %d: %v", i, err)
		}
		closed := time.Now()
		served.Close()
		peer.SetReadDeadline(closed.Add(30 * time.Second))
		if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("capture %d: while the child lives the peer reads %v, want the end of the connection", i, err)
		}
		longest = max(longest, time.Since(closed))
		if ended(c.PID) || c.Err() != nil {
			t.Fatalf("capture %d: the child was no longer there: %v", i, c.Err())
		}
		peer.Close()
		checkSteps(t, c, uint64(uintptr(unsafe.Pointer(&l.counters))))
		if err := c.Close(); err != nil {
			t.Fatalf("capture %d: %v", i, err)
		}
		if !ended(c.PID) || statusOf(c.PID, c.PID, "Name") == childName {
			t.Fatalf("capture %d: child %d is still there", i, c.PID)
		}
		most = max(most, descriptors(t, os.Getpid()))
	}
	t.Logf("at most %d descriptors, before %d; the peers saw the end within %v", most, before, longest)
	if longest > peerPatience {
		t.Errorf("a peer waited for the end of its connection for %v, longer than %v", longest, peerPatience)
	}
	// Each kind of work has some open at a time, of those that run programs the most; none may be left by a capture.
	if most > before+workDescriptors {
		t.Errorf("%d descriptors during %d captures, before %d", most, captures, before)
	}
	if err := l.end(); err != nil {
		t.Error(err)
	}
	if left := children(t, os.Getpid()); len(left) != 0 {
		t.Errorf("children left: %v", left)
	}
	if after := descriptors(t, os.Getpid()); after > before {
		t.Errorf("%d descriptors after %d captures, before %d", after, captures, before)
	}
	if after := runtime.GOMAXPROCS(0); after != procs {
		t.Errorf("GOMAXPROCS %d, before %d", after, procs)
	}
}

// peerPatience is how long a peer may wait for the end of its connection, on a machine that does all that work besides.
const peerPatience = 5 * time.Second

// workDescriptors is how many descriptors all kinds of load may have open at a time.
const workDescriptors = 25

// connection returns the two ends of a connection of which this process serves one.
func connection(t *testing.T) (peer, served net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if peer, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if served, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	return peer, served
}

func TestSelfChild(t *testing.T) {
	before := opened(t)
	for _, o := range []Options{{}, {closeBelow: 4096}} {
		c := mustSelf(t, o)
		eventually(t, "the child sleeps, with its name", func() bool {
			return statusOf(c.PID, c.PID, "Name") == childName && strings.HasPrefix(statusOf(c.PID, c.PID, "State"), "S")
		})
		if n := descriptors(t, c.PID); n != 0 {
			t.Errorf("the child has %d descriptors", n)
		}
		if blocked := statusOf(c.PID, c.PID, "SigBlk"); blocked != "fffffffe7ffbfeff" && blocked != "fffffffffffbfeff" {
			t.Errorf("the child blocks signals %s, want all", blocked)
		}
		syscall.Kill(c.PID, syscall.SIGTERM) // as for a whole process group
		p, err := c.Process()
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Mappings) < 5 || len(p.Threads) != 1 {
			t.Errorf("%d mappings, %d threads", len(p.Mappings), len(p.Threads))
		}
		var magic [4]byte
		if _, err := p.Binary.ReadAt(magic[:], 0); err != nil || string(magic[:]) != "\x7fELF" {
			t.Errorf("executable begins with %q, %v", magic, err)
		}
		if _, err := p.Memory.ReadAt(magic[:], 0); err == nil {
			t.Error("read what is not mapped")
		}
		select {
		case <-c.Gone():
			t.Error("the child died:", c.Err())
		default:
		}
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			t.Error(err)
		}
		if _, err := p.Memory.ReadAt(magic[:], int64(p.Threads[0].SP)); !errors.Is(err, ErrClosed) {
			t.Errorf("read after Close: %v", err)
		}
		if !errors.Is(c.Err(), ErrClosed) {
			t.Error(c.Err())
		}
	}
	wantNoneOpened(t, before)
}

// TestSelfThread walks the frame pointers of the forking goroutine in the frozen stack.
func TestSelfThread(t *testing.T) {
	c := mustSelf(t, Options{})
	word := func(address uint64) uint64 {
		var b [8]byte
		if _, err := c.ReadAt(b[:], int64(address)); err != nil {
			t.Fatal(err)
		}
		return binary.NativeEndian.Uint64(b[:])
	}
	if runtime.GOARCH == "amd64" && word(c.Thread.SP-8) != c.Thread.PC {
		t.Errorf("below SP lies %#x, want PC %#x", word(c.Thread.SP-8), c.Thread.PC)
	}
	var names []string
	pc, fp := c.Thread.PC, c.Thread.FP
	for range 10 {
		name := runtime.FuncForPC(uintptr(pc) - 1).Name()
		names = append(names, name[strings.LastIndex(name, "/")+1:])
		if fp == 0 || name == "runtime.goexit" {
			break
		}
		pc, fp = word(fp+8), word(fp)
	}
	got := strings.Join(names, " ")
	if !strings.HasPrefix(got, "capture.fork") && !strings.HasPrefix(got, "capture.(*Child).freeze") ||
		!strings.Contains(got, "capture.(*Child).keep") {
		t.Errorf("frames %s", got)
	}
	t.Log(got)
}

func TestSelfKeepsNoConnectionOpen(t *testing.T) {
	peer, served := connection(t)
	defer peer.Close()
	c := mustSelf(t, Options{})
	served.Close()
	peer.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("while the child lives the peer reads %v, want the end of the connection", err)
	}
	if c.Err() != nil {
		t.Error(c.Err())
	}
}

func TestSelfSendsNoSignal(t *testing.T) {
	caught := make(chan os.Signal, 100)
	signal.Notify(caught, syscall.SIGCHLD, syscall.SIGWINCH)
	defer signal.Stop(caught)
	for range 10 {
		c := mustSelf(t, Options{})
		var status syscall.WaitStatus
		if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
			t.Errorf("wait for any child found %d, %v", pid, err)
		}
		c.Close()
	}
	syscall.Kill(os.Getpid(), syscall.SIGWINCH) // arrives after SIGCHLD, which has a lower number
	if got := <-caught; got != syscall.SIGWINCH {
		t.Errorf("the program got %v", got)
	}
}

func TestSelfOneAtATime(t *testing.T) {
	c := mustSelf(t, Options{})
	if _, err := Self(t.Context(), Options{}); !errors.Is(err, ErrBusy) {
		t.Errorf("second capture: %v, want ErrBusy", err)
	}
	c.Close()
	mustSelf(t, Options{}).Close()
}

func TestSelfContext(t *testing.T) {
	reason := errors.New("the reason")
	ctx, cancel := context.WithCancelCause(t.Context())
	c, err := Self(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel(reason)
	<-c.Gone()
	if !errors.Is(c.Err(), reason) {
		t.Error(c.Err())
	}
	if _, err := c.ReadAt(make([]byte, 8), int64(c.Thread.SP)); !errors.Is(err, reason) {
		t.Errorf("read: %v", err)
	}
	if !ended(c.PID) {
		t.Error("the child lives")
	}
	if _, err := Self(ctx, Options{}); !errors.Is(err, reason) {
		t.Errorf("capture with a context that is over: %v", err)
	}
}

func TestSelfDeadline(t *testing.T) {
	c := mustSelf(t, Options{Deadline: time.Millisecond})
	<-c.Gone()
	if !errors.Is(c.Err(), ErrDeadline) {
		t.Error(c.Err())
	}
	if left := children(t, os.Getpid()); len(left) != 0 {
		t.Errorf("children left: %v", left)
	}
}

func TestSelfUserPanics(t *testing.T) {
	var pid int
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		c, err := Self(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		pid = c.PID
		panic("in the middle of it")
	}()
	if !ended(pid) {
		t.Error("the child lives")
	}
}

func TestSelfHeadroom(t *testing.T) {
	for _, available := range []int64{0, DefaultReserve, -5} {
		_, err := Self(t.Context(), Options{Headroom: func() (int64, error) { return available, nil }})
		if !errors.Is(err, ErrHeadroom) {
			t.Errorf("%d bytes available: %v, want ErrHeadroom", available, err)
		}
	}
	_, err := Self(t.Context(), Options{Headroom: func() (int64, error) { return 0, io.ErrUnexpectedEOF }})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("headroom unknown: %v", err)
	}

	// It shrinks while the child lives.
	for _, later := range []error{nil, io.ErrUnexpectedEOF} {
		var asked atomic.Int64
		c := mustSelf(t, Options{Reserve: 1000, Written: 1000, Headroom: func() (int64, error) {
			if asked.Add(1) < 4 {
				return 1 << 30, nil
			}
			return 999, later
		}})
		<-c.Gone()
		if n := asked.Load(); n != 4 {
			t.Errorf("asked %d times", n)
		}
		if !ended(c.PID) {
			t.Error("the child lives")
		}
		_, err := c.ReadAt(make([]byte, 8), int64(c.Thread.SP))
		if !errors.Is(err, ErrHeadroom) || !errors.Is(err, later) && later != nil {
			t.Errorf("read: %v, want ErrHeadroom", err)
		}
		c.Close()
	}
}

// TestSelfProcs: a number of processors that the program chose stays, and so do automatic updates where it chose none.
func TestSelfProcs(t *testing.T) {
	procs := runtime.GOMAXPROCS(3)
	defer func() {
		runtime.GOMAXPROCS(procs)
		runtime.SetDefaultGOMAXPROCS()
	}()
	for _, fixed := range []bool{true, false} {
		mustSelf(t, Options{FixedProcs: fixed}).Close()
		if got := runtime.GOMAXPROCS(0); got != 3 {
			t.Errorf("fixed %v: GOMAXPROCS %d, want 3", fixed, got)
		}
	}
	if runtime.NumCPU() < 2 {
		t.Log("SKIPPED: automatic updates need two processors")
		return
	}
	target := startRole(t, "automatic")
	fmt.Fprintln(target.in, "go")
	target.expect("1")
}

// roleAutomatic captures itself, restricts itself to one processor, and tells when the runtime has noticed.
func roleAutomatic([]string) {
	c, err := Self(context.Background(), Options{})
	if err != nil {
		panic(err)
	}
	c.Close()
	fmt.Println("ready")
	var mask [16]uint64
	_, _, _ = syscall.Syscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	one := false
	for i := range mask {
		for bit := range 64 {
			if mask[i]&(1<<bit) != 0 {
				if one {
					mask[i] &^= 1 << bit
				}
				one = true
			}
		}
	}
	for runtime.GOMAXPROCS(0) > 1 {
		tids, _ := threadIDs(os.Getpid())
		for _, tid := range tids {
			_, _, _ = syscall.Syscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(mask),
				uintptr(unsafe.Pointer(&mask)))
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println(runtime.GOMAXPROCS(0))
}

func TestSelfChildDiesWithParent(t *testing.T) {
	target := startRole(t, "self")
	child, err := strconv.Atoi(target.line())
	if err != nil {
		t.Fatal(err)
	}
	if ended(child) {
		t.Fatal("there is no child")
	}
	target.kill()
	eventually(t, "the frozen child of a killed process is gone", func() bool { return ended(child) })
}

// roleSelf captures itself and waits.
func roleSelf([]string) {
	c, err := Self(context.Background(), Options{})
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	fmt.Println(c.PID)
	untilTold()
}

// roleAgain captures itself each time it is told to, and says whether that was refused because of another capture. Before
// it forks, when it has seen no other capture, it says so and waits to be told again.
func roleAgain([]string) {
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var once sync.Once
		c, err := Self(context.Background(), Options{Headroom: func() (int64, error) {
			once.Do(func() {
				fmt.Println("asked")
				in.Scan()
			})
			return 1 << 40, nil
		}})
		if err == nil {
			err = c.Close()
		}
		fmt.Println(errors.Is(err, ErrBusy), err)
	}
}

func TestDescriptorBound(t *testing.T) {
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if bound, err := descriptorBound("/proc/self/fd"); err != nil || bound <= int(f.Fd()) {
		t.Errorf("bound %d for descriptor %d, %v", bound, f.Fd(), err)
	}
	if _, err := descriptorBound(t.TempDir() + "/none"); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

func TestForkError(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENOMEM: "vm.overcommit_memory",
		syscall.EAGAIN: "pids.max",
		syscall.EPERM:  "seccomp",
		syscall.EINVAL: "clone failed",
		errFiltered:    "CAP_SYS_ADMIN",
	} {
		got := forkError(err)
		if !errors.Is(got, ErrRefused) || !errors.Is(got, err) || !strings.Contains(got.Error(), want) {
			t.Errorf("%v: %q lacks %q", err, got, want)
		}
	}
}
