package functab

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
)

// seize stops all threads of a process and returns their registers.
func seize(t testing.TB, pid int) []layout.Thread {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	stop(t, pid)
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		t.Fatal(err)
	}
	var threads []layout.Thread
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		threads = append(threads, registers(t, tid))
	}
	return threads
}

// registers reads the registers of a stopped thread, which stays so.
func registers(t testing.TB, tid int) layout.Thread {
	t.Helper()
	if err := syscall.PtraceAttach(tid); err != nil {
		t.Fatalf("attach to thread %d: %v", tid, err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(tid, &status, syscall.WALL, nil); err != nil {
		t.Fatalf("wait for thread %d: %v", tid, err)
	}
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tid, &r); err != nil {
		t.Fatalf("registers of thread %d: %v", tid, err)
	}
	if err := syscall.PtraceDetach(tid); err != nil {
		t.Fatalf("detach from thread %d: %v", tid, err)
	}
	return layout.Thread{
		TID: tid, PC: r.Rip, SP: r.Rsp, FP: r.Rbp,
		Registers: []uint64{
			r.Rax, r.Rbx, r.Rcx, r.Rdx, r.Rsi, r.Rdi, r.Rbp, r.Rsp, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15, r.Rip,
		},
	}
}
