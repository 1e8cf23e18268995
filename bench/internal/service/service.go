// Package service builds the service as it is deployed and runs it, on a free port of the loopback interface.
//
// It knows the service's command line, environment and routes, as a user does. The benchmarks stand above it.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The routes that are asked for.
const (
	StatsPath  = "/api/monitoring/memory/stats"
	healthPath = "/api/health"
	gcPath     = "/api/monitoring/memory/gc"
)

// Token is the admin's.
const Token = "benchmark-admin-token"

const (
	startTimeout = 30 * time.Second
	// pollInterval is how often a starting service is asked; it is part of the start-up time that is measured.
	pollInterval = 500 * time.Microsecond
)

// Build compiles a main package of the module in dir, as `make build` does, and returns the program's file, in into.
func Build(ctx context.Context, dir, mainPackage, into string) (file string, err error) {
	return BuildWith(ctx, dir, mainPackage, into, "-trimpath", "-ldflags", "-s -w")
}

// BuildWith compiles a main package of the module in dir with flags of `go build`, and returns the program's file, in
// into.
func BuildWith(ctx context.Context, dir, mainPackage, into string, flags ...string) (file string, err error) {
	file = filepath.Join(into, filepath.Base(mainPackage))
	command := exec.CommandContext(ctx, "go", slices.Concat([]string{"build"}, flags, []string{"-o", file, mainPackage})...)
	command.Dir = dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s in %s: %w\n%s", mainPackage, dir, err, out)
	}
	return file, nil
}

// Clean is the environment without what would configure a service or its runtime, and with settings of the form
// NAME=value.
func Clean(settings ...string) []string {
	var clean []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "MEMWARDEN_") && name != "GOMEMLIMIT" && name != "GOGC" && name != "GODEBUG" && name != "GOMAXPROCS" {
			clean = append(clean, variable)
		}
	}
	return append(clean, settings...)
}

// Service is a running one.
type Service struct {
	Address string // host:port
	PID     int
	StartUp time.Duration // from the start of the process to the first healthy answer

	command *exec.Cmd
	log     string // file
	exited  chan struct{}
	err     error // of Wait; after exited
	client  *http.Client
}

// Start runs the service with its data in dir and waits until it is healthy. Settings are of the form
// MEMWARDEN_…=value. The service is killed when ctx ends.
func Start(ctx context.Context, file, dir string, settings ...string) (*Service, error) {
	return StartWith(ctx, nil, file, dir, settings...)
}

// StartWith starts it by a command that ends in executing the rest of its command line in its own place, such as taskset.
func StartWith(ctx context.Context, by []string, file, dir string, settings ...string) (*Service, error) {
	line := slices.Concat(by, []string{file, "serve"})
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	s := &Service{
		Address: address, log: filepath.Join(dir, "service.log"), exited: make(chan struct{}),
		command: exec.CommandContext(ctx, line[0], line[1:]...),
		client:  &http.Client{Timeout: startTimeout, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the service has its own descriptor
	s.command.Stdout, s.command.Stderr = log, log
	s.command.Env = Clean(append([]string{
		"MEMWARDEN_ADDR=" + address, "MEMWARDEN_DATA_DIR=" + filepath.Join(dir, "data"), "MEMWARDEN_ADMIN_TOKEN=" + Token,
	}, settings...)...)
	began := time.Now()
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	s.PID = s.command.Process.Pid
	go func() {
		s.err = s.command.Wait()
		close(s.exited)
	}()
	if err := s.waitHealthy(ctx); err != nil {
		_ = s.command.Process.Kill()
		<-s.exited
		return nil, fmt.Errorf("the service does not start: %w\n%s", err, s.tail())
	}
	s.StartUp = time.Since(began)
	return s, nil
}

// freeAddress finds a port that is free at this moment.
func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func (s *Service) waitHealthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		_, err := s.call(ctx, http.MethodGet, healthPath, "")
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("it ended: %w", s.err)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pollInterval):
		}
	}
}

// call sends a request as the admin and returns the body of an answer of status 200.
func (s *Service) call(ctx context.Context, method, path, body string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.Address+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+Token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }() // it has been read
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s: %.500s", method, path, answer.Status, text)
	}
	return text, nil
}

// State is what the service says of itself.
type State struct {
	HeapLiveBytes int64 // by the collection that State forced
	Goroutines    int64
}

// Collect forces a collection that returns free heap to the operating system, and reads the first sample after it. The
// service must be allowed to collect each second (MEMWARDEN_GC_MIN_INTERVAL and …_MAX_INTERVAL).
func (s *Service) Collect(ctx context.Context) (State, error) {
	var collection struct {
		Ran        bool
		At         time.Time
		Reason     string
		RetryAfter float64 `json:"retry_after_seconds"`
	}
	for !collection.Ran {
		if err := pause(ctx, time.Duration(collection.RetryAfter*float64(time.Second))); err != nil {
			return State{}, err
		}
		if err := s.Read(ctx, http.MethodPost, gcPath, `{"return_to_os":true}`, &collection); err != nil {
			return State{}, err
		}
	}
	after := time.Now()
	for {
		var stats struct {
			At time.Time
			Go struct {
				HeapLive   int64 `json:"heap_live_bytes"`
				Goroutines int64
			}
		}
		if err := s.Read(ctx, http.MethodGet, StatsPath, "", &stats); err != nil {
			return State{}, err
		}
		if stats.At.After(after) {
			return State{stats.Go.HeapLive, stats.Go.Goroutines}, nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return State{}, err
		}
	}
}

// Read sends a request as the admin and reads the JSON of an answer of status 200.
func (s *Service) Read(ctx context.Context, method, path, body string, into any) error {
	answer, err := s.call(ctx, method, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s %s: %w: %.200s", method, path, err, answer)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Terminate sends SIGTERM.
func (s *Service) Terminate() error { return s.command.Process.Signal(syscall.SIGTERM) }

// Exited is closed when the process has ended.
func (s *Service) Exited() <-chan struct{} { return s.exited }

// Stop ends the service and waits for it. It is an error if it does not exit with 0.
func (s *Service) Stop() error {
	select {
	case <-s.exited: // it may have been terminated already
	default:
		if err := s.Terminate(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		<-s.exited
	}
	if s.err != nil {
		return fmt.Errorf("the service ended: %w\n%s", s.err, s.tail())
	}
	return nil
}

// tail is the end of the log, for an error.
func (s *Service) tail() string {
	const most = 4 << 10
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}
