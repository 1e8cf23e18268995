package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/server/internal/serve"
	"github.com/memwarden/memwarden/settings"
)

func newServeCommand(w *world) *cobra.Command {
	var pid int
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Watch the memory of this process, or of another one, and serve what it knows",
		Long: `Watches the memory of this process, or with --pid of another one through /proc and
its cgroup, and serves health, statistics, limits, a live stream and metrics over
HTTP. Ends in order at SIGTERM or an interrupt: readiness off, requests answered,
history stored; a second signal hurries it.

Exit codes: 0 a clean shutdown, 1 it could not start or something failed on the
way down, 2 wrong configuration, 3 the shutdown was forced.`,
		Args: cobra.NoArgs,
	}
	flags := addConfigFlags(cmd, slices.DeleteFunc(config.Settings(), func(s settings.Setting) bool { return s.Section == config.SectionLogFile }))
	cmd.Flags().IntVar(&pid, "pid", 0, "watch this process from outside")
	cmd.RunE = action(func(ctx context.Context, _ []string) error {
		c, err := flags.load(w)
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("pid") && pid <= 0 {
			return &exit{exitUsage, fmt.Errorf("--pid %d: want the number of a process", pid)}
		}
		report, err := serve.Run(ctx, serve.Options{
			Config: c, Version: describe(version, buildInfo()).Version, PID: pid, Banner: w.stderr, Logger: newLogger(w.stdout, c),
		})
		if err != nil {
			return err
		}
		if code := report.ExitCode(); code != exitOK {
			return &exit{code, report.Err()}
		}
		return nil
	})
	return cmd
}
