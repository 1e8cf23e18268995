// Package launch starts a program with the runtime settings that its container asks for, passes signals on to it, and
// tells how it ended.
//
// It knows the environment variables of the Go runtime, which of them a program needs, and how a supervisor treats its
// child. It does not know how a memory limit is derived (package limit of the library), does not read cgroups (its
// package memstat), and reads no environment of its own. The command `run` of cmd/memwarden stands above.
package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/limit"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/server/internal/config"
)

// The variables of the Go runtime that a Plan decides on.
const (
	memoryLimit = config.MemoryLimit
	gcPercent   = config.GCPercent
	maxProcs    = config.MaxProcs
)

// Options say what to start and what is known of the world.
type Options struct {
	// Command is the program, as a path or a name to be found, and its arguments.
	Command []string
	// Environ is the environment, as NAME=value.
	Environ []string
	// Config holds how the memory limit is derived, and the environment file, whose names the program gets too.
	Config config.Config
	// CPUs is how many processors the process may use: runtime.NumCPU.
	CPUs int
	// Service says that the program is this one's service: its pools are sized, too.
	Service bool
	// MaxProcs is what the runtime has made of the processors and the CPU quota for this process: runtime.GOMAXPROCS.
	// It is asked for with Service.
	MaxProcs int
	// Root is where /proc and /sys are found; empty: "/".
	Root string
}

// Decision is what is done about one variable of the Go runtime.
type Decision struct {
	Name   string `json:"name"`
	Value  string `json:"value,omitzero"` // that the program gets; empty: it gets none
	Set    bool   `json:"set"`            // by the launcher; else the value was there
	Reason string `json:"reason"`
}

// Plan is a program that is ready to start.
type Plan struct {
	Path string // of the executable
	Dir  string // that the program runs in; empty: the launcher's
	// Apart has the program in a process group of its own, where a system has them: a signal for the launcher's group,
	// as a terminal sends it, reaches the program by the launcher alone. It cannot read from the terminal then.
	Apart bool
	Args  []string // the first is the name that was asked for
	Env   []string // NAME=value, each name once
	// Changes are how Env differs from the launcher's own environment.
	Changes []Change
	// Decisions are about GOMEMLIMIT, GOGC and GOMAXPROCS, in this order, and then about the pools of a service.
	Decisions []Decision
	Program   Program
	// Problems are why a limit of the container may have been missed.
	Problems []string

	root string
}

// Prepare finds the program and decides on its environment. It starts nothing. The error is a *StartError.
//
// What somebody else has decided stays: a variable of the environment goes before one of the environment file, and
// either before a derived one. An empty variable counts as not set.
func Prepare(o Options) (Plan, error) {
	program, err := inspect(o.Command[0])
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Path: program.path, Args: o.Command, Program: program, root: o.Root}
	env := newEnvironment(o.Environ)
	if mark, _ := env.get(memwarden.DerivedMark); mark == "1" { // another launcher derived the limit: it is not the user's
		env.unset(memoryLimit)
	}
	env.unset(memwarden.DerivedMark)
	env.fill(o.Config)

	limits, err := memstat.ReadCgroupLimits(o.Root, 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // without control groups there is no limit, and no harm
		p.Problems = append(p.Problems, err.Error())
	}
	for _, problem := range limits.Problems {
		p.Problems = append(p.Problems, problem.Path+": "+problem.Reason)
	}
	machine := Decision{Name: config.StatedLimit}
	if o.Service {
		machine = decideMachine(env, &o.Config, limits, o.Root)
	}
	memory := decideLimit(env, o.Config, limits)
	if memory.Set {
		env.set(memwarden.DerivedMark, "1", sourceLauncher, false)
	}
	procs := decideProcs(env, program, limits.CPUCores, o.CPUs)
	p.Decisions = []Decision{memory, decideGC(env), procs}
	if o.Service {
		p.Decisions = append(append(p.Decisions, machine), decidePools(memory, procs, o)...)
	}
	for _, d := range p.Decisions {
		if d.Set {
			env.set(d.Name, d.Value, sourceLauncher, false)
		}
	}
	p.Env, p.Changes = env.list(), env.changes()
	return p, nil
}

