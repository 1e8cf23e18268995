//go:build linux && (amd64 || arm64)

package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// steps are counters on pages of their own. They are counted up in turn, so at any moment each is as high as the one
// before, or one step has been made in part: then all up to some place are one higher.
type steps struct {
	pages [64]struct {
		count uint64
		_     [4088]byte
	}
}

// run counts until it is told to stop.
//
//go:norace
func (s *steps) run(stop *atomic.Bool) {
	for !stop.Load() {
		for i := range s.pages {
			s.pages[i].count++
		}
	}
}

// check looks at counters in frozen memory.
func checkSteps(t *testing.T, memory io.ReaderAt, address uint64) {
	t.Helper()
	var s steps
	raw := make([]byte, unsafe.Sizeof(s))
	if _, err := memory.ReadAt(raw, int64(address)); err != nil {
		t.Fatal(err)
	}
	size := len(raw) / len(s.pages)
	first := binary.NativeEndian.Uint64(raw)
	before := first
	for i := range s.pages {
		count := binary.NativeEndian.Uint64(raw[i*size:])
		if count > before || first-count > 1 {
			t.Fatalf("not one moment: counter %d is %d, the one before %d, the first %d", i, count, before, first)
		}
		before = count
	}
	if first == 0 {
		t.Error("nothing was counted")
	}
}

// pause is what each kind of work but the counting takes between two turns. Without it, eight threads that never wait
// have the processors, and a capture waits for its turn rather than for what it stops.
const pause = 2 * time.Millisecond

// load is a program of many kinds of work, of which each checks itself.
type load struct {
	stop     atomic.Bool
	workers  sync.WaitGroup
	failures chan error
	counters steps
	turns    [8]atomic.Int64 // by the kind of work
	sum      uint64
	float    float64
}

var loadKinds = [...]func(*load, *atomic.Int64) error{
	(*load).compute, (*load).allocate, (*load).sleep, (*load).wake, (*load).network, (*load).pipe, (*load).signal,
	(*load).execute,
}

func startLoad() *load {
	l := &load{failures: make(chan error, 100)}
	l.sum, l.float = formula()
	l.workers.Go(func() { l.counters.run(&l.stop) })
	for kind, work := range loadKinds {
		l.workers.Go(func() {
			for !l.stop.Load() {
				if err := work(l, &l.turns[kind]); err != nil {
					l.failures <- fmt.Errorf("work %d: %w", kind, err)
					return
				}
				time.Sleep(pause)
			}
		})
	}
	return l
}

// begun waits until all kinds of work were done once.
func (l *load) begun() {
	for kind := 0; kind < len(loadKinds); {
		if l.turns[kind].Load() > 0 || len(l.failures) > 0 {
			kind++
		} else {
			time.Sleep(time.Millisecond)
		}
	}
}

// end stops the work and returns what went wrong.
func (l *load) end() error {
	l.stop.Store(true)
	l.workers.Wait()
	close(l.failures)
	var failed error
	for err := range l.failures {
		failed = errors.Join(failed, err)
	}
	for kind := range loadKinds {
		if l.turns[kind].Load() == 0 {
			failed = errors.Join(failed, fmt.Errorf("work %d was never done", kind))
		}
	}
	return failed
}

// compute uses registers of all kinds, without a call in between.
func (l *load) compute(turns *atomic.Int64) error {
	sum, float := formula()
	if sum != l.sum || float != l.float {
		return fmt.Errorf("computed %d and %v, at first %d and %v", sum, float, l.sum, l.float)
	}
	turns.Add(1)
	return nil
}

func formula() (sum uint64, float float64) {
	for i := range uint64(1_000_000) {
		sum = sum*6364136223846793005 + i
		float = float*0.999 + 1
	}
	return sum, float
}

