package main

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/server/internal/doctor"
)

func newDoctorCommand(w *world) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what this machine and its container allow",
		Long: `Tells what this machine and its container allow, with advice: ok, info (something
works less well), warn (something will not work, or will do harm one day), or
broken (the server does not start like this, or not work for long). The exit
code is 0 unless something is broken: 2 for the configuration, 1 for anything else.`,
		Args: cobra.NoArgs,
	}
	flags := addConfigFlags(cmd, config.Settings())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = action(func(context.Context, []string) error {
		c, warnings, mistake := flags.read(w)
		findings := doctor.Examine(doctor.Options{
			Root: w.root, Environ: w.environ, Config: c, Warnings: warnings, Mistake: mistake,
			Program: doctor.Program{
				OS: runtime.GOOS, Arch: runtime.GOARCH, GoVersion: runtime.Version(),
				CPUs: w.cpus, MaxProcs: w.maxProcs, GoroutineLeaks: w.goroutineLeaks,
			},
		}, w.now())
		write := doctor.WriteText
		if asJSON {
			write = doctor.WriteJSON
		}
		if err := write(w.stdout, findings); err != nil {
			return err
		}
		switch {
		case mistake != nil:
			return &exit{code: exitUsage}
		case doctor.Worst(findings) == doctor.Broken:
			return &exit{code: exitFailure}
		}
		return nil
	})
	return cmd
}
