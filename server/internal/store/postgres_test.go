package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	pool "github.com/memwarden/memwarden/contrib/pgxpool"
	"github.com/memwarden/memwarden/internal/faultproxy"
	"github.com/memwarden/memwarden/internal/pgtest"
)

// TestPostgres runs on one server. What kills it comes first: the more databases there are, the longer recovery takes.
func TestPostgres(t *testing.T) {
	server := pgtest.Start(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *pgtest.Server)
	}{
		{"server away", testPostgresAway},
		{"killed writer and server", testPostgresKilled},
		{"store", func(t *testing.T, server *pgtest.Server) { testStore(t, Options{DatabaseURL: server.NewDatabase(t)}) }},
		{"place that cannot be used", testPostgresPlace},
		{"without rights", testPostgresRights},
		{"settings", testPostgresSettings},
		{"pool is bounded", testPostgresPool},
		{"processes migrate at once", testPostgresMigrations},
		{"cut while idle", testPostgresCutIdle},
		{"cut within a transaction", testPostgresCutWithin},
		{"cut at the commit", testPostgresCutAtCommit},
		{"silent network", testPostgresSilence},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, server) })
	}
}

// variant returns the URL with something changed.
func variant(t *testing.T, from string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	change(u)
	return u.String()
}

func testPostgresPlace(t *testing.T, server *pgtest.Server) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*url.URL)
		want   []string
	}{
		"refused":        {func(u *url.URL) { u.Host = nobody }, []string{"cannot connect to PostgreSQL at " + nobody, "check that it runs"}},
		"wrong password": {func(u *url.URL) { u.User = url.UserPassword("memwarden", "wr0ng/secret") }, []string{"refuses the user memwarden or its password", "28P01"}},
		"unknown user":   {func(u *url.URL) { u.User = url.UserPassword("stranger", "wr0ng/secret") }, []string{"refuses the user stranger"}},
		"no database":    {func(u *url.URL) { u.Path = "/missing" }, []string{"has no database missing", "create it"}},
		"no such host":   {func(u *url.URL) { u.Host = "nowhere.invalid" }, []string{"has no address"}},
		"no TLS":         {func(u *url.URL) { u.RawQuery = "sslmode=require" }, []string{"cannot connect to PostgreSQL", "TLS"}},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			o := Options{DatabaseURL: variant(t, server.URL(), c.change), Logger: slog.New(slog.NewTextHandler(&log, nil))}
			_, open := Open(t.Context(), o)
			_, migrate := Migrate(t.Context(), o)
			_, status := MigrationStatus(t.Context(), o)
			for _, err := range []error{open, migrate, status} {
				wantError(t, err, c.want...)
				for _, secret := range []string{server.Password(), "secret", "wr0ng"} {
					if strings.Contains(err.Error()+log.String(), secret) {
						t.Errorf("a password is in %q or in the log %q", err, &log)
					}
				}
			}
		})
	}
}

// TestPostgresURLStaysSecret gives URLs that are wrong, often because of the password.
func TestPostgresURLStaysSecret(t *testing.T) {
	for rawURL, want := range map[string]string{
		"postgres://u:se%zzcret@h/d":                   "percent-encoded",
		"postgres://u:se#cret@h/d":                     "percent-encoded",
		"postgres://u:12#cret@h/d":                     "percent-encoded",
		"postgres://u:12?cret@h/d":                     "percent-encoded",
		"postgres://u:12/cret@h/d":                     "percent-encoded",
		"postgres://u:se@x/cret@h/d":                   "percent-encoded",
		"postgres://u:se%40cret@h/d?sslmode=sometimes": "sslmode",
		"postgres://u@h/d?password=se%40cret&port=x":   "port",
		"postgres://u:cret@h:99999/d":                  "port",
		"postgres://u:cret@h/d?sslpassword=secret&sslmode=verify-full&sslrootcert=/missing": "missing",
		"postgres://u:cret@h/d?pool_max_conns=many":                                         "pool_max_conns",
	} {
		_, err := Open(t.Context(), Options{DatabaseURL: rawURL})
		wantError(t, err, "database URL", want)
		for ; err != nil; err = errors.Unwrap(err) {
			if strings.Contains(err.Error(), "cret") {
				t.Errorf("%s: the password is in %q", rawURL, err)
			}
		}
	}
}

