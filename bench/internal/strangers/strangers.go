// Package strangers builds programs that no one here wrote from the module proxy, runs them on the loopback interface,
// and gives them something to hold: Caddy connections, the NATS server messages.
//
// It knows these programs, not what is measured of them. The benchmarks stand above it.
package strangers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// The programs, with their versions.
const (
	CaddyPackage = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9"
	NATSPackage  = "github.com/nats-io/nats-server/v2@v2.15.2"
)

const (
	// startTimeout is how long a program may take until it answers, and endTimeout until it has ended.
	startTimeout = time.Minute
	endTimeout   = 10 * time.Second
	// loadTimeout is how long a program may take for all that it is given, and exchangeTimeout for one answer.
	loadTimeout     = 10 * time.Minute
	exchangeTimeout = time.Minute
	// pollInterval is between two questions whether something has begun.
	pollInterval = 20 * time.Millisecond
)

// Install builds a command, given by its package with its version, from the module proxy, as `go install` does, and
// returns its file, in the directory into. It may be told more, such as "-ldflags=-s -w".
func Install(ctx context.Context, command, into string, flags ...string) (file string, err error) {
	install := exec.CommandContext(ctx, "go", append(append([]string{"install"}, flags...), command)...)
	install.Dir = into // outside of any module
	install.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOBIN="+into)
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w\n%s", command, err, out)
	}
	return filepath.Join(into, name(command)), nil
}

// name is what `go install` calls the file of a command: the last element of its path that is no major version.
func name(command string) string {
	importPath, _, _ := strings.Cut(command, "@")
	last := path.Base(importPath)
	if number, isVersion := strings.CutPrefix(last, "v"); isVersion && number != "" && strings.Trim(number, "0123456789") == "" {
		last = path.Base(path.Dir(importPath))
	}
	return last
}

// Program is one that runs and holds something.
type Program struct {
	PID int

	command     *exec.Cmd
	debug       string // URL of its pprof routes
	log         *os.File
	connections []net.Conn

	alive  context.Context // until it has exited
	exited context.CancelCauseFunc
}

// errEnded is why a program is not alive.
var errEnded = errors.New("it has ended")

// start starts a program with its data in dir. It is killed when ctx ends.
func start(ctx context.Context, file, dir, debug string, arguments ...string) (*Program, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	p := &Program{debug: "http://" + debug, log: log, command: exec.CommandContext(ctx, file, arguments...)}
	p.command.Dir = dir
	p.command.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	p.command.Stdout, p.command.Stderr = log, log
	p.command.WaitDelay = endTimeout
	if err := p.command.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	p.PID = p.command.Process.Pid
	p.alive, p.exited = context.WithCancelCause(ctx)
	go func() {
		_ = p.command.Wait() // how it ends is its own business
		p.exited(errEnded)
	}()
	return p, nil
}

// Collect has the program collect its garbage twice: its heap profile does, when it is asked for the state after a
// collection.
func (p *Program) Collect() error {
	for range 2 {
		if err := get(p.alive, p.debug+"/debug/pprof/heap?gc=1"); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the connections, ends the program and waits for it.
func (p *Program) Close() error {
	for _, c := range p.connections {
		_ = c.Close() // all has been read
	}
	_ = p.command.Process.Signal(os.Interrupt) // it may have ended by itself
	timer := time.AfterFunc(endTimeout, func() { _ = p.command.Process.Kill() })
	defer timer.Stop()
	<-p.alive.Done()
	return p.log.Close()
}

// fail closes a program that did not begin as it should, and adds what it logged to the error.
func (p *Program) fail(err error) error {
	const most = 4 << 10
	err = errors.Join(err, p.Close())
	text, readErr := os.ReadFile(p.log.Name())
	return fmt.Errorf("%s: %w\n%s", p.command.Path, errors.Join(err, readErr), text[max(0, len(text)-most):])
}

// get asks until the answer is 200, for a minute at most.
func get(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return poll(ctx, func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }() // it has been read
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s", url, answer.Status)
		}
		return nil
	})
}

// poll tries until it succeeds or ctx ends.
func poll(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(pollInterval):
		}
	}
}

// connect opens a connection that lives as long as the program.
func (p *Program) connect(address string) (net.Conn, *bufio.Reader, error) {
	ctx, cancel := context.WithTimeout(p.alive, startTimeout)
	defer cancel()
	var c net.Conn
	err := poll(ctx, func() (err error) { // it may not listen yet
		c, err = new(net.Dialer).DialContext(ctx, "tcp", address)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	p.connections = append(p.connections, c)
	return c, bufio.NewReader(c), c.SetDeadline(time.Now().Add(exchangeTimeout))
}

// await reads lines until one contains a text, and returns that.
func await(r *bufio.Reader, text string) (line string, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("wait for %q: %w", text, err)
		}
		if strings.Contains(line, text) {
			return line, nil
		}
	}
}

// freeAddress is a loopback address that nobody listens on at this moment.
func freeAddress(ctx context.Context) (host, port string, err error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	if host, port, err = net.SplitHostPort(listener.Addr().String()); err != nil {
		return "", "", errors.Join(err, listener.Close())
	}
	return host, port, listener.Close()
}
