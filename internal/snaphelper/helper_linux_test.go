package snaphelper

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/memwarden/memwarden/heap/capture"
	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// roleMark in the environment makes the test program another: one that has a helper.
const roleMark = "SNAPHELPER_TEST_ROLE"

func roles() {
	switch role := os.Getenv(roleMark); {
	case role == "parent": // of a helper that waits for ever
		scan, _ := stuck()
		_, err := scan.Run(context.Background(), Options{BudgetBytes: math.MaxInt64}, io.Discard)
		fmt.Println(err)
		os.Exit(3)
	case strings.HasPrefix(role, "analyze "): // after its own file was replaced
		os.Exit(analyzeAsSomebodyElse(strings.TrimPrefix(role, "analyze ")))
	}
}

func analyzeAsSomebodyElse(path string) int {
	self, err := os.Executable()
	if err == nil {
		err = errors.Join(os.Remove(self), os.WriteFile(self, []byte("#!/bin/false\n"), 0o700))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	file, err := os.Open(path)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	a, err := Analyze(context.Background(), Options{BudgetBytes: math.MaxInt64}, file)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(a.Objects, "objects")
	return 0
}

// stuck is a task whose helper waits for the text of the mappings until the writer is closed.
func stuck() (*Scan, *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		panic(err)
	}
	return &Scan{Memory: null, Maps: r, Binary: null}, w
}

// helpersOf are the helpers that a process has started.
func helpersOf(t *testing.T, parent int) []int {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, line := range lines {
		text, err := os.ReadFile(line)
		if err != nil || string(text) != zeroth+"\x00" {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(line)))
		if err == nil && statusOf(pid, "PPid:") == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// statusOf is a line of a process's status; empty if it is no more.
func statusOf(pid int, name string) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute it is still not so: %s", what)
		}
	}
}

func gone(pid int) bool { return strings.Trim(statusOf(pid, "State:"), " Z(zombie)") == "" }

// sessions is a snapshot file.
func sessions(t *testing.T, n uint64) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "s.snapshot"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := heaptest.WriteSessions(file, n); err != nil {
		t.Fatal(err)
	}
	return file
}

