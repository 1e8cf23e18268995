package snaphelper

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// init makes the process a helper if it was started as one; then it does not return.
func init() {
	token, ok := os.LookupEnv(marker)
	if !ok || len(os.Args) != 1 || os.Args[0] != zeroth {
		return
	}
	h := helper{
		request: os.NewFile(requestFD, "request"), answer: os.NewFile(answerFD, "answer"), files: fileFD, stdout: os.Stdout, stderr: os.Stderr,
		settle: beModest, taken: ownMemory, exit: os.Exit,
	}
	_ = os.Unsetenv(marker) // whatever this process starts is no helper
	os.Exit(h.help(token))
}

// helper is what a helper process has to work with.
type helper struct {
	request, answer *os.File
	files           uintptr // descriptor of the first file of the task
	stdout, stderr  io.Writer
	settle          func(*request)
	taken           func() int64 // memory of its own, in bytes
	exit            func(code int)
	done            atomic.Bool // the task is, so that the parent may go
}

// help does what the request says and returns the exit code.
func (h *helper) help(token string) int {
	var r request
	if err := checkPipe(h.request); err != nil {
		return h.complain(err)
	}
	decoder := json.NewDecoder(h.request)
	if err := decoder.Decode(&r); err != nil {
		return h.complain(fmt.Errorf("read the request: %w", err))
	}
	if raw, err := hex.DecodeString(token); err != nil || len(raw) != tokenBytes || r.Token != token {
		return h.complain(errors.New("the request has another token than the environment"))
	}
	go h.endWith(decoder.Buffered())
	h.settle(&r)
	s := sender{to: json.NewEncoder(h.answer)}
	finished := make(chan struct{})
	go h.keepBudget(r.BudgetBytes, finished, func(a answer) error { return s.send(a, true) })
	a := h.do(r, func() { _ = s.send(answer{Released: true}, false) }) // if it is not read, the end will be
	close(finished)
	h.done.Store(true)
	if err := errors.Join(s.send(a, true), h.answer.Close()); err != nil {
		return h.complain(fmt.Errorf("write the answer: %w", err))
	}
	if a.Error != "" {
		return h.complain(a.err())
	}
	return 0
}

// sender sends answers, none after the last.
type sender struct {
	mu   sync.Mutex
	to   *json.Encoder
	over bool
}

func (s *sender) send(a answer, last bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return errors.New("the last answer was given")
	}
	s.over = last
	return s.to.Encode(a)
}

// complain says why on standard error, which the parent reads.
func (h *helper) complain(err error) int {
	fmt.Fprintln(h.stderr, "memwarden snapshot helper:", err)
	return 1
}

// checkPipe wants a pipe: a descriptor that a program has for its own use must not be read.
func checkPipe(file *os.File) error {
	if file == nil {
		return errors.New("there is no request")
	}
	info, err := file.Stat()
	if err == nil && info.Mode()&fs.ModeNamedPipe == 0 {
		err = errors.New("the request does not come through a pipe")
	}
	return err
}

// endWith ends the process when nobody holds the other end of its request any more.
func (h *helper) endWith(buffered io.Reader) {
	_, _ = io.Copy(io.Discard, io.MultiReader(buffered, h.request))
	if !h.done.Load() {
		h.exit(1)
	}
}

const (
	// How far a helper gives way: to a service that is busy it leaves three quarters of a processor while a frozen copy
	// lives, which costs memory for as long as it does, and nine tenths while a file is analysed.
	readNiceness, analyzeNiceness = 5, 10
	// which, of setpriority and ioprio_set: all threads of all processes of a group, here the helper's own.
	priorityGroup   = 1
	ioPriorityGroup = 2
	// ioBestEffortLowest is class 2, level 7.
	ioBestEffortLowest = 2<<13 | 7
)

// beModest makes the process give way to others and stay inside its memory. What is refused leaves it as it was.
func beModest(r *request) {
	niceness := analyzeNiceness
	if r.Scan != nil {
		niceness = readNiceness
	}
	_ = syscall.Setpriority(priorityGroup, 0, niceness)
	_, _, _ = syscall.Syscall(syscall.SYS_IOPRIO_SET, ioPriorityGroup, 0, ioBestEffortLowest)
	// If the kernel must kill somebody, then the helper.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(1000)), 0)
	debug.SetGCPercent(100)
	debug.SetMemoryLimit(r.BudgetBytes - r.BudgetBytes/10) // the runtime keeps to it, but for stacks and what is mapped
}

// do runs the task.
func (h *helper) do(r request, released func()) (a answer) {
	defer func() {
		if reason := recover(); reason != nil {
			a = failure(fmt.Errorf("panic: %v", reason))
		}
	}()
	ctx := context.Background() // the parent kills
	var err error
	switch {
	case r.Scan != nil:
		f := frozen{os.NewFile(h.files, "memory"), os.NewFile(h.files+1, "maps"), os.NewFile(h.files+2, "executable")}
		a.Result, err = scanTo(ctx, r.Scan, r.BudgetBytes, f, h.stdout, released)
	case r.Analyze != nil:
		if a.Analysis, err = analyze(ctx, os.NewFile(h.files, "snapshot"), r.BudgetBytes); err == nil {
			a.Held, err = heldAt(a.Analysis, r.Analyze.Held)
		}
	default:
		err = errors.New("the request has no task")
	}
	if err != nil {
		return failure(err)
	}
	return a
}
