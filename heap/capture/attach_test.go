//go:build linux && (amd64 || arm64)

package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/memwarden/memwarden/heap/layout"
)

func mustAttach(t *testing.T, pid int, o AttachOptions) *Image {
	t.Helper()
	i, err := Attach(t.Context(), pid, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

func state(pid int) string {
	letter, _, _ := strings.Cut(statusOf(pid, pid, "State"), " ")
	return letter
}

// startSleep runs a C program.
func startSleep(t *testing.T) *process {
	t.Helper()
	p := start(t, exec.Command("sleep", "1000"))
	eventually(t, "sleep sleeps", func() bool {
		name, err := os.ReadFile("/proc/" + strconv.Itoa(p.Process.Pid) + "/comm")
		return err == nil && string(name) == "sleep\n" && state(p.Process.Pid) == "S"
	})
	return p
}

func TestAttachFork(t *testing.T) {
	target := startSleep(t)
	pid := target.Process.Pid
	before := opened(t)
	for range 3 {
		i := mustAttach(t, pid, AttachOptions{NoStop: true})
		if i.Method != MethodFork || i.Refused != nil || i.PID != pid || i.Pause <= 0 {
			t.Errorf("image %+v", i)
		}
		if got := children(t, pid); !slices.Equal(got, []int{i.ChildPID}) {
			t.Errorf("children %v, want %d", got, i.ChildPID)
		}
		if n := descriptors(t, i.ChildPID); n != 0 {
			t.Errorf("the child has %d descriptors", n)
		}
		if state(i.ChildPID) != "t" || statusOf(pid, pid, "TracerPid") != "0" {
			t.Errorf("child is %s, traced by %s", state(i.ChildPID), statusOf(pid, pid, "TracerPid"))
		}
		eventually(t, "the process that was let go sleeps on", func() bool { return state(pid) == "S" })
		checkDescription(t, i)
		if err := errors.Join(i.Close(), i.Close()); err != nil {
			t.Error(err)
		}
		if got := children(t, pid); len(got) != 0 {
			t.Errorf("children left: %v", got)
		}
		if !errors.Is(i.Err(), ErrClosed) {
			t.Error(i.Err())
		}
	}
	wantNoneOpened(t, before)
}

func checkDescription(t *testing.T, i *Image) {
	t.Helper()
	p := i.Process
	if len(p.Mappings) < 5 || len(p.Threads) == 0 {
		t.Fatalf("%d mappings, %d threads", len(p.Mappings), len(p.Threads))
	}
	for _, thread := range p.Threads {
		in := func(address uint64) bool {
			return slices.ContainsFunc(p.Mappings, func(m layout.Mapping) bool { return m.Start <= address && address < m.End })
		}
		if !in(thread.PC) || !in(thread.SP) || !slices.Contains(thread.Registers, thread.SP) {
			t.Errorf("thread %+v lies nowhere", thread)
		}
	}
	var b [8]byte
	if _, err := p.Memory.ReadAt(b[:], int64(p.Threads[0].SP)); err != nil {
		t.Error(err)
	}
	if _, err := p.Binary.ReadAt(b[:], 0); err != nil || string(b[:4]) != "\x7fELF" {
		t.Errorf("executable begins with %q, %v", b, err)
	}
}

func TestAttachStop(t *testing.T) {
	target := startSleep(t)
	pid := target.Process.Pid
	i := mustAttach(t, pid, AttachOptions{NoFork: true})
	if i.Method != MethodStop || i.Refused != nil || i.ChildPID != 0 {
		t.Errorf("image %+v", i)
	}
	if state(pid) != "t" {
		t.Errorf("the process is %s", state(pid))
	}
	checkDescription(t, i)
	if _, err := Attach(t.Context(), pid, AttachOptions{}); !errors.Is(err, ErrTraced) {
		t.Errorf("second capture: %v, want ErrTraced", err)
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "the process sleeps on", func() bool { return state(pid) == "S" })
	if i.Pause <= 0 {
		t.Errorf("pause %v", i.Pause)
	}
	if _, err := Attach(t.Context(), pid, AttachOptions{NoFork: true, NoStop: true}); err == nil {
		t.Error("captured by no means")
	}
	eventually(t, "the process sleeps on", func() bool { return state(pid) == "S" })
}

// TestAttachBusy captures a program of many threads that does all kinds of work and checks itself.
func TestAttachBusy(t *testing.T) {
	captures := 30
	if *long {
		captures = 200
	}
	target := startRole(t, "busy")
	counters := target.numbers()[0]
	attachOften(t, target.Process.Pid, captures, func(i *Image) { checkSteps(t, i.Process.Memory, counters) })
	if got := target.finish(); got != "unharmed" {
		t.Errorf("the program says: %s", got)
	}
}

func attachOften(t *testing.T, pid, captures int, check func(*Image)) {
	t.Helper()
	var longest time.Duration
	for n := range captures {
		i, err := Attach(t.Context(), pid, AttachOptions{NoFork: n%10 == 9, NoStop: n%10 != 9})
		if err != nil {
			t.Fatalf("capture %d: %v", n, err)
		}
		checkDescription(t, i)
		check(i)
		if err := i.Close(); err != nil {
			t.Fatalf("capture %d: %v", n, err)
		}
		for _, child := range children(t, pid) {
			if child == i.ChildPID {
				t.Fatalf("capture %d: child %d is left in state %s", n, child, state(child))
			}
		}
		if i.Method == MethodFork {
			longest = max(longest, i.Pause)
		}
	}
	t.Logf("longest pause %v", longest)
}

// cProgram has threads in C and in Go, in a program that is linked with libc.
const cProgram = `package main

/*
#include <pthread.h>
#include <stdint.h>
#include <time.h>
static volatile int stop;
static volatile long wrong;
static uint64_t formula(void) {
	uint64_t sum = 0;
	for (uint64_t i = 0; i < 1000000; i++) sum = sum * 6364136223846793005u + i;
	return sum;
}
static void *spin(void *p) {
	uint64_t sum = formula();
	while (!stop) {
		if (formula() != sum) wrong++;
		struct timespec t = {0, 4000000};
		if (nanosleep(&t, 0) != 0) wrong++;
	}
	return 0;
}
static pthread_t threads[4];
static void begin(void) { for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, spin, 0); }
static long end(void) { stop = 1; for (int i = 0; i < 4; i++) pthread_join(threads[i], 0); return wrong; }
static int twice(int n) { return 2 * n; }
*/
import "C"

import (
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	C.begin()
	fmt.Println("ready")
	done := make(chan bool)
	go func() { io.Copy(io.Discard, os.Stdin); close(done) }()
	for n := 0; ; n++ {
		select {
		case <-done:
			if wrong := C.end(); wrong != 0 {
				fmt.Println(wrong, "wrong")
				os.Exit(1)
			}
			fmt.Println("unharmed")
			return
		default:
			if got := C.twice(C.int(n % 1000)); int(got) != n%1000*2 {
				panic(got)
			}
			if n%20_000 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}
}
`

func TestAttachCgo(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("SKIPPED: there is no gcc")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"main.go": cProgram, "go.mod": "module target\n\ngo 1.24\n"} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-o", "target", ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=1", "GOWORK=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	target := start(t, exec.Command(dir+"/target"))
	target.expect("ready")
	captures := 20
	if *long {
		captures = 100
	}
	attachOften(t, target.Process.Pid, captures, func(*Image) {})
	if got := target.finish(); got != "unharmed" {
		t.Errorf("the program says: %s", got)
	}
}

// roleReading has a thread in a system call with known arguments.
func roleReading([]string) {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], 0); err != nil {
		panic(err)
	}
	buffer := make([]byte, 12345)
	started := make(chan int)
	go func() {
		runtime.LockOSThread()
		started <- syscall.Gettid()
		syscall.Read(ends[0], buffer)
	}()
	tid := <-started
	fmt.Println("ready")
	fmt.Printf("%x %x %x\n", tid, ends[0], uintptr(unsafe.Pointer(&buffer[0])))
	untilTold()
}

