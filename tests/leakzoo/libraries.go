package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/memwarden/memwarden"
	_ "github.com/ncruces/go-sqlite3/driver" // registers "sqlite3"
	"github.com/prometheus/client_golang/prometheus"
)

// heldByLibraries are leaks of what a library keeps for the program.
func heldByLibraries() []exhibit {
	return []exhibit{
		{name: "metric_labels", run: labelByUser, want: []leak{{
			kind: "heap", typ: "prometheus.histogram", path: "main.requests", function: "prometheus.newHistogram", says: "main.requests",
		}}},
		{name: "unclosed_rows", run: queryForever, want: []leak{{
			kind: "heap", typ: "sql.driverConn", path: "main.database", function: "main.findUser", says: "main.database", also: []string{"descriptors", "native", "goroutines", "threads"},
		}}},
	}
}

// requests counts requests by user: a label with as many values as there are users.
var requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
	Name: "requests_seconds", Help: "How long requests took.",
}, []string{"user"})

func labelByUser(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, 100, func(n int) error {
		for i := range 5 {
			requests.WithLabelValues(fmt.Sprint("user ", 5*n+i)).Observe(float64(n%10) / 10)
		}
		return nil
	})
}

// database has no bound on its connections, as is the default of database/sql.
var database *sql.DB

// findUser reads the first row and forgets to close the rest, which keeps the connection.
func findUser(ctx context.Context) error {
	rows, err := database.QueryContext(ctx, "select name from users")
	if err != nil {
		return err
	}
	rows.Next()
	var name string
	return rows.Scan(&name)
}

func queryForever(ctx context.Context, _ *memwarden.Warden) error {
	dir, err := os.MkdirTemp("", "leakzoo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if database, err = sql.Open("sqlite3", "file:"+filepath.Join(dir, "users.db")); err != nil {
		return err
	}
	for _, statement := range []string{"create table users (name text)", "insert into users values ('ada'), ('grace')"} {
		if _, err := database.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return every(ctx, 4, func(int) error { return findUser(context.WithoutCancel(ctx)) })
}
