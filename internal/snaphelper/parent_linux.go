package snaphelper

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/memwarden/memwarden/heap/retain"
)

const (
	// marker is the variable that tells a process that it may be a helper; its value is a token.
	marker = "MEMWARDEN_HELPER_TOKEN"
	// zeroth is the zeroth argument of a helper, which is also what process lists show.
	zeroth = "memwarden: snapshot helper"

	tokenBytes = 16
	// endGrace is how long the pipes of a helper that was killed may stay open.
	endGrace = 5 * time.Second
)

// The descriptors of a helper beyond the standard ones.
const (
	requestFD = 3
	answerFD  = 4
	fileFD    = 5 // and the next ones
)

// Run reads the frozen process and writes the snapshot file to out. When ctx ends the helper is killed and the error is
// the context's. If out is an *os.File the helper writes to it itself; else what it writes is copied. It returns when
// the helper has ended and has been waited for, in every case.
func (s *Scan) Run(ctx context.Context, o Options, out io.Writer) (Result, error) {
	if s.NeedBytes > o.BudgetBytes {
		return Result{}, fmt.Errorf("snapshot helper: %w", refuse("reading the process", s.NeedBytes, o.BudgetBytes))
	}
	r := request{BudgetBytes: o.BudgetBytes, Scan: &scanRequest{s.Threads, s.Header, s.Pause, s.NeedBytes, s.MaxFileBytes}}
	a, err := run(ctx, o, r, out, s.Released, s.Memory, s.Maps, s.Binary)
	return a.Result, err
}

// Analyze finds what holds the memory in a snapshot file, in another process. It ends as Scan.Run does.
func Analyze(ctx context.Context, o Options, file *os.File) (*retain.Analysis, error) {
	a, _, err := AnalyzeHeld(ctx, o, file, nil)
	return a, err
}

// AnalyzeHeld does as Analyze, and tells how the objects at each of some lists of addresses are held.
func AnalyzeHeld(ctx context.Context, o Options, file *os.File, addresses [][]uint64) (*retain.Analysis, []retain.Held, error) {
	a, err := run(ctx, o, request{BudgetBytes: o.BudgetBytes, Analyze: &analyzeRequest{addresses}}, nil, nil, file)
	if err == nil && (a.Analysis == nil || len(a.Held) != len(addresses)) { // such as a helper of an older version
		err = fmt.Errorf("snapshot helper: %w", ErrEnded)
	}
	return a.Analysis, a.Held, err
}

// run starts a helper, tells it what to do and waits for its end.
func run(ctx context.Context, o Options, r request, out io.Writer, released func(), files ...*os.File) (a answer, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("snapshot helper: %w", err)
		}
	}()
	var token [tokenBytes]byte
	_, _ = rand.Read(token[:]) // never fails
	r.Token = hex.EncodeToString(token[:])
	said := &head{limit: 4 << 10}
	var copied *copyTo
	if _, isFile := out.(*os.File); out != nil && !isFile {
		copied = &copyTo{out: out}
		out = copied
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe") // the file that runs, whatever now stands at its path
	if o.Executable != "" {
		cmd.Path = o.Executable
	}
	cmd.Args = []string{zeroth}
	cmd.Env = append(os.Environ(), marker+"="+r.Token)
	cmd.Stdout, cmd.Stderr = out, said
	cmd.WaitDelay = endGrace
	// A group of its own: a terminal's interrupt is the service's to answer, and priorities are set by group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}

	p, err := newPipes()
	if err != nil {
		return answer{}, err
	}
	defer p.close()
	cmd.ExtraFiles = append([]*os.File{p.requestRead, p.answerWrite}, files...)

	// The kernel ends the helper with the thread that started it: that thread must not end before.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return answer{}, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	a, err = p.exchange(r, released)
	ended := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return answer{}, context.Cause(ctx)
	case copied != nil && copied.err != nil: // the helper saw no more than a broken pipe
		return answer{}, fmt.Errorf("write the snapshot: %w", copied.err)
	case err != nil:
		return answer{}, explain(err, ended, said.text())
	}
	// Whoever reaps every child of the process may have been faster: the answer is there all the same.
	if err := a.err(); err != nil || ended == nil || errors.Is(ended, syscall.ECHILD) {
		return a, err
	}
	return answer{}, explain(ErrEnded, ended, said.text())
}

// copyTo remembers why a writer failed.
type copyTo struct {
	out io.Writer
	err error
}

func (c *copyTo) Write(p []byte) (n int, err error) {
	n, err = c.out.Write(p)
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}

// explain adds how a helper ended and the first line that it said.
func explain(err, ended error, said string) error {
	if ended != nil {
		err = fmt.Errorf("%w (%w)", err, ended)
	}
	if line, _, _ := strings.Cut(strings.TrimSpace(said), "\n"); line != "" {
		err = fmt.Errorf("%w: %s", err, line)
	}
	return err
}

// pipes are the ways to a helper and back.
type pipes struct {
	requestRead, requestWrite, answerRead, answerWrite *os.File
}

func newPipes() (p pipes, err error) {
	if p.requestRead, p.requestWrite, err = os.Pipe(); err != nil {
		return p, err
	}
	if p.answerRead, p.answerWrite, err = os.Pipe(); err != nil {
		p.close()
		return p, err
	}
	return p, nil
}

// close closes what is still open; closing twice does nothing.
func (p pipes) close() {
	for _, file := range []*os.File{p.requestRead, p.requestWrite, p.answerRead, p.answerWrite} {
		if file != nil {
			_ = file.Close() // only pipes
		}
	}
}

// exchange sends the request and reads the answer, to its end or the helper's. The request's pipe stays open until the
// answer is there: its end ends the helper.
func (p pipes) exchange(r request, released func()) (answer, error) {
	_, _ = p.requestRead.Close(), p.answerWrite.Close() // ours: the helper has its own
	defer func() { _, _ = p.requestWrite.Close(), p.answerRead.Close() }()
	body, err := json.Marshal(r)
	if err != nil {
		return answer{}, err
	}
	if _, err := p.requestWrite.Write(body); err != nil && !errors.Is(err, syscall.EPIPE) { // it ended: the answer says why
		return answer{}, fmt.Errorf("send the request: %w", err)
	}
	return readAnswer(p.answerRead, released)
}

// head keeps the beginning of what is written to it.
type head struct {
	limit int
	kept  bytes.Buffer
}

func (h *head) Write(p []byte) (int, error) {
	h.kept.Write(p[:min(len(p), h.limit-h.kept.Len())])
	return len(p), nil
}

// text may be asked for once the writing has ended.
func (h *head) text() string { return h.kept.String() }
