// Command load puts the service under load by a k6 script, as it would be deployed: in a control group with a memory limit,
// on two processors. It watches it from outside, judges what it saw, and says it as Markdown; -report puts that, with
// charts, into the performance audit report.
//
//	go -C bench run ./cmd/load -vus 100 -duration 30m -report
//
// It exits with 1 when a goal is missed or something could not be measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/memwarden/memwarden/bench/internal/container"
	"github.com/memwarden/memwarden/bench/internal/k6"
	"github.com/memwarden/memwarden/bench/internal/service"
	"github.com/memwarden/memwarden/bytesize"
)

// Places in the repository, as seen from the module's directory.
const (
	serverDir  = "../server"
	scriptsDir = "../tests/load"
	toolsDir   = "../tools/k6"
)

// options of a run.
type options struct {
	script   string
	vus      int
	duration time.Duration
	limit    int64
	report   bool
}

// settings of the service for the run: all clients come from one address, and an administrator who does not wait.
var settings = []string{
	"MEMWARDEN_RATE_LIMIT=0", "MEMWARDEN_ADMIN_RATE_LIMIT=0", "MEMWARDEN_REPORT_RATE_LIMIT=1000000",
	"MEMWARDEN_MAX_LIVE_CLIENTS=500", "MEMWARDEN_SNAPSHOT_COOLDOWN=0s", "MEMWARDEN_GC_MIN_INTERVAL=1s",
}

// processors that the service has.
const processors = 2

func main() {
	o := options{limit: 256 << 20}
	flag.StringVar(&o.script, "script", "memory-stress", "`name` of the script in tests/load")
	flag.IntVar(&o.vus, "vus", 0, "virtual users; 0: as the script says")
	flag.DurationVar(&o.duration, "duration", 0, "how long; 0: as the script says")
	flag.Func("limit", "memory limit of the service (default 256MiB)", func(text string) (err error) {
		o.limit, err = bytesize.Parse(text)
		return err
	})
	flag.BoolVar(&o.report, "report", false, "put the figures and charts into the performance audit report")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	met, err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
	}
	if err != nil || !met {
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (met bool, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return false, err
	}
	program, err := k6.Install(ctx, toolsDir, filepath.Join(cache, "memwarden"), os.Stderr)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "memwarden-load")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file, err := service.Build(ctx, serverDir, "./cmd/memwarden", dir)
	if err != nil {
		return false, err
	}
	place := enclose(o.limit)
	defer func() { err = errors.Join(err, place.leave(ctx)) }()
	fmt.Fprintln(os.Stderr, "load:", place.sentence)
	measured, err := measure(ctx, o, program, place, file, dir)
	if err != nil {
		return false, err
	}
	return measured.tell(ctx, os.Stdout)
}

// enclosure is what holds the service to its memory and processors.
type enclosure struct {
	group    *container.Group // nil: none can be made here
	by       []string         // command that starts the service
	settings []string
	sentence string
}

func enclose(limit int64) enclosure {
	e := enclosure{settings: append([]string{fmt.Sprintf("GOMAXPROCS=%d", processors)}, settings...)}
	group, err := container.New(fmt.Sprintf("memwarden-load-%d", os.Getpid()), limit)
	if err != nil {
		e.settings = append(e.settings, fmt.Sprintf("MEMWARDEN_MEMORY_LIMIT=%d", limit))
		e.sentence = fmt.Sprintf("the service was told of its limit of %s by MEMWARDEN_MEMORY_LIMIT; the kernel did not hold it to that, because no control group can be made here: %v", bytesize.Format(limit), err)
	} else {
		e.group, e.by = group, group.Enter()
		e.sentence = fmt.Sprintf("a control group of version %d held the service to %s", group.Version, bytesize.Format(limit))
	}
	if runtime.NumCPU() > processors {
		e.by = append(e.by, "taskset", "-c", "0,1")
		e.sentence += ", and taskset to two processors"
	}
	return e
}

func (e enclosure) leave(ctx context.Context) error {
	if e.group == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return e.group.Remove(ctx)
}

// measurement is all that a run has shown.
type measurement struct {
	o         options
	version   string // of k6
	place     enclosure
	result    k6.Result
	seen      watched
	kills     int64
	groupPeak int64
	reports   tally
}

func measure(ctx context.Context, o options, program k6.Program, place enclosure, file, dir string) (m measurement, err error) {
	m = measurement{o: o, version: program.Version, place: place}
	s, err := service.StartWith(ctx, place.by, file, dir, place.settings...)
	if err != nil {
		return m, err
	}
	stopped := false
	defer func() {
		if !stopped {
			err = errors.Join(err, s.Stop())
		}
	}()
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	seen := make(chan watched, 1)
	go func() { seen <- watch(watching, s) }()
	m.result, err = program.Do(ctx, k6.Run{
		Script: filepath.Join(scriptsDir, o.script+".js"), VUs: o.vus, Duration: o.duration, Dir: dir, Progress: os.Stderr,
		Environment: []string{
			"BASE_URL=http://" + s.Address, "ADMIN_TOKEN=" + service.Token, fmt.Sprintf("LIMIT_BYTES=%d", o.limit),
			fmt.Sprintf("WARM_UP=%.0f", warmUp(o.duration).Seconds()), "LOG_REPORTS=1",
		},
	})
	stopWatching()
	m.seen = <-seen
	if err = errors.Join(err, m.seen.err); err != nil {
		return m, err
	}
	if place.group != nil {
		var killed, peaked error
		m.kills, killed = place.group.Kills()
		m.groupPeak, peaked = place.group.Peak()
		if err := errors.Join(killed, peaked); err != nil {
			return m, err
		}
	}
	stopped = true
	if err := s.Stop(); err != nil {
		return m, err
	}
	m.reports, err = countLost(ctx, m.result.Console, place, file, dir)
	return m, err
}