func TestAttachRegisters(t *testing.T) {
	target := startRole(t, "reading")
	numbers := target.numbers()
	tid, descriptor, buffer := int(numbers[0]), numbers[1], numbers[2]
	eventually(t, "the thread reads", func() bool {
		call, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", target.Process.Pid, tid))
		return err == nil && strings.Contains(string(call), fmt.Sprintf(" %#x %#x 0x3039 ", descriptor, buffer))
	})
	i := mustAttach(t, target.Process.Pid, AttachOptions{})
	for _, thread := range i.Process.Threads {
		if thread.TID != tid {
			continue
		}
		for _, want := range []uint64{descriptor, buffer, 12345, thread.PC, thread.SP, thread.FP} {
			if !slices.Contains(thread.Registers, want) {
				t.Errorf("registers %#x lack %#x", thread.Registers, want)
			}
		}
		if name := runtime.FuncForPC(uintptr(thread.PC)).Name(); !strings.Contains(name, "Syscall6") {
			t.Errorf("the thread is in %s", name)
		}
		return
	}
	t.Errorf("no thread %d in %v", tid, i.Process.Threads)
}

// TestAttachStopped: who was stopped by its shell stays so.
func TestAttachStopped(t *testing.T) {
	target := startSleep(t)
	pid := target.Process.Pid
	syscall.Kill(pid, syscall.SIGSTOP)
	eventually(t, "the process is stopped", func() bool { return state(pid) == "T" })
	for _, o := range []AttachOptions{{NoStop: true}, {NoFork: true}} {
		i := mustAttach(t, pid, o)
		checkDescription(t, i)
		if err := i.Close(); err != nil {
			t.Error(err)
		}
		eventually(t, "the process is stopped again", func() bool { return state(pid) == "T" })
	}
	syscall.Kill(pid, syscall.SIGCONT)
	eventually(t, "the process sleeps on", func() bool { return state(pid) == "S" })
}

