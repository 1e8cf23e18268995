package sessions

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// endTimeout is how long a program may take to end once its input has.
const endTimeout = time.Minute

// Process is a program that runs. It is not safe for concurrent use.
type Process struct {
	PID int

	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	log     bytes.Buffer
}

// Start runs a program with n sessions, each with a page of some bytes, in an environment, and waits until it is ready.
// It is killed when ctx ends.
func Start(ctx context.Context, file string, n, page int, environment []string) (*Process, error) {
	p := &Process{command: exec.CommandContext(ctx, file, strconv.Itoa(n), strconv.Itoa(page))}
	p.command.Env = environment
	p.command.Stderr = &p.log
	p.command.WaitDelay = endTimeout
	in, err := p.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	p.PID = p.command.Process.Pid
	line, err := p.line()
	if err == nil && line != ready {
		err = fmt.Errorf("it says %q: want %q", line, ready)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", file, err), p.Close())
	}
	return p, nil
}

// Ask gives a command and returns the answer, which is empty for "ok".
func (p *Process) Ask(command string) (string, error) {
	if _, err := fmt.Fprintln(p.in, command); err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	line, err := p.line()
	if reason, refused := strings.CutPrefix(line, failed); err == nil && refused {
		err = errors.New(reason)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	if line == done {
		line = ""
	}
	return line, nil
}

// Longest is the longest time between two looks of the program since Longest was last called.
func (p *Process) Longest() (time.Duration, error) {
	line, err := p.Ask("longest")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(line, 10, 64)
	return time.Duration(n), err
}

func (p *Process) line() (string, error) {
	line, err := p.out.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// Close ends the program and waits for it. It is an error if it does not end by itself with 0, and the error has what it
// wrote to its standard error.
func (p *Process) Close() error {
	timer := time.AfterFunc(endTimeout, func() { _ = p.command.Process.Kill() }) // Wait tells
	defer timer.Stop()
	err := p.in.Close()
	if ended := p.command.Wait(); ended != nil {
		err = errors.Join(err, fmt.Errorf("%s ended with %w\n%s", p.command.Path, ended, p.log.String()))
	}
	return err
}