// analyzed is what the calling process finds in the file.
func analyzed(t *testing.T, file *os.File) *retain.Analysis {
	t.Helper()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() == 0 {
		t.Fatal("the file is empty")
	}
	a, err := analyze(t.Context(), file, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// asJSON is an analysis as it travels.
func asJSON(t *testing.T, a *retain.Analysis) any {
	t.Helper()
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestAnalyzeInAnotherProcess(t *testing.T) {
	file := sessions(t, 1000)
	got, err := Analyze(t.Context(), Options{BudgetBytes: 1 << 30}, file)
	if err != nil {
		t.Fatal(err)
	}
	if want := asJSON(t, analyzed(t, file)); !reflect.DeepEqual(asJSON(t, got), want) {
		t.Errorf("the helper found\n%v\nwant\n%v", asJSON(t, got), want)
	}
	if left := helpersOf(t, os.Getpid()); len(left) > 0 {
		t.Errorf("helpers %v are left", left)
	}
}

// TestHeldInAnotherProcess: it is told how objects are held that were asked for, list by list.
func TestHeldInAnotherProcess(t *testing.T) {
	file := sessions(t, 1000)
	reader := opened(t, file)
	var addresses []uint64
	for object := range reader.Summary().Objects {
		address, err := reader.Address(snapshot.ObjectID(object))
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, address)
	}
	asked := [][]uint64{addresses, nil, {1}}
	a, held, err := AnalyzeHeld(t.Context(), Options{BudgetBytes: 1 << 30}, file, asked)
	if err != nil {
		t.Fatal(err)
	}
	if len(held) != 3 || held[0].Reached != a.ReachedObjects || held[0].RetainedBytes != a.ReachedBytes || len(held[0].Paths) == 0 ||
		held[1].Found != 0 || held[2].Found != 0 {
		t.Errorf("%+v of %d objects", held, a.ReachedObjects)
	}
	if _, err := heldAt(new(retain.Analysis), asked); !errors.Is(err, retain.ErrNoGraph) {
		t.Errorf("without a graph: %v", err)
	}
}

func TestABudgetThatIsTooSmall(t *testing.T) {
	file := sessions(t, 1000)
	reader := opened(t, file)
	_, err := Analyze(t.Context(), Options{BudgetBytes: retain.MemoryBytes(reader.Totals()) - 1}, file)
	if !errors.Is(err, ErrBudget) || !strings.Contains(err.Error(), "analyse it elsewhere") || !strings.Contains(err.Error(), "MiB") {
		t.Errorf("a byte too little: %v", err)
	}
	scan, writer := stuck()
	defer writer.Close()
	scan.NeedBytes = 1 << 20
	if _, err := scan.Run(t.Context(), Options{BudgetBytes: 1<<20 - 1}, io.Discard); !errors.Is(err, ErrBudget) {
		t.Errorf("a byte too little for a scan: %v", err)
	}
}

func TestBadFiles(t *testing.T) {
	damaged := sessions(t, 100)
	if _, err := damaged.WriteAt([]byte("????????"), 2000); err != nil {
		t.Fatal(err)
	}
	empty, err := os.Create(filepath.Join(t.TempDir(), "empty"))
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	for name, file := range map[string]*os.File{"damaged": damaged, "empty": empty} {
		a, err := Analyze(t.Context(), Options{BudgetBytes: 1 << 30}, file)
		if err == nil || a != nil || errors.Is(err, ErrEnded) || strings.Contains(err.Error(), "panic") {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	scan, writer := stuck()
	writer.Close()
	if _, err := scan.Run(t.Context(), Options{BudgetBytes: 1 << 30}, io.Discard); err == nil || errors.Is(err, ErrEnded) {
		t.Errorf("a process without mappings: %v", err)
	}
}

func TestTheContextEndsTheHelper(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	scan, writer := stuck()
	defer writer.Close()
	ended := make(chan error)
	go func() {
		_, err := scan.Run(ctx, Options{BudgetBytes: 1 << 30}, io.Discard)
		ended <- err
	}()
	var pids []int
	await(t, "there is a helper", func() bool { pids = helpersOf(t, os.Getpid()); return len(pids) > 0 })
	reason := errors.New("no room any more")
	cancel(reason)
	if err := <-ended; !errors.Is(err, reason) {
		t.Errorf("error %v, want the context's", err)
	}
	if !gone(pids[0]) {
		t.Errorf("helper %d is left", pids[0])
	}
}

func TestAHelperThatIsKilled(t *testing.T) {
	scan, writer := stuck()
	defer writer.Close()
	ended := make(chan error)
	go func() {
		_, err := scan.Run(t.Context(), Options{BudgetBytes: 1 << 30}, io.Discard)
		ended <- err
	}()
	var pids []int
	await(t, "there is a helper", func() bool { pids = helpersOf(t, os.Getpid()); return len(pids) > 0 })
	await(t, "it gives way to others", func() bool {
		nice, err := syscall.Getpriority(syscall.PRIO_PROCESS, pids[0])
		return err == nil && 20-nice == readNiceness
	})
	await(t, "the kernel would kill it first", func() bool {
		score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pids[0]))
		return err == nil && string(score) == "1000\n"
	})
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("error %v", err)
	}
}

func TestTheHelperDiesWithItsParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), self)
	parent.Env = append(os.Environ(), roleMark+"=parent")
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	await(t, "there is a helper", func() bool { pids = helpersOf(t, parent.Process.Pid); return len(pids) > 0 })
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	await(t, "the helper is gone", func() bool { return gone(pids[0]) })
}