func TestPostgresPoolBoundOfTheURL(t *testing.T) {
	for _, c := range []struct {
		query    string
		maxConns int
		want     int32
	}{{"", 0, 20}, {"", 3, 3}, {"?pool_max_conns=7", 0, 7}, {"?pool_max_conns=7", 3, 3}} {
		config, err := parsePostgres(Options{DatabaseURL: "postgres://u:p@h/d" + c.query, MaxConns: c.maxConns})
		if err != nil || config.MaxConns != c.want {
			t.Errorf("%+v: %d connections, %v", c, config.MaxConns, err)
		}
		if config.ConnConfig.ConnectTimeout != connectTimeout || config.ConnConfig.RuntimeParams["application_name"] != "memwarden" {
			t.Errorf("connect timeout %v, application %v", config.ConnConfig.ConnectTimeout, config.ConnConfig.RuntimeParams)
		}
	}
}

func testPostgresRights(t *testing.T, server *pgtest.Server) {
	admin := open(t, Options{DatabaseURL: server.NewDatabase(t)})
	target := server.NewDatabase(t)
	execute(t, admin, `CREATE ROLE limited LOGIN PASSWORD 'p'`)
	limited := variant(t, target, func(u *url.URL) { u.User = url.UserPassword("limited", "p") })
	_, err := Open(t.Context(), Options{DatabaseURL: limited})
	wantError(t, err, "does not let the user limited do this", "create, read and change tables")

	// Rights to read are not enough.
	owner := open(t, Options{DatabaseURL: target})
	execute(t, owner, `GRANT SELECT ON ALL TABLES IN SCHEMA public TO limited`)
	_, err = Open(t.Context(), Options{DatabaseURL: limited})
	wantError(t, err, "does not let the user limited do this")
	execute(t, owner, `GRANT ALL ON ALL TABLES IN SCHEMA public TO limited`)
	s, err := Open(t.Context(), Options{DatabaseURL: limited})
	if err != nil {
		t.Fatal(err)
	}
	save(t, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	execute(t, admin, `ALTER ROLE limited CONNECTION LIMIT 0`)
	_, err = Open(t.Context(), Options{DatabaseURL: limited})
	wantError(t, err, "has no connection left")
	execute(t, admin, `ALTER ROLE limited CONNECTION LIMIT -1`, `ALTER ROLE limited SET default_transaction_read_only = on`)
	_, err = Open(t.Context(), Options{DatabaseURL: limited})
	wantError(t, err, "takes no writes", "use the primary server")
}

func testPostgresSettings(t *testing.T, server *pgtest.Server) {
	s := open(t, Options{DatabaseURL: server.NewDatabase(t)})
	for setting, want := range map[string]string{"timezone": "UTC", "application_name": "memwarden", "synchronous_commit": "on"} {
		var got string
		if err := s.db.reader().QueryRowContext(t.Context(), "SHOW "+setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", setting, got, err, want)
		}
	}
	execute(t, s, `DROP TABLE memwarden_write_check`)
	wantError(t, s.Ping(t.Context()), "lacks tables of this program", "migrate")
	_, err := s.db.writer().ExecContext(t.Context(), `SELECT 1/0`)
	wantError(t, s.db.explain(err), "reports an error", "division by zero")
}

func testPostgresPool(t *testing.T, server *pgtest.Server) {
	s := open(t, Options{DatabaseURL: server.NewDatabase(t), MaxConns: 2})
	release := make(chan struct{})
	var wg sync.WaitGroup
	hold := func(context.Context, *sql.Tx) error { <-release; return nil }
	for range 2 {
		wg.Go(func() {
			if err := s.write(context.Background(), "hold", hold); err != nil {
				t.Error(err)
			}
		})
	}
	for s.Stats().InUse < 2 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third connection: %v, want context.DeadlineExceeded", err)
	}
	close(release)
	wg.Wait()
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if stats := s.Stats(); stats.Max != 2 || stats.Peak != 2 || stats.InUse != 0 || stats.Idle < 1 {
		t.Errorf("stats: %+v", stats)
	}
}

func testPostgresMigrations(t *testing.T, server *pgtest.Server) {
	o := Options{DatabaseURL: server.NewDatabase(t), MaxConns: 1}
	const processes = 4
	var applied [processes]int
	var latest [processes]int64
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			r, err := Migrate(context.Background(), o)
			if err != nil || r.Version != r.Latest {
				t.Errorf("%+v, %v", r, err)
			}
			applied[i], latest[i] = len(r.Applied), r.Latest
		})
	}
	wg.Wait()
	total := 0
	for _, n := range applied {
		total += n
	}
	if int64(total) != latest[0] {
		t.Errorf("%d processes applied %v migrations, want %d in all", processes, applied, latest[0])
	}
}

