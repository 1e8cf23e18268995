package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/server/internal/store"
)

func newMigrateCommand(w *world) *cobra.Command {
	var status, asJSON bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date",
		Long: `Brings the schema of the database up to date: PostgreSQL where
MEMWARDEN_DATABASE_URL is set, else the embedded one in the data directory. It may
be run as often as you like. A server does the same when it starts.`,
		Args: cobra.NoArgs,
	}
	flags := addConfigFlags(cmd, config.Settings())
	cmd.Flags().BoolVar(&status, "status", false, "tell where the schema stands and change nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = action(func(ctx context.Context, _ []string) error {
		c, err := flags.load(w)
		if err != nil {
			return err
		}
		ctx, stop := w.interruptible(ctx)
		defer stop()
		migrate := store.Migrate
		if status {
			migrate = store.MigrationStatus
		}
		report, err := migrate(ctx, store.Options{
			DataDir: c.DataDir, DatabaseURL: string(c.DatabaseURL), MaxConns: c.DatabaseMaxConns, Now: w.now, Logger: newLogger(w.stderr, c),
		})
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(w.stdout, report)
		}
		return printMigrations(w.stdout, report)
	})
	return cmd
}

// interruptible ends the context at the first SIGINT or SIGTERM, so that what is under way is undone in order.
func (w *world) interruptible(ctx context.Context) (context.Context, func()) {
	signals, stop := w.notify(os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-signals:
			cancel(fmt.Errorf("interrupted by %v", s))
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		stop()
		cancel(nil)
		<-done
	}
}

func printMigrations(out io.Writer, r store.MigrationReport) error {
	text := fmt.Sprintf("%s is at schema version %d of %d\n", r.Database, r.Version, r.Latest)
	for _, m := range r.Migrations {
		state := "to be applied"
		if m.Applied {
			state = "applied " + m.AppliedAt.Format("2006-01-02 15:04:05Z07:00")
		}
		text += fmt.Sprintf("  %-40s %s\n", m.Name, state)
	}
	for _, name := range r.Applied {
		text += fmt.Sprintf("applied now: %s\n", name)
	}
	_, err := io.WriteString(out, text)
	return err
}
