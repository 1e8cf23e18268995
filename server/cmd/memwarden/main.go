// Command memwarden is the deployable service and its tools: `memwarden --help` lists them.
//
// It is the shell around everything: main alone reads the command line, the environment, the clock and signals, and
// hands them down as a world. Each command has a file of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/memwarden/memwarden/server/internal/config"
)

func main() {
	os.Exit(execute(world{
		args: os.Args[1:], environ: os.Environ(),
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		notify: notify, now: time.Now,
		cpus: runtime.NumCPU(), maxProcs: runtime.GOMAXPROCS(0),
		goroutineLeaks: pprof.Lookup("goroutineleak") != nil,
		firstProcess:   os.Getpid() == 1, terminal: isTerminal(os.Stderr),
	}))
}

// world is all that the commands know of what is around the process.
type world struct {
	args           []string // without the program's name
	environ        []string // NAME=value
	stdin          io.Reader
	stdout, stderr io.Writer
	// notify delivers signals until stop is called, save those that the process was started to ignore.
	notify         func(signals ...os.Signal) (received <-chan os.Signal, stop func())
	now            func() time.Time
	cpus, maxProcs int
	goroutineLeaks bool
	firstProcess   bool   // of its container: orphans are its to wait for
	terminal       bool   // standard error is one
	root           string // where /proc and /sys are found; empty: "/"
	dir            string // where .env is looked for; empty: the working directory
}

func notify(signals ...os.Signal) (<-chan os.Signal, func()) {
	received := make(chan os.Signal, 64) // a burst; signals beyond it are dropped, as the kernel does
	for _, s := range signals {
		if !signal.Ignored(s) { // nohup means it
			signal.Notify(received, s)
		}
	}
	return received, func() { signal.Stop(received) }
}

// Exit codes. The command run has the program's own, too.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // wrong command line or configuration
)

// exit is an error that says with which code the process ends. Without err there is nothing more to say.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// execute runs the command that the command line names and returns the exit code.
func execute(w world) int {
	root := newRootCommand(&w)
	root.SetArgs(w.args)
	root.SetIn(w.stdin)
	root.SetOut(w.stdout)
	root.SetErr(w.stderr)
	command, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitOK
	}
	var ended *exit
	if !errors.As(err, &ended) { // from cobra: the command did not begin
		ended = &exit{exitUsage, fmt.Errorf("%w\nsee %s --help", err, command.CommandPath())}
	}
	if ended.err != nil {
		for line := range strings.SplitSeq(ended.err.Error(), "\n") {
			fmt.Fprintln(w.stderr, "memwarden: "+line)
		}
	}
	return ended.code
}

func newRootCommand(w *world) *cobra.Command {
	root := &cobra.Command{
		Use:   "memwarden",
		Short: "Keeps long-running Go services inside their memory",
		Long: `memwarden keeps long-running Go services inside their memory: it watches where the
memory is, acts before the kernel does, and starts programs with the runtime
settings that their container asks for.

Settings come from flags, then the environment (MEMWARDEN_...), then the
environment file .env of the working directory, then defaults. Secrets have no
flag, as every user of a machine can read its command lines.

Exit codes: 0 all is well, 2 wrong command line or configuration, 1 any other
failure; run has the code of the program that it started.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE:              func(*cobra.Command, []string) error { return errors.New("no command was named") },
	}
	root.SetUsageFunc(showUsage)
	root.AddCommand(newServeCommand(w), newStartCommand(w), newRunCommand(w), newDoctorCommand(w), newConfigCommand(w), newMigrateCommand(w),
		newSnapshotCommand(w), newAnalyzeCommand(w), newVersionCommand(w))
	return root
}

// action adapts a command's function: from here on an error is no mistake of usage, unless it says so.
func action(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := do(cmd.Context(), args)
		if err == nil || errors.As(err, new(*exit)) {
			return err
		}
		return &exit{exitFailure, err}
	}
}

// newLogger logs as the configuration says.
func newLogger(out io.Writer, c config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(out, options))
	}
	return slog.New(slog.NewJSONHandler(out, options))
}
