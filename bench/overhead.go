package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/process"
	"github.com/memwarden/memwarden/bench/internal/service"
	"github.com/memwarden/memwarden/bench/internal/target"
	"github.com/memwarden/memwarden/memhttp"
)

// touches is how often the target is asked before it is measured.
const touches = 20

// cost is what a program took.
type cost struct {
	ratio  float64 // of one processor, over the window
	memory process.Memory
}

// measureOverhead runs the same small service with and without a warden, side by side so that both meet the same
// machine, and takes the differences.
func measureOverhead(ctx context.Context, p plan, w workshop) ([]figure.Figure, error) {
	return measureCost(ctx, p, w, 0.001, 5<<20)
}

// measureWatching does the same with a program that a leak may be suspected of: a large heap, many goroutines, and no
// collections of its own, so that all that it takes to see the heap is forced by the look for leaks.
func measureWatching(ctx context.Context, p plan, w workshop) ([]figure.Figure, error) {
	p.rounds, p.window = p.watch.rounds, p.watch.window
	return measureCost(ctx, p, w, 0.002, 8<<20, "-bytes", strconv.Itoa(p.watch.bytes), "-goroutines", strconv.Itoa(p.watch.goroutines))
}

// watchPlan is what program is watched for how long.
type watchPlan struct {
	rounds            int
	window            time.Duration
	bytes, goroutines int
}

var watchDefaults = watchPlan{rounds: 1, window: 30 * time.Minute, bytes: 300 << 20, goroutines: 500}

// measureCost runs programs with these arguments, and holds what a warden costs against goals.
func measureCost(ctx context.Context, p plan, w workshop, ratio float64, bytes int64, arguments ...string) ([]figure.Figure, error) {
	files := map[string]string{}
	for _, name := range []string{"plain", "watched"} {
		var err error
		if files[name], err = service.Build(ctx, ".", "./cmd/"+name, w.dir); err != nil {
			return nil, err
		}
	}
	processor := figure.Figure{Name: "processor time, of one processor", Unit: figure.Percent, Goal: figure.AtMost(ratio)}
	resident := figure.Figure{Name: "resident memory (RSS)", Unit: figure.Bytes, Goal: figure.AtMost(float64(bytes))}
	anonymous := figure.Figure{Name: "of which anonymous: heap, stacks, data", Unit: figure.Bytes}
	proportional := figure.Figure{Name: "proportional memory (PSS)", Unit: figure.Bytes}
	without := figure.Figure{Name: "for comparison: RSS without a warden", Unit: figure.Bytes}
	for range p.rounds {
		plain, watched, err := pair(ctx, files, p, arguments)
		if err != nil {
			return nil, err
		}
		processor.Values = append(processor.Values, watched.ratio-plain.ratio)
		resident.Values = append(resident.Values, float64(watched.memory.RSS-plain.memory.RSS))
		anonymous.Values = append(anonymous.Values, float64(watched.memory.Anonymous-plain.memory.Anonymous))
		proportional.Values = append(proportional.Values, float64(watched.memory.PSS-plain.memory.PSS))
		without.Values = append(without.Values, float64(plain.memory.RSS))
	}
	return []figure.Figure{processor, resident, anonymous, proportional, without}, nil
}

// pair runs both programs at the same time.
func pair(ctx context.Context, files map[string]string, p plan, arguments []string) (plain, watched cost, err error) {
	type outcome struct {
		name string
		cost cost
		err  error
	}
	outcomes := make(chan outcome)
	for name, file := range files {
		go func() {
			c, err := observe(ctx, file, p, name == "watched", arguments)
			outcomes <- outcome{name, c, err}
		}()
	}
	costs := map[string]cost{}
	for range files {
		o := <-outcomes
		costs[o.name] = o.cost
		if o.err != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", o.name, o.err))
		}
	}
	return costs["plain"], costs["watched"], err
}

// observe runs a program, touches it, lets it settle, and watches it for a window.
func observe(ctx context.Context, file string, p plan, routes bool, arguments []string) (c cost, err error) {
	command := exec.CommandContext(ctx, file, arguments...)
	command.Env = service.Clean()
	var log bytes.Buffer
	command.Stderr = &log
	out, err := command.StdoutPipe()
	if err != nil {
		return cost{}, err
	}
	if err := command.Start(); err != nil {
		return cost{}, err
	}
	defer func() {
		_ = command.Process.Signal(syscall.SIGTERM) // if it has ended by itself, Wait says so
		if ended := command.Wait(); ended != nil {
			err = errors.Join(err, fmt.Errorf("it ended with %w\n%s", ended, log.String()))
		}
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return cost{}, fmt.Errorf("it does not tell where it listens: %w", err)
	}
	url := strings.TrimSpace(strings.TrimPrefix(line, target.Listening))
	if err := touch(ctx, url, routes); err != nil {
		return cost{}, err
	}
	if err := wait(ctx, p.settle); err != nil {
		return cost{}, err
	}
	pid := command.Process.Pid
	began := time.Now()
	before, err := process.ReadCPU("/proc", pid)
	if err != nil {
		return cost{}, err
	}
	if err := wait(ctx, p.window); err != nil {
		return cost{}, err
	}
	after, err := process.ReadCPU("/proc", pid)
	if err != nil {
		return cost{}, err
	}
	c.ratio = (after - before).Seconds() / time.Since(began).Seconds()
	c.memory, err = process.ReadMemory("/proc", pid)
	return c, err
}

// touch asks for the program's own page, and for every page of the warden that anyone may read and that is always there.
func touch(ctx context.Context, url string, routes bool) error {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	paths := []string{}
	for range touches {
		paths = append(paths, "/")
	}
	for _, r := range memhttp.Routes() {
		if routes && r.Method == http.MethodGet && r.Access != memhttp.Admin && r.Path != "/api/monitoring/live" && !strings.Contains(r.Path, "{") {
			paths = append(paths, r.Path)
		}
	}
	for _, path := range paths {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s", path, answer.Status)
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