// allocate makes garbage, and collects it.
func (l *load) allocate(turns *atomic.Int64) error {
	const length = 20_000
	list := heapOf(length)
	if turns.Add(1)%5 == 0 {
		runtime.GC()
	}
	n := 0
	for ; list != nil; list = list.next {
		n++
	}
	if n != length {
		return fmt.Errorf("list of %d", n)
	}
	return nil
}

// sleep uses the nanosleep system call, which the kernel continues by restart_syscall.
func (l *load) sleep(turns *atomic.Int64) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const long = 20 * time.Millisecond
	begin := time.Now()
	left := syscall.NsecToTimespec(int64(long))
	for {
		err := syscall.Nanosleep(&left, &left)
		if err == nil {
			break
		}
		if err != syscall.EINTR { // a signal handler ran
			return fmt.Errorf("nanosleep: %w", err)
		}
	}
	if slept := time.Since(begin); slept < long {
		return fmt.Errorf("slept %v", slept)
	}
	turns.Add(1)
	return nil
}

// wake hands a token around goroutines, through futexes.
func (l *load) wake(turns *atomic.Int64) error {
	there, back := make(chan int), make(chan int)
	var echo sync.WaitGroup
	echo.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for token := range there {
			back <- token + 1
		}
	})
	for i := range 200 {
		there <- i
		if got := <-back; got != i+1 {
			return fmt.Errorf("token %d came back as %d", i, got)
		}
	}
	close(there)
	echo.Wait()
	turns.Add(1)
	return nil
}

// network sends numbered messages through TCP, with epoll.
func (l *load) network(turns *atomic.Int64) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	var server sync.WaitGroup
	server.Go(func() {
		if connection, err := listener.Accept(); err == nil {
			io.Copy(connection, connection)
			connection.Close()
		}
	})
	defer server.Wait()
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return err
	}
	defer connection.Close()
	for i := range uint64(100) {
		var message [8]byte
		binary.BigEndian.PutUint64(message[:], i)
		if _, err := connection.Write(message[:]); err != nil {
			return err
		}
		if _, err := io.ReadFull(connection, message[:]); err != nil {
			return err
		}
		if got := binary.BigEndian.Uint64(message[:]); got != i {
			return fmt.Errorf("message %d came back as %d", i, got)
		}
	}
	turns.Add(1)
	return nil
}

// pipe reads in a blocking system call, which the kernel restarts: it never fails, and nothing is read twice.
func (l *load) pipe(turns *atomic.Int64) error {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		return err
	}
	defer syscall.Close(ends[0])
	var writer sync.WaitGroup
	writer.Go(func() {
		defer syscall.Close(ends[1])
		for i := range 50 {
			time.Sleep(time.Millisecond)
			syscall.Write(ends[1], []byte{byte(i)})
		}
	})
	defer writer.Wait()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i := range 50 {
		var b [1]byte
		if n, err := syscall.Read(ends[0], b[:]); n != 1 || err != nil || b[0] != byte(i) {
			return fmt.Errorf("read %d: %d bytes, %v, %v", i, n, err, b)
		}
	}
	turns.Add(1)
	return nil
}

// signal sends signals to itself: each must arrive.
func (l *load) signal(turns *atomic.Int64) error {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	defer signal.Stop(caught)
	for range 100 {
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		select {
		case <-caught:
		case <-time.After(30 * time.Second):
			select {
			case <-caught: // both may have come before this goroutine had its turn
			default:
				return errors.New("a signal was lost")
			}
		}
	}
	turns.Add(1)
	return nil
}

// execute runs a program.
func (l *load) execute(turns *atomic.Int64) error {
	command := exec.Command("/bin/sh", "-c", "exit 7")
	err := command.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 {
		return fmt.Errorf("sh: %w", err)
	}
	turns.Add(1)
	return nil
}

// roleBusy works until it is told to end, and then says whether all went well.
func roleBusy([]string) {
	l := startLoad()
	l.begun()
	fmt.Println("ready")
	fmt.Printf("%x\n", uintptr(unsafe.Pointer(&l.counters)))
	untilTold()
	if err := l.end(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("unharmed")
}
