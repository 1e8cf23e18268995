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
	"sync"
	"syscall"
	"time"

	"github.com/memwarden/memwarden"
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

// program is one of those that run side by side, so that all meet the same machine.
type program struct {
	command   string // a directory of cmd
	arguments []string
	routes    bool // it serves those of a warden
}

const (
	plain   = iota // the service as it is
	watched        // with a warden
	woken          // as it is, woken as often as a warden wakes one that is not at rest, to do nothing
)

// measureOverhead runs the same small service with and without a warden, and takes the differences.
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
	programs := []program{
		plain:   {command: "plain", arguments: arguments},
		watched: {command: "watched", arguments: arguments, routes: true},
		woken:   {command: "plain", arguments: append([]string{"-every", wakes().String()}, arguments...)},
	}
	processor := figure.Figure{Name: "processor time, of one processor", Unit: figure.Percent, Goal: figure.AtMost(ratio)}
	idle := figure.Figure{Name: "for comparison: what waking once a second to do nothing takes", Unit: figure.Percent}
	resident := figure.Figure{Name: "resident memory (RSS)", Unit: figure.Bytes, Goal: figure.AtMost(float64(bytes))}
	anonymous := figure.Figure{Name: "of which anonymous: heap, stacks, data", Unit: figure.Bytes}
	proportional := figure.Figure{Name: "proportional memory (PSS)", Unit: figure.Bytes}
	without := figure.Figure{Name: "for comparison: RSS without a warden", Unit: figure.Bytes}
	for range p.rounds {
		costs, err := sideBySide(ctx, programs, p, w)
		if err != nil {
			return nil, err
		}
		processor.Values = append(processor.Values, costs[watched].ratio-costs[plain].ratio)
		idle.Values = append(idle.Values, costs[woken].ratio-costs[plain].ratio)
		resident.Values = append(resident.Values, float64(costs[watched].memory.RSS-costs[plain].memory.RSS))
		anonymous.Values = append(anonymous.Values, float64(costs[watched].memory.Anonymous-costs[plain].memory.Anonymous))
		proportional.Values = append(proportional.Values, float64(costs[watched].memory.PSS-costs[plain].memory.PSS))
		without.Values = append(without.Values, float64(costs[plain].memory.RSS))
	}
	return []figure.Figure{processor, idle, resident, anonymous, proportional, without}, nil
}

// sideBySide runs programs at the same time, and returns what each took.
func sideBySide(ctx context.Context, programs []program, p plan, w workshop) ([]cost, error) {
	files := make([]string, len(programs))
	for i, one := range programs {
		var err error
		if files[i], err = service.Build(ctx, ".", "./cmd/"+one.command, w.dir); err != nil {
			return nil, err
		}
	}
	costs, failed := make([]cost, len(programs)), make([]error, len(programs))
	var all sync.WaitGroup
	for i, one := range programs {
		all.Go(func() {
			var err error
			if costs[i], err = observe(ctx, files[i], p, one); err != nil {
				failed[i] = fmt.Errorf("%s: %w", one.command, err)
			}
		})
	}
	all.Wait()
	return costs, errors.Join(failed...)
}

// observe runs a program, touches it, lets it settle, and watches it for a window.
func observe(ctx context.Context, file string, p plan, one program) (c cost, err error) {
	command := exec.CommandContext(ctx, file, one.arguments...)
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
	if err := touch(ctx, url, one.routes); err != nil {
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

// wakes is how often a warden of default settings wakes a program that is not at rest.
func wakes() time.Duration {
	return time.Duration(memwarden.DefaultConfig().Sampling.IntervalSeconds * float64(time.Second))
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