func TestHeldConnectionIsLogged(t *testing.T) {
	var log bytes.Buffer
	o := Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	o.tellHeld(pool.Held{For: time.Minute, Stack: "main.forgetful"})
	var told []pool.Held
	o.OnHeld = func(h pool.Held) { told = append(told, h) }
	o.tellHeld(pool.Held{For: time.Hour})
	if len(told) != 1 || told[0].For != time.Hour {
		t.Errorf("told of %+v", told)
	}
	if text := log.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "held_seconds=60") || !strings.Contains(text, "main.forgetful") {
		t.Errorf("the log has %s", text)
	}
}

// cut ends the other connections to the database of a store.
func cut(t *testing.T, server *pgtest.Server, s *Store) {
	t.Helper()
	other, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	var n int
	err = other.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = $1`,
		s.db.(*postgresDB).base).Scan(&n)
	if err != nil || n == 0 {
		t.Fatalf("%d connections were cut, %v", n, err)
	}
}

func testPostgresCutIdle(t *testing.T, server *pgtest.Server) {
	s := open(t, Options{DatabaseURL: server.NewDatabase(t)})
	var wg sync.WaitGroup
	for range 5 { // some connections
		wg.Go(func() { s.Ping(context.Background()) })
	}
	wg.Wait()
	cut(t, server, s)
	save(t, s, 1) // nobody notices
}

func testPostgresCutWithin(t *testing.T, server *pgtest.Server) {
	s := open(t, Options{DatabaseURL: server.NewDatabase(t)})
	save(t, s, 1)
	err := s.write(t.Context(), "write", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM memwarden_config_changes`); err != nil {
			t.Error(err)
		}
		cut(t, server, s)
		_, err := tx.ExecContext(ctx, `DELETE FROM memwarden_history`)
		return err
	})
	if wantError(t, err, "the next operation connects again"); errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("%v: but the commit was never asked for", err)
	}
	if v := newestVersion(t, s); v != 1 {
		t.Errorf("newest is %d: the transaction was half applied", v)
	}
	save(t, s, 2)
}

func openThrough(t *testing.T, server *pgtest.Server, p *faultproxy.Proxy) *Store {
	return open(t, Options{DatabaseURL: variant(t, server.NewDatabase(t), func(u *url.URL) { u.Host = p.Addr() })})
}

func testPostgresCutAtCommit(t *testing.T, server *pgtest.Server) {
	p := faultproxy.Start(t, server.Host())
	s := openThrough(t, server, p)
	save(t, s, 1)
	p.CutAfter("commit")
	err := s.SaveConfig(t.Context(), change(2))
	if wantError(t, err, "not known whether this was saved"); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("%v, want ErrOutcomeUnknown", err)
	}
	p.CutAfter("")
	if v := newestVersion(t, s); v != 2 { // the server had committed
		t.Errorf("newest is %d, want 2", v)
	}
	if err := s.SaveConfig(t.Context(), change(2)); !errors.Is(err, ErrVersionConflict) {
		t.Errorf("%v, want ErrVersionConflict", err)
	}
	save(t, s, 3)
}

func testPostgresSilence(t *testing.T, server *pgtest.Server) {
	p := faultproxy.Start(t, server.Host())
	s := openThrough(t, server, p)
	save(t, s, 1)
	p.Swallow(faultproxy.Both)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := s.SaveConfig(ctx, change(2))
	if wantError(t, err, "did not answer in time"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want context.DeadlineExceeded", err)
	}
	p.Swallow(faultproxy.Nowhere)
	save(t, s, 2)
}

func testPostgresAway(t *testing.T, server *pgtest.Server) {
	s := open(t, Options{DatabaseURL: server.NewDatabase(t)})
	save(t, s, 1)
	for name, takeAway := range map[string]func(testing.TB){"stopped": server.Stop, "killed": server.Kill} {
		takeAway(t)
		newest := int64(1)
		wantError(t, s.Ping(t.Context()), "PostgreSQL at "+server.Host())
		wantError(t, s.SaveConfig(t.Context(), change(2)), "save configuration", "cannot connect to PostgreSQL at "+server.Host())
		_, _, err := s.LatestConfig(t.Context())
		wantError(t, err, "load configuration", "check that it runs")
		server.Restart(t)
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if v := newestVersion(t, s); v != newest {
			t.Errorf("%s: newest is %d, want %d", name, v, newest)
		}
	}
	save(t, s, 2)
}
