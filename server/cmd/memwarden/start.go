package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/server/internal/doctor"
	"github.com/memwarden/memwarden/server/internal/launch"
	"github.com/memwarden/memwarden/server/internal/start"
)

// productionEnvFile is read from the directory of the service.
const productionEnvFile = ".env.production"

func newStartCommand(w *world) *cobra.Command {
	var dir string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start the service in production: migrate, serve, wait until it is ready",
		Long: `Starts the service as the start scripts do: reads the environment file and checks it,
works out GOMEMLIMIT and the sizes of pools from the container and the machine, brings
the database's schema up to date, starts ` + "`memwarden serve`" + `, waits until it is ready,
passes signals on to it, and ends with its exit code. What the service says is on the
standard output, and in a log file of bounded size.

The environment file is .env.production in the directory of the service; nothing in it
is evaluated. The environment goes before it.

  MEMWARDEN_MEMORY_LIMIT
               three quarters of the machine's memory, where no container limits the
               service and neither it nor GOMEMLIMIT is set; 0 for no limit
  GOMEMLIMIT   a share of the limit, less a reserve, unless it is set
  GOGC         left alone
  GOMAXPROCS   left alone: the runtime follows the CPU quota itself
  MEMWARDEN_MAX_REQUEST_MEMORY, MEMWARDEN_MAX_REQUESTS, MEMWARDEN_MAX_LIVE_CLIENTS,
  MEMWARDEN_DATABASE_MAX_CONNS
               by the Go memory limit and GOMAXPROCS, unless they are set

Exit codes: the service's (0 a clean shutdown, 1 it could not start or something failed
on the way down, 3 the shutdown was forced, 128 + N if signal N killed it), 2 wrong
configuration, 1 the address is in use or the database could not be migrated.`,
		Args: cobra.NoArgs,
	}
	flags := addConfigFlags(cmd, config.Settings())
	cmd.Flags().Lookup(envFileFlag).Usage = "read settings from this `file`, not from " + productionEnvFile
	cmd.Flags().StringVar(&dir, "dir", "", "`directory` of the service: its .env.production, data and logs (default: the working directory)")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be done and every value as NAME=value, and start nothing")
	cmd.RunE = action(func(context.Context, []string) error {
		dir, err := serviceDir(dir)
		if err != nil {
			return &exit{exitUsage, err}
		}
		flags.standard = filepath.Join(dir, productionEnvFile)
		c, err := flags.load(w)
		if err != nil {
			return err
		}
		o, err := w.startOptions(c, dir)
		if err != nil {
			return startFailure(err)
		}
		if dryRun {
			return start.Describe(w.stdout, o)
		}
		o.Examine = func() []doctor.Finding { return w.findings(c, o.Plan) }
		signals, stop := w.notify(launch.Signals()...)
		defer stop()
		o.Signals = signals
		code, err := start.Run(o)
		if err != nil {
			return startFailure(err)
		}
		if code == 0 {
			return nil
		}
		return &exit{code: code}
	})
	return cmd
}

func serviceDir(name string) (string, error) {
	dir, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("--dir: %w", err)
	} else if !info.IsDir() {
		return "", fmt.Errorf("--dir: %s is no directory", dir)
	}
	return dir, nil
}

func (w *world) startOptions(c config.Config, dir string) (start.Options, error) {
	program, err := os.Executable()
	if err != nil {
		return start.Options{}, err
	}
	plan, err := launch.Prepare(launch.Options{
		Command: []string{program}, Environ: w.environ, Config: c, CPUs: w.cpus, Root: w.root, Service: true, MaxProcs: w.maxProcs,
	})
	plan.Dir, plan.Apart = dir, true
	return start.Options{
		Config: c, Plan: plan, MaxProcs: w.maxProcs, Out: w.stdout, Err: w.stderr, Init: w.firstProcess, Now: w.now,
		NewLogger: func(out io.Writer) *slog.Logger { return newLogger(out, c) },
	}, err
}

// findings are what doctor says of the service that would be started.
func (w *world) findings(c config.Config, plan launch.Plan) []doctor.Finding {
	if !filepath.IsAbs(c.DataDir) {
		c.DataDir = filepath.Join(plan.Dir, c.DataDir)
	}
	return doctor.Examine(doctor.Options{Root: w.root, Environ: plan.Env, Config: c, Program: doctor.Program{
		OS: runtime.GOOS, Arch: runtime.GOARCH, GoVersion: runtime.Version(),
		CPUs: w.cpus, MaxProcs: w.maxProcs, GoroutineLeaks: w.goroutineLeaks,
	}}, w.now())
}