func TestAttachTargetDies(t *testing.T) {
	for _, o := range []AttachOptions{{NoStop: true}, {NoFork: true}} {
		target := startSleep(t)
		i := mustAttach(t, target.Process.Pid, o)
		sp := int64(i.Process.Threads[0].SP)
		if i.Method == MethodFork {
			target.kill()
			if _, err := i.Process.Memory.ReadAt(make([]byte, 8), sp); err != nil {
				t.Errorf("the image does not outlive its process: %v", err)
			}
		} else {
			target.Process.Kill()
			eventually(t, "memory is gone", func() bool {
				_, err := i.Process.Memory.ReadAt(make([]byte, 8), sp)
				return errors.Is(err, ErrGone)
			})
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
		target.kill()
		if child := i.ChildPID; child != 0 {
			eventually(t, "the child is gone", func() bool { return ended(child) })
		}
	}
}

func TestAttachChildDies(t *testing.T) {
	target := startSleep(t)
	i := mustAttach(t, target.Process.Pid, AttachOptions{NoStop: true})
	syscall.Kill(i.ChildPID, syscall.SIGKILL) // as the kernel does when memory runs out
	eventually(t, "memory is gone", func() bool {
		_, err := i.Process.Memory.ReadAt(make([]byte, 8), int64(i.Process.Threads[0].SP))
		return errors.Is(err, ErrGone)
	})
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	if got := children(t, target.Process.Pid); len(got) != 0 {
		t.Errorf("children left: %v", got)
	}
}

func TestAttachContext(t *testing.T) {
	target := startSleep(t)
	pid := target.Process.Pid
	for _, o := range []AttachOptions{{NoStop: true}, {NoFork: true}} {
		reason := errors.New("the reason")
		ctx, cancel := context.WithCancelCause(t.Context())
		i, err := Attach(ctx, pid, o)
		if err != nil {
			t.Fatal(err)
		}
		cancel(reason)
		<-i.Gone()
		if _, err := i.Process.Memory.ReadAt(make([]byte, 8), int64(i.Process.Threads[0].SP)); !errors.Is(err, reason) {
			t.Errorf("read: %v", err)
		}
		eventually(t, "the process sleeps on", func() bool { return state(pid) == "S" && len(children(t, pid)) == 0 })
		i.Close()
		if _, err := Attach(ctx, pid, o); !errors.Is(err, reason) {
			t.Errorf("capture with a context that is over: %v", err)
		}

		o.Deadline = time.Millisecond
		i = mustAttach(t, pid, o)
		<-i.Gone()
		if !errors.Is(i.Err(), ErrDeadline) {
			t.Error(i.Err())
		}
		eventually(t, "the process sleeps on", func() bool { return state(pid) == "S" && len(children(t, pid)) == 0 })
	}
}

func TestAttachRefuses(t *testing.T) {
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	eventually(t, "a zombie", func() bool { return state(zombie.Process.Pid) == "Z" })
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	tids, err := threadIDs(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// Numbers of threads begin anew after the highest, so that the process itself may have the highest of them.
	tids = slices.DeleteFunc(tids, func(tid int) bool { return tid == os.Getpid() })
	if len(tids) == 0 {
		t.Fatal("the process has one thread only")
	}
	for _, test := range []struct {
		pid  int
		err  error
		says string
	}{
		{os.Getpid(), nil, "use Self"},
		{-1, ErrGone, "no process"},
		{0, ErrGone, "no process"},
		{gone.Process.Pid, ErrGone, "the process is gone"},
		{zombie.Process.Pid, ErrGone, "state Z"},
		{tids[0], nil, "a thread of process " + strconv.Itoa(os.Getpid())},
		{2, nil, "thread of the kernel"},
	} {
		if test.pid == 2 && statusOf(2, 2, "Name") != "kthreadd" {
			continue // in a container
		}
		i, err := Attach(t.Context(), test.pid, AttachOptions{})
		if err == nil {
			i.Close()
			t.Errorf("process %d was captured", test.pid)
			continue
		}
		if test.err != nil && !errors.Is(err, test.err) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("process %d: %v, want %v: %s", test.pid, err, test.err, test.says)
		}
	}
}

// TestAttachProcessLimit captures a process that may not fork.
func TestAttachProcessLimit(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can become another user")
	}
	command := exec.Command("sh", "-c", "ulimit -u 1 2>/dev/null || ulimit -p 1; exec sleep 1000")
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	target := start(t, command)
	pid := target.Process.Pid
	eventually(t, "sleep sleeps", func() bool { return state(pid) == "S" && statusOf(pid, pid, "Name") == "sleep" })
	i, err := Attach(t.Context(), pid, AttachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if i.Method != MethodStop || !errors.Is(i.Refused, ErrRefused) || !strings.Contains(i.Refused.Error(), "RLIMIT_NPROC") {
		t.Errorf("method %s, refused %v", i.Method, i.Refused)
	}
	checkDescription(t, i)
	i.Close()
	if _, err := Attach(t.Context(), pid, AttachOptions{NoStop: true}); !errors.Is(err, ErrRefused) || errors.Is(err, ErrPermission) {
		t.Errorf("without stopping: %v", err)
	}
	eventually(t, "the process sleeps on", func() bool { return state(pid) == "S" })
}

// TestUnprivileged runs captures as a user who may not.
func TestUnprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can become another user")
	}
	target := startSleep(t)
	unable := startRole(t, "unable "+strconv.Itoa(target.Process.Pid))
	got := unable.finish()
	for _, want := range []string{
		"attach: true", "it belongs to user 0, and this is user 65534", "CAP_SYS_PTRACE",
		"self: true", "not dumpable", "children: 0",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
	if state(target.Process.Pid) != "S" {
		t.Errorf("the process is %s", state(target.Process.Pid))
	}
}

// roleUnable becomes a user without rights, by which its process becomes undumpable, and tries.
func roleUnable(arguments []string) {
	pid, _ := strconv.Atoi(arguments[0])
	if err := errors.Join(syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
		panic(err)
	}
	fmt.Println("ready")
	_, err := Attach(context.Background(), pid, AttachOptions{})
	fmt.Println("attach:", errors.Is(err, ErrPermission), err)
	_, err = Self(context.Background(), Options{})
	fmt.Println("self:", errors.Is(err, ErrPermission), err)
	count := 0
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		child, _ := strconv.Atoi(entry.Name())
		if child != 0 && statusOf(child, child, "PPid") == strconv.Itoa(os.Getpid()) {
			count++
		}
	}
	fmt.Println("children:", count)
	io.Copy(io.Discard, os.Stdin)
}
