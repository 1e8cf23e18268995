//go:build linux && (amd64 || arm64)

package capture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAttacherDies kills a process again and again while it captures another one, which must not notice.
func TestAttacherDies(t *testing.T) {
	target := startRole(t, "busy")
	target.numbers()
	pid := target.Process.Pid
	kills := 12
	if *long {
		kills = 200
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range kills {
		attacher := startRole(t, "attach "+strconv.Itoa(pid))
		time.Sleep(time.Duration(random.IntN(30_000)) * time.Microsecond)
		attacher.kill()
		eventually(t, "the process is let go", func() bool { return statusOf(pid, pid, "TracerPid") == "0" })
		eventually(t, "no frozen child is left alive", func() bool {
			for _, child := range children(t, pid) {
				if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", child)); err == nil && strings.HasSuffix(exe, ".test") {
					return false // or between fork and exec
				}
			}
			return true
		})
	}
	if got := target.finish(); got != "unharmed" {
		t.Errorf("the program says: %s", got)
	}
}

// TestHolderOfASignalDies: an attacher that has been told of a signal, and is killed before it has handed it on, takes it
// from nobody.
func TestHolderOfASignalDies(t *testing.T) {
	target := startRole(t, "catch")
	holder := startRole(t, "hold "+strconv.Itoa(target.Process.Pid))
	if err := target.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	holder.expect("holds it")
	holder.kill()
	target.expect("caught it")
}

// roleCatch waits for a signal.
func roleCatch([]string) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	fmt.Println("ready")
	<-caught
	fmt.Println("caught it")
}

// roleHold waits until a thread of a process stands because a signal is to be delivered to it, and leaves it so.
func roleHold(arguments []string) {
	runtime.LockOSThread()
	pid, _ := strconv.Atoi(arguments[0])
	tids, err := threadIDs(pid)
	for _, tid := range tids {
		err = errors.Join(err, ptrace(ptraceSeize, tid, optionSysGood))
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	for {
		for _, tid := range tids {
			status, err := (&tracee{tid: tid}).wait(syscall.WNOHANG)
			switch {
			case err != nil:
			case status.StopSignal() == syscall.SIGUSR1:
				fmt.Println("holds it")
				select {}
			default: // another signal: the runtime's own
				_ = syscall.PtraceCont(tid, int(status.StopSignal()))
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// roleAttach captures a process until it is killed.
func roleAttach(arguments []string) {
	pid, _ := strconv.Atoi(arguments[0])
	fmt.Println("ready")
	for {
		i, err := Attach(context.Background(), pid, AttachOptions{NoStop: true})
		if err == nil {
			i.Close()
		}
	}
}
