package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/scratch"
)

func TestStoreSQLite(t *testing.T) {
	testStore(t, Options{DataDir: filepath.Join(scratch.Dir(t), "data")})
}

// testStore runs everything that must hold for both databases, each on one that the tests before have used.
func testStore(t *testing.T, o Options) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Options)
	}{
		{"migrations", testMigrations},
		{"empty", testEmpty},
		{"identity", testIdentity},
		{"config", testConfig},
		{"config is bounded", testConfigBound},
		{"config is contended", testConfigContended},
		{"history", testHistory},
		{"history is bounded", testHistoryBound},
		{"reports", testReports},
		{"browser leaks", testBrowserLeaks},
		{"dismissals", testDismissals},
		{"mistaken reports", testReportMistakes},
		{"reports are contended", testReportsContended},
		{"contexts", testContexts},
		{"concurrent use", testConcurrentUse},
		{"closing", testClosing},
		{"failing migration", testFailingMigration},
		{"newer schema", testNewerSchema},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.test(t, o) }) {
			return
		}
	}
}

func testMigrations(t *testing.T, o Options) {
	status := func(before string) MigrationReport {
		r, err := MigrationStatus(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Latest < 1 || int64(len(r.Migrations)) != r.Latest || len(r.Applied) != 0 || r.Database == "" {
			t.Errorf("%s: %+v", before, r)
		}
		return r
	}
	if r := status("empty database"); r.Version != 0 || r.Migrations[0].Applied {
		t.Errorf("an empty database has version %d: %+v", r.Version, r)
	}
	unmigrated := o
	unmigrated.NoMigrate = true
	if _, err := Open(t.Context(), unmigrated); !errors.Is(err, ErrMigrationsPending) {
		t.Errorf("open without migrating: %v, want ErrMigrationsPending", err)
	}
	if r := status("refused"); r.Version != 0 {
		t.Errorf("the refused open migrated to version %d", r.Version)
	}

	r, err := Migrate(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Before != 0 || r.Version != r.Latest || int64(len(r.Applied)) != r.Latest || r.Applied[0] != "00001_initial.sql" {
		t.Errorf("first migration: %+v", r)
	}
	if m := r.Migrations[0]; !m.Applied || time.Since(m.AppliedAt).Abs() > time.Hour {
		t.Errorf("applied migration: %+v", m)
	}
	if r, err := Migrate(t.Context(), o); err != nil || r.Before != r.Latest || len(r.Applied) != 0 {
		t.Errorf("second migration: %+v, %v", r, err)
	}
	if r := status("migrated"); r.Version != r.Latest {
		t.Errorf("a migrated database has version %d of %d", r.Version, r.Latest)
	}
	open(t, unmigrated)
	if r := status("open"); r.Version != r.Latest { // beside an open store
		t.Errorf("an open database has version %d of %d", r.Version, r.Latest)
	}
}

func testEmpty(t *testing.T, o Options) {
	s := open(t, o)
	if c, ok, err := s.LatestConfig(t.Context()); ok || err != nil {
		t.Errorf("configuration of an empty database: %+v, %v, %v", c, ok, err)
	}
	if c, err := s.ConfigChanges(t.Context(), 10); len(c) != 0 || err != nil {
		t.Errorf("changes of an empty database: %+v, %v", c, err)
	}
	if rows, err := loadRows(t.Context(), s, time.Second, time.Time{}); len(rows) != 0 || err != nil {
		t.Errorf("history of an empty database: %+v, %v", rows, err)
	}
	if n, err := s.TrimHistory(t.Context(), time.Second, noon); n != 0 || err != nil {
		t.Errorf("trimmed %d rows, %v", n, err)
	}
	if err := s.SaveHistory(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func testConfig(t *testing.T, o Options) {
	s := open(t, o)
	if err := s.SaveConfig(t.Context(), change(2)); !errors.Is(err, ErrVersionConflict) {
		t.Errorf("a first version of 2: %v, want ErrVersionConflict", err)
	}
	save(t, s, 1, 2, 3)
	for _, v := range []int64{1, 3, 5} {
		if err := s.SaveConfig(t.Context(), change(v)); !errors.Is(err, ErrVersionConflict) || !strings.Contains(err.Error(), "newest is 3") {
			t.Errorf("version %d after 3: %v, want ErrVersionConflict", v, err)
		}
	}
	fine := change(4)
	fine.At = fine.At.Add(789).In(time.FixedZone("elsewhere", 3600))
	fine.Peer = ""
	if err := s.SaveConfig(t.Context(), fine); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, o)
	c, ok, err := s.LatestConfig(t.Context())
	fine.At = fine.At.Truncate(time.Microsecond)
	if !ok || err != nil || !same(c, fine) || c.At.Location() != time.UTC {
		t.Errorf("newest is %+v, %v, %v, want %+v", c, ok, err, fine)
	}
	changes, err := s.ConfigChanges(t.Context(), 3)
	if err != nil || len(changes) != 3 || changes[0].Version != 4 || !same(changes[1], change(3)) || !same(changes[2], change(2)) {
		t.Errorf("changes: %+v, %v", changes, err)
	}
	if _, err := s.ConfigChanges(t.Context(), 0); err == nil {
		t.Error("a limit of 0 is no error")
	}
}

func testConfigBound(t *testing.T, o Options) {
	s := open(t, o)
	execute(t, s, `DELETE FROM memwarden_config_changes`)
	err := s.write(t.Context(), "fill", func(ctx context.Context, tx *sql.Tx) error {
		for v := int64(1); v < MaxConfigChanges; v++ {
			c := change(v)
			if _, err := tx.ExecContext(ctx, `INSERT INTO memwarden_config_changes VALUES ($1, $2, $3, $4, $5, $6)`,
				c.Version, c.At.UnixMicro(), c.Actor, c.Peer, string(c.Patch), string(c.Overrides)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for v := int64(MaxConfigChanges); v < MaxConfigChanges+3; v++ {
		save(t, s, v)
		changes, err := s.ConfigChanges(t.Context(), 10*MaxConfigChanges)
		if err != nil || len(changes) != MaxConfigChanges || changes[0].Version != v || changes[len(changes)-1].Version != v-MaxConfigChanges+1 {
			t.Fatalf("after version %d: %d changes, %v", v, len(changes), err)
		}
	}
}

// testConfigContended lets two stores, as of two processes where the database allows it, race for each version.
func testConfigContended(t *testing.T, o Options) {
	stores := []*Store{open(t, o)}
	if o.DatabaseURL != "" {
		stores = append(stores, open(t, o))
	}
	base := newestVersion(t, stores[0])
	const versions, racers = 5, 8
	for v := base + 1; v <= base+versions; v++ {
		outcomes := make([]error, racers)
		var wg sync.WaitGroup
		for i := range racers {
			wg.Go(func() { outcomes[i] = stores[i%len(stores)].SaveConfig(context.Background(), change(v)) })
		}
		wg.Wait()
		won := 0
		for _, err := range outcomes {
			if err == nil {
				won++
			} else if !errors.Is(err, ErrVersionConflict) {
				t.Errorf("version %d: %v, want ErrVersionConflict", v, err)
			}
		}
		if won != 1 || newestVersion(t, stores[0]) != v {
			t.Errorf("%d racers saved version %d", won, v)
		}
	}
}

func testHistory(t *testing.T, o Options) {
	s := open(t, o)
	row := func(resolution time.Duration, second int, data string) Row {
		return Row{Resolution: resolution, At: noon.Add(time.Duration(second) * time.Second), Data: []byte(data)}
	}
	big := strings.Repeat("\x00\xff", MaxRowBytes/2)
	rows := []Row{row(time.Second, 2, "two"), row(time.Second, 1, "one"), row(time.Minute, 0, "minute"), row(time.Second, 3, big)}
	if err := s.SaveHistory(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	again := []Row{row(time.Second, 2, "first"), row(time.Second, 2, "second"), {Resolution: time.Second, At: noon.Add(4*time.Second + 999)}}
	if err := s.SaveHistory(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	check := func(since time.Time, want ...Row) {
		t.Helper()
		got, err := loadRows(t.Context(), s, time.Second, since)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, want, func(a, b Row) bool {
			return a.Resolution == b.Resolution && a.At.Equal(b.At) && a.At.Location() == time.UTC && bytes.Equal(a.Data, b.Data)
		}) {
			t.Errorf("since %v: %d rows, want %d", since, len(got), len(want))
		}
	}
	check(time.Time{}, row(time.Second, 1, "one"), row(time.Second, 2, "second"), row(time.Second, 3, big), row(time.Second, 4, ""))
	check(noon.Add(3*time.Second), row(time.Second, 3, big), row(time.Second, 4, ""))
	check(noon.Add(time.Hour))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, o)
	if n, err := s.TrimHistory(t.Context(), time.Second, noon.Add(3*time.Second)); n != 2 || err != nil {
		t.Errorf("trimmed %d rows, %v, want 2", n, err)
	}
	check(time.Time{}, row(time.Second, 3, big), row(time.Second, 4, ""))
	if got, err := loadRows(t.Context(), s, time.Minute, time.Time{}); len(got) != 1 || err != nil {
		t.Errorf("another resolution was trimmed: %+v, %v", got, err)
	}
}

func testHistoryBound(t *testing.T, o Options) {
	s := open(t, o)
	const resolution = 10 * time.Second
	next := 0
	fill := func(n int) {
		rows := make([]Row, n)
		for i := range rows {
			rows[i] = Row{Resolution: resolution, At: noon.Add(time.Duration(next) * resolution), Data: []byte("x")}
			next++
		}
		if err := s.SaveHistory(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
	}
	for range MaxHistoryRows / MaxRowsPerSave {
		fill(MaxRowsPerSave)
	}
	for _, more := range []int{0, 1, 5} {
		fill(more)
		rows, err := loadRows(t.Context(), s, resolution, time.Time{})
		if err != nil || len(rows) != MaxHistoryRows {
			t.Fatalf("%d rows are kept, %v, want %d", len(rows), err, MaxHistoryRows)
		}
		if newest := noon.Add(time.Duration(next-1) * resolution); !rows[len(rows)-1].At.Equal(newest) {
			t.Errorf("newest is %v, want %v", rows[len(rows)-1].At, newest)
		}
	}
	if rows, err := loadRows(t.Context(), s, time.Minute, time.Time{}); len(rows) != 1 || err != nil {
		t.Errorf("another resolution lost rows: %d, %v", len(rows), err)
	}
}

func testContexts(t *testing.T, o Options) {
	s := open(t, o)
	newest := newestVersion(t, s)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, latest := s.LatestConfig(over)
	_, load := loadRows(over, s, time.Second, noon)
	_, trim := s.TrimHistory(over, time.Second, noon)
	for _, err := range []error{s.SaveConfig(over, change(newest+1)), s.Ping(over), latest, load, trim} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want context.Canceled", err)
		}
	}
	// One that ends within the transaction leaves nothing behind.
	ctx, cancel := context.WithCancel(t.Context())
	err := s.write(ctx, "write", func(ctx context.Context, tx *sql.Tx) error {
		c := change(newest + 1)
		if _, err := tx.ExecContext(ctx, `INSERT INTO memwarden_config_changes VALUES ($1, $2, 'a', 'b', '{}', '{}')`, c.Version, c.At.UnixMicro()); err != nil {
			t.Error(err)
		}
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("cancelled before the commit: %v", err)
	}
	if now := newestVersion(t, s); now != newest {
		t.Errorf("version %d came out of a cancelled transaction", now)
	}
	save(t, s, newest+1)
}

func testConcurrentUse(t *testing.T, o Options) {
	s := open(t, o)
	const workers, rounds = 12, 10
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				resolution := time.Duration(1000+w) * time.Hour
				rows := []Row{{Resolution: resolution, At: noon.Add(time.Duration(i) * time.Second), Data: fmt.Append(nil, w, i)}}
				err := s.SaveHistory(context.Background(), rows)
				loaded, err2 := loadRows(context.Background(), s, resolution, noon)
				if err := errors.Join(err, err2, s.Ping(context.Background())); err != nil || len(loaded) != i+1 {
					t.Errorf("worker %d, round %d: %d rows, %v", w, i, len(loaded), err)
				}
			}
		})
	}
	wg.Wait()
	stats := s.Stats()
	wantMax := int64(defaultMaxConns)
	if o.DatabaseURL == "" {
		wantMax = 1 + maxReaders
	}
	if stats.Kind != s.db.kind() || stats.Max != wantMax || stats.InUse != 0 || stats.Peak < 1 || stats.Peak > stats.Max || stats.Idle < 1 {
		t.Errorf("stats after concurrent use: %+v", stats)
	}
}

func testClosing(t *testing.T, o Options) {
	s := open(t, o)
	inside, leave := make(chan struct{}), make(chan struct{})
	var outcome error
	var wg sync.WaitGroup
	wg.Go(func() {
		outcome = s.write(context.Background(), "write", func(ctx context.Context, tx *sql.Tx) error {
			close(inside)
			<-leave
			_, err := tx.ExecContext(ctx, `UPDATE memwarden_write_check SET at_us = 7`)
			return err
		})
	})
	<-inside
	if stats := s.Stats(); stats.InUse != 1 || stats.Peak < 1 {
		t.Errorf("stats within a transaction: %+v", stats)
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	close(leave)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	wg.Wait()
	if outcome != nil {
		t.Errorf("an operation that Close had to wait for: %v", outcome)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Ping after Close: %v, want ErrClosed", err)
	}
	if err := s.SaveConfig(t.Context(), change(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("SaveConfig after Close: %v, want ErrClosed", err)
	}
}

// testIdentity: a database keeps its name, and no other has it.
func testIdentity(t *testing.T, o Options) {
	first, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, other := open(t, o), open(t, Options{DataDir: scratch.Dir(t)})
	if name := first.Identity(); len(name) != 26 || again.Identity() != name || other.Identity() == name {
		t.Errorf("named %q, then %q, another %q", name, again.Identity(), other.Identity())
	}
}

// testFailingMigration puts a table into the way of the first migration, which has made another one by then.
func testFailingMigration(t *testing.T, o Options) {
	s := open(t, o)
	execute(t, s, `DROP TABLE memwarden_config_changes`, `DROP TABLE memwarden_write_check`, `DROP TABLE memwarden_reports`,
		`DROP TABLE memwarden_leak_reports`, `DROP TABLE memwarden_identity`, `DROP TABLE `+migrationTable)
	if err := s.Ping(t.Context()); err == nil {
		t.Error("Ping finds no fault with a database without tables")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second attempt meets what the first one left
		_, err := Open(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "00001_initial.sql failed and was undone") || strings.Contains(err.Error(), "config_changes") {
			t.Fatalf("migration into the way of a table: %v", err)
		}
	}
	db, err := connect(t.Context(), must(o.validate()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.writer().ExecContext(t.Context(), `DROP TABLE memwarden_history`)
	if err := errors.Join(err, db.close()); err != nil {
		t.Fatal(err)
	}
	save(t, open(t, o), 1)
}

func testNewerSchema(t *testing.T, o Options) {
	s := open(t, o)
	applied := "true"
	if o.DatabaseURL == "" {
		applied = "1"
	}
	execute(t, s, `INSERT INTO `+migrationTable+` (version_id, is_applied) VALUES (99, `+applied+`)`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), o)
	if !errors.Is(err, ErrNewerSchema) || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("open a newer database: %v, want ErrNewerSchema", err)
	}
	if _, err := Migrate(t.Context(), o); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("migrate a newer database: %v, want ErrNewerSchema", err)
	}
	if r, err := MigrationStatus(t.Context(), o); !errors.Is(err, ErrNewerSchema) || r.Version != 99 {
		t.Errorf("status of a newer database: %+v, %v, want ErrNewerSchema", r, err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestOptionsListEveryMistake(t *testing.T) {
	for _, c := range []struct {
		options Options
		want    []string
	}{
		{Options{}, []string{"data directory: missing"}},
		{Options{MaxConns: -1}, []string{"data directory: missing", "maximal connections: -1"}},
		{Options{DatabaseURL: "mysql://u:secret@h/d", MaxConns: 1e6}, []string{"must begin with postgres://", "1000000"}},
	} {
		_, open := Open(t.Context(), c.options)
		_, migrate := Migrate(t.Context(), c.options)
		_, status := MigrationStatus(t.Context(), c.options)
		for _, err := range []error{open, migrate, status} {
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%+v: %v, want %q", c.options, err, want)
				}
			}
		}
	}
}

func TestInvalidEntriesAreRefused(t *testing.T) {
	s := open(t, Options{DataDir: scratch.Dir(t)})
	long := strings.Repeat("x", MaxNameBytes+1)
	for want, spoil := range map[string]func(*ConfigChange){
		"version: 0":        func(c *ConfigChange) { c.Version = 0 },
		"at: missing":       func(c *ConfigChange) { c.At = time.Time{} },
		"actor: missing":    func(c *ConfigChange) { c.Actor = "" },
		"actor: must be":    func(c *ConfigChange) { c.Actor = long },
		"peer: must be":     func(c *ConfigChange) { c.Peer = "a\x00b" },
		"UTF-8":             func(c *ConfigChange) { c.Peer = "\xff" },
		"patch: must be":    func(c *ConfigChange) { c.Patch = nil },
		"overrides: must":   func(c *ConfigChange) { c.Overrides = []byte(`{`) },
		"at most 32768":     func(c *ConfigChange) { c.Patch = []byte(`"` + strings.Repeat("x", MaxConfigBytes) + `"`) },
		"patch: must be JS": func(c *ConfigChange) { c.Patch = []byte("\"\xff\"") },
	} {
		c := change(1)
		spoil(&c)
		if err := s.SaveConfig(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	var all ConfigChange
	if err := s.SaveConfig(t.Context(), all); err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("an empty change has five mistakes: %v", err)
	}
	valid := Row{Resolution: time.Second, At: noon}
	for want, rows := range map[string][]Row{
		"row 1: resolution 0s": {valid, {At: noon}},
		"row 0: at: missing":   {{Resolution: time.Second}},
		"4097 bytes":           {{Resolution: time.Second, At: noon, Data: make([]byte, MaxRowBytes+1)}},
		"1001 rows":            make([]Row, MaxRowsPerSave+1),
		"row 4: at: missing":   make([]Row, MaxRowsPerSave),
	} {
		if err := s.SaveHistory(t.Context(), rows); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 1000 {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if rows, err := loadRows(t.Context(), s, time.Second, time.Time{}); len(rows) != 0 || err != nil {
		t.Errorf("refused rows were saved: %d, %v", len(rows), err)
	}
}

// loadRows loads rows as a slice.
func loadRows(ctx context.Context, s *Store, resolution time.Duration, since time.Time) (loaded []Row, _ error) {
	err := s.LoadHistory(ctx, resolution, since, func(row Row) error {
		row.Data = bytes.Clone(row.Data)
		loaded = append(loaded, row)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return loaded, nil
}