// decided respects a variable that somebody else has set.
func decided(env *environment, name string) (Decision, bool) {
	value, source := env.get(name)
	if value == "" {
		return Decision{Name: name}, false
	}
	return Decision{Name: name, Value: value, Reason: fmt.Sprintf("left alone: it is set (%s)", source)}, true
}

func decideLimit(env *environment, c config.Config, limits memstat.CgroupLimits) Decision {
	if d, explicit := decided(env, memoryLimit); explicit {
		return d
	}
	container, ok := limits.MaxBytes.Get()
	lc := c.Warden.Limit
	_, derived := limit.Decide(limit.State{},
		limit.Config{Manage: lc.Manage, Ratio: lc.Ratio, ReserveBytes: lc.OffHeapReserveBytes, BytesOverride: lc.MemoryBytes},
		limit.Input{ContainerBytes: container, HasContainer: ok, CurrentBytes: limit.None}, time.Time{})
	d := Decision{Name: memoryLimit, Reason: derived.Reason}
	if derived.Apply {
		d.Value, d.Set = strconv.FormatInt(derived.LimitBytes, 10), true
	}
	return d
}

func decideGC(env *environment) Decision {
	if d, explicit := decided(env, gcPercent); explicit {
		return d
	}
	return Decision{Name: gcPercent, Reason: "left alone: nobody has set it, so the runtime's default of 100 holds"}
}

// decideProcs gives a program that does not look at the CPU quota itself what one that does would take (runtime
// documentation of GOMAXPROCS): the quota rounded up, but no less than 2, and no more than there are processors.
func decideProcs(env *environment, program Program, quota memstat.Float, cpus int) Decision {
	d, explicit := decided(env, maxProcs)
	if explicit {
		return d
	}
	cores, limited := quota.Get()
	procs := max(2, int(math.Ceil(min(cores, float64(cpus)))))
	switch {
	case program.GoVersion == "":
		d.Reason = "left alone: " + program.Note
	case program.followsQuota:
		d.Reason = "left alone: a program built with " + program.GoVersion + " follows the CPU quota itself"
	case !limited:
		d.Reason = "left alone: the container has no CPU quota"
	case procs >= cpus:
		d.Reason = fmt.Sprintf("left alone: the CPU quota of %.3g allows for all %d processors", cores, cpus)
	default:
		d.Value, d.Set = strconv.Itoa(procs), true
		d.Reason = fmt.Sprintf("the CPU quota of %.3g rounded up, at least 2: %s", cores, program.Note)
	}
	return d
}

// With is the plan with other arguments for the same program.
func (p Plan) With(arguments ...string) Plan {
	p.Args = append([]string{p.Args[0]}, arguments...)
	return p
}

// Log writes what the plan does and why, in one line.
func (p Plan) Log(logger *slog.Logger) {
	attributes := []any{"command", p.Args[0], "path", p.Path}
	if p.Program.GoVersion != "" {
		attributes = append(attributes, "go_version", p.Program.GoVersion)
	} else {
		attributes = append(attributes, "note", p.Program.Note)
	}
	for _, d := range p.Decisions {
		name := strings.ToLower(d.Name)
		if d.Value != "" {
			attributes = append(attributes, name, d.Value)
		}
		if bytes, err := strconv.ParseInt(d.Value, 10, 64); err == nil && d.Name == memoryLimit {
			attributes = append(attributes, name+"_text", bytesize.Format(bytes))
		}
		attributes = append(attributes, name+"_reason", d.Reason)
	}
	if len(p.Problems) > 0 {
		attributes = append(attributes, "problems", p.Problems)
	}
	logger.Info("memory settings of the program", attributes...)
}

func (p Plan) readCgroup() memstat.Cgroup {
	return readSample(p.root).Cgroup // absent figures are left out of what is said
}

// readSample returns an empty one where nothing can be read.
func readSample(root string) (sample memstat.Sample) {
	sampler, err := memstat.New(memstat.Options{Root: root})
	if err != nil {
		return sample
	}
	defer func() { _ = sampler.Close() }() // only read
	sampler.Read(&sample, time.Time{})
	return sample
}
