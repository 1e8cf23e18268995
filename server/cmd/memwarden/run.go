package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/server/internal/launch"
	"github.com/memwarden/memwarden/settings"
)

func newRunCommand(w *world) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "run [flags] -- command [arguments]",
		Short: "Start a program with the memory settings that its container asks for",
		Long: `Starts a program with the runtime settings that its container asks for, passes
signals on to it, and ends with its exit code (128 + N if signal N killed it, 127
if it was not found, 126 if it cannot be executed). If the kernel killed it for
memory, the log says so, with figures.

  GOMEMLIMIT   a share of the container's limit, less a reserve, unless it is set;
               MEMWARDEN_GOMEMLIMIT_DERIVED=1 then tells a warden in the program
               that it may go on managing it
  GOGC         left alone
  GOMAXPROCS   the CPU quota, for programs that do not follow it themselves (built
               with Go before 1.25), unless it is set

What the environment file sets is passed on, where the environment does not set
it too, and so are the flags of this command, as MEMWARDEN_... variables.

Signals are passed on, but for those that a terminal sends to all in its foreground:
the program has them already. A supervisor should signal the launcher alone (systemd:
KillMode=mixed). On Linux the program gets SIGTERM if the launcher is killed. As the
first process of a container, the launcher waits for orphans, too.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "" {
				return errors.New("no program was named: memwarden run -- command [arguments]")
			}
			return nil
		},
	}
	flags := addConfigFlags(cmd, runSettings())
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be set, as an environment file, and start nothing")
	cmd.Flags().SetInterspersed(false) // what follows the program's name is the program's
	cmd.RunE = action(func(_ context.Context, args []string) error {
		c, err := flags.load(w)
		if err != nil {
			return err
		}
		plan, err := launch.Prepare(launch.Options{Command: args, Environ: w.environ, Config: c, CPUs: w.cpus, Root: w.root})
		if err != nil {
			return startFailure(err)
		}
		if dryRun {
			return printPlan(w.stdout, plan)
		}
		return run(w, plan, newLogger(w.stderr, c))
	})
	return cmd
}

// runSettings are those that mean something to a program that is started: the library's, and the log's for the
// launcher's own lines.
func runSettings() []settings.Setting {
	log := slices.DeleteFunc(config.Settings(), func(s settings.Setting) bool { return s.Section != config.SectionLogs })
	return slices.Concat(log, memwarden.SnapshotSettings(), memwarden.IncidentSettings(), memwarden.ConfigSettings())
}

func run(w *world, plan launch.Plan, logger *slog.Logger) error {
	signals, stop := w.notify(launch.Signals()...)
	defer stop()
	plan.Log(logger)
	result, err := plan.Run(launch.Streams{In: w.stdin, Out: w.stdout, Err: w.stderr}, signals, w.firstProcess)
	if err != nil {
		return startFailure(err)
	}
	result.Log(logger)
	if result.Code == 0 {
		return nil
	}
	return &exit{code: result.Code}
}

func startFailure(err error) error {
	if start := (*launch.StartError)(nil); errors.As(err, &start) {
		return &exit{start.Code, err}
	}
	return err
}

// printPlan prints what the program's environment would have that this one has not.
func printPlan(out io.Writer, plan launch.Plan) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# %s", plan.Path)
	if plan.Program.GoVersion != "" {
		fmt.Fprintf(&text, ", built with %s", plan.Program.GoVersion)
	}
	fmt.Fprintf(&text, ": %s.\n", plan.Program.Note)
	for _, d := range plan.Decisions {
		fmt.Fprintf(&text, "# %s: %s\n", d.Name, d.Reason)
	}
	for _, problem := range plan.Problems {
		fmt.Fprintf(&text, "# problem: %s\n", problem)
	}
	for _, c := range plan.Changes {
		if c.Unset {
			fmt.Fprintf(&text, "# %s is taken away\n", c.Name)
		} else {
			fmt.Fprintf(&text, "%s=%s\n", c.Name, c.Value)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}