func TestAnExecutableThatWasReplaced(t *testing.T) {
	file := sessions(t, 100)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, self, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), roleMark+"=analyze "+file.Name())
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasSuffix(string(out), "objects\n") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestAnotherExecutable(t *testing.T) {
	file := sessions(t, 100)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Analyze(t.Context(), Options{Executable: self, BudgetBytes: 1 << 30}, file); err != nil {
		t.Error(err)
	}
	if _, err := Analyze(t.Context(), Options{Executable: "/bin/true", BudgetBytes: 1 << 30}, file); !errors.Is(err, ErrEnded) {
		t.Errorf("a program that is no helper: %v", err)
	}
	if _, err := Analyze(t.Context(), Options{Executable: "/none", BudgetBytes: 1 << 30}, file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
}

// TestNobodyIsAHelperByAccident starts the test program in the ways that a user's environment could bring about, and in
// those that it could not.
func TestNobodyIsAHelperByAccident(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	token := strings.Repeat("ab", tokenBytes)
	start := func(extra *os.File, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Args = args
		cmd.Env = append(os.Environ(), marker+"="+token)
		if extra != nil {
			cmd.ExtraFiles = []*os.File{extra}
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := start(nil, "program", "-test.list=^TestNobodyIsAHelperByAccident$"); err != nil || !strings.HasPrefix(out, "TestNobody") {
		t.Errorf("a program with the variable: %v: %s", err, out)
	}
	if out, err := start(nil, zeroth, "-test.list=^TestNobodyIsAHelperByAccident$"); err != nil || !strings.HasPrefix(out, "TestNobody") {
		t.Errorf("a program with the variable and arguments: %v: %s", err, out)
	}
	if out, err := start(nil, zeroth); err == nil || !strings.Contains(out, "memwarden snapshot helper:") {
		t.Errorf("without descriptor 3: %v: %s", err, out)
	}
	file := sessions(t, 10)
	if out, err := start(file, zeroth); err == nil || !strings.Contains(out, "pipe") {
		t.Errorf("a file as descriptor 3: %v: %s", err, out)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fmt.Fprintln(w, `{"Token":"00"}`)
	w.Close()
	if out, err := start(r, zeroth); err == nil || !strings.Contains(out, "token") {
		t.Errorf("another token: %v: %s", err, out)
	}
}

// descriptors counts those given out from 500 on: the kernel takes the lowest that is free.
var descriptors atomic.Int64

// inProcess runs a helper's part in the test's own process.
func inProcess(t *testing.T, r request, token string, files ...*os.File) (code int, answers []answer, said string) {
	t.Helper()
	p, err := newPipes()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	body, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.requestWrite.Write(body); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	exited := make(chan int, 2)
	h := helper{request: p.requestRead, answer: p.answerWrite, stdout: io.Discard, stderr: &stderr,
		settle: func(*request) {}, taken: func() int64 { return 0 }, exit: func(code int) { exited <- code }}
	if len(files) > 0 {
		// The helper closes what it takes for its own some time: three descriptors that are nobody else's, nor will be.
		h.files = uintptr(500 + descriptors.Add(3))
		for i := range 3 {
			if err := syscall.Dup3(int(files[0].Fd()), int(h.files)+i, syscall.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := make(chan []answer)
	go func() {
		var all []answer
		for decoder := json.NewDecoder(bufio.NewReader(p.answerRead)); ; {
			var a answer
			if decoder.Decode(&a) != nil {
				read <- all
				return
			}
			all = append(all, a)
		}
	}()
	code = h.help(token)
	p.answerWrite.Close()
	answers = <-read
	p.requestWrite.Close()
	if len(answers) > 0 { // it was told what to do, so it watches
		h.done.Store(false)
		h.endWith(strings.NewReader(""))
		if code := <-exited; code != 1 {
			t.Errorf("it ends with %d when its parent goes, want 1", code)
		}
	}
	return code, answers, stderr.String()
}

func TestHelp(t *testing.T) {
	token := strings.Repeat("0f", tokenBytes)
	file := sessions(t, 100)
	for name, c := range map[string]struct {
		request request
		token   string
		code    int
		said    string
	}{
		"analyze":     {request{Token: token, BudgetBytes: 1 << 30, Analyze: &analyzeRequest{}}, token, 0, ""},
		"budget":      {request{Token: token, Analyze: &analyzeRequest{}}, token, 1, "budget"},
		"no task":     {request{Token: token}, token, 1, "no task"},
		"other token": {request{Token: token}, strings.Repeat("0e", tokenBytes), 1, "token"},
		"short token": {request{Token: "0f"}, "0f", 1, "token"},
		"scan":        {request{Token: token, BudgetBytes: 1 << 30, Scan: &scanRequest{}}, token, 1, "no mappings"},
		"scan budget": {request{Token: token, Scan: &scanRequest{NeedBytes: 1}}, token, 1, "budget"},
	} {
		t.Run(name, func(t *testing.T) {
			code, answers, said := inProcess(t, c.request, c.token, file)
			if code != c.code || !strings.Contains(said, c.said) || c.said == "" && said != "" {
				t.Errorf("code %d, said %q, want %d, %q", code, said, c.code, c.said)
			}
			if c.code == 0 && (len(answers) != 1 || answers[0].Analysis == nil) {
				t.Errorf("answers %+v", answers)
			}
		})
	}
}

func TestAnswersKeepTheirKind(t *testing.T) {
	for _, want := range []error{ErrBudget, ErrFileLimit, errors.ErrUnsupported} {
		a := failure(fmt.Errorf("what: %w", want))
		if err := a.err(); !errors.Is(err, want) || err.Error() != "what: "+want.Error() {
			t.Errorf("%v came over as %v", want, err)
		}
	}
	if err := failure(errors.New("else")).err(); errors.Is(err, ErrBudget) || errors.Unwrap(err) != nil {
		t.Error(err)
	}
	for _, text := range []string{"", "{", `{"Released":true}`, `{"Released":true} x`} {
		if _, err := readAnswer(strings.NewReader(text), nil); !errors.Is(err, ErrEnded) {
			t.Errorf("%q: %v", text, err)
		}
	}
	released := 0
	a, err := readAnswer(strings.NewReader(`{"Released":true} {"Result":{"Bytes":7}}`), func() { released++ })
	if err != nil || a.Result.Bytes != 7 || released != 1 {
		t.Errorf("%+v, %v, released %d times", a, err, released)
	}
}

// TestScanTo reads a frozen copy of the test's own process, as a helper does.
func TestScanTo(t *testing.T) {
	child, err := capture.Self(t.Context(), capture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	f := frozen{child.Memory, child.Maps, child.Binary}
	var out bytes.Buffer
	released := 0
	r := &scanRequest{Threads: []layout.Thread{child.Thread}, Header: snapshot.Header{Executable: "self", Method: snapshot.Fork}, MaxFileBytes: 1 << 30}
	result, err := scanTo(t.Context(), r, 1<<30, f, &out, func() { released++ })
	if err != nil {
		t.Fatal(err)
	}
	if result.Bytes != int64(out.Len()) || result.Summary.Objects == 0 || released != 1 {
		t.Errorf("%+v of %d bytes, released %d times", result, out.Len(), released)
	}
	if h, err := snapshot.Open(bytes.NewReader(out.Bytes()), result.Bytes); err != nil || h.Header().Executable != "self" {
		t.Error(err)
	}
	if ScanBytes(10, 3200) != 48<<20+110 {
		t.Error(ScanBytes(10, 3200))
	}
}

func TestAWriterThatFails(t *testing.T) {
	broken := errors.New("the wire is cut")
	for want, c := range map[error]struct {
		most int64
		out  io.Writer
	}{
		broken:       {0, writer(func([]byte) (int, error) { return 0, broken })},
		ErrFileLimit: {1000, io.Discard},
	} {
		child, err := capture.Self(t.Context(), capture.Options{})
		if err != nil {
			t.Fatal(err)
		}
		scan := &Scan{Memory: child.Memory, Maps: child.Maps, Binary: child.Binary, Threads: []layout.Thread{child.Thread}, MaxFileBytes: c.most}
		if _, err := scan.Run(t.Context(), Options{BudgetBytes: 1 << 30}, c.out); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		if err := child.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestARequestThatCannotBeSent: what goes wrong with the pipes is told.
func TestARequestThatCannotBeSent(t *testing.T) {
	p, err := newPipes()
	if err != nil {
		t.Fatal(err)
	}
	p.requestWrite.Close()
	if _, err := p.exchange(request{}, nil); err == nil || !strings.Contains(err.Error(), "send the request") {
		t.Error(err)
	}
	if err := explain(ErrEnded, errors.New("exit status 2"), "fatal error: out of memory\nmore"); err.Error() != ErrEnded.Error()+" (exit status 2): fatal error: out of memory" {
		t.Error(err)
	}
	h := helper{stderr: new(bytes.Buffer)}
	if code := h.help(""); code != 1 {
		t.Errorf("without a request: code %d", code)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestBoundedWriter(t *testing.T) {
	var out bytes.Buffer
	w := &boundedWriter{out: &out, left: 5, limit: 5}
	if n, err := w.Write([]byte("12345")); n != 5 || err != nil {
		t.Error(n, err)
	}
	if n, err := w.Write([]byte("6")); n != 0 || !errors.Is(err, ErrFileLimit) || w.written != 5 {
		t.Error(n, err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	w = &boundedWriter{out: full}
	if _, err := w.Write([]byte("1")); !errors.Is(err, ErrFileLimit) || !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
}
