package store

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/pgtest"
	"github.com/memwarden/memwarden/internal/scratch"
)

// A writer saves a configuration version and a batch of history rows in turn, and prints each when it is acknowledged.
const (
	batchRows       = 7
	batchResolution = 10 * time.Second
)

// batch is the n-th batch of history rows; their data can be checked.
func batch(n int64) []Row {
	rows := make([]Row, batchRows)
	for i := range rows {
		data := make([]byte, 300+10*i)
		random := rand.New(rand.NewPCG(uint64(n), uint64(i)))
		for j := 4; j < len(data); j++ {
			data[j] = byte(random.Uint32())
		}
		binary.BigEndian.PutUint32(data, crc32.ChecksumIEEE(data[4:]))
		rows[i] = Row{Resolution: batchResolution, At: noon.Add(time.Duration(n*batchRows+int64(i)) * batchResolution), Data: data}
	}
	return rows
}

// writeUntilKilled is the writing child process. It goes on where the database ends.
func writeUntilKilled(o Options) int {
	ctx := context.Background()
	s, err := Open(ctx, o)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	latest, _, err := s.LatestConfig(ctx)
	for v := latest.Version; err == nil; v++ {
		if err = s.SaveHistory(ctx, batch(v)); err != nil { // the newest once more: the last writer may not have got to it
			break
		}
		fmt.Println("history", v)
		if err = s.SaveConfig(ctx, change(v+1)); err != nil {
			break
		}
		fmt.Println("config", v+1)
	}
	fmt.Println("error", err)
	return 1
}

// acknowledged is what a writer was told to be durable.
type acknowledged struct{ config, history int64 }

// writer is a running child process.
type writer struct {
	command *exec.Cmd
	lines   *bufio.Scanner
}

func startWriter(t *testing.T, o Options) *writer {
	t.Helper()
	command := child(t, "write", o)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill() })
	return &writer{command, bufio.NewScanner(output)}
}

// read takes in so many acknowledgements, or all there are until the writer ends.
func (w *writer) read(t *testing.T, count int, acks *acknowledged) (got int) {
	t.Helper()
	for got < count && w.lines.Scan() {
		var kind string
		var n int64
		if _, err := fmt.Sscan(w.lines.Text(), &kind, &n); err != nil {
			t.Logf("writer: %s", w.lines.Text())
			continue
		}
		got++
		if kind == "config" {
			acks.config = n
		} else {
			acks.history = n
		}
	}
	return got
}

// verifyAll checks that everything that was acknowledged is there, whole, and nothing half. What is there must be there from
// now on, acknowledged or not: the next writer goes on where it ends.
func verifyAll(t *testing.T, s *Store, acks *acknowledged) {
	t.Helper()
	newest := newestVersion(t, s)
	if newest < acks.config || newest > acks.config+1 {
		t.Fatalf("newest version is %d, acknowledged was %d", newest, acks.config)
	}
	changes, err := s.ConfigChanges(t.Context(), MaxConfigChanges)
	if err != nil || int64(len(changes)) != min(newest, MaxConfigChanges) {
		t.Fatalf("%d changes, %v; newest is %d", len(changes), err, newest)
	}
	for i, c := range changes {
		if c.Version != newest-int64(i) || !same(c, change(c.Version)) {
			t.Fatalf("change %d is %+v", newest-int64(i), c)
		}
	}
	rows, err := loadRows(t.Context(), s, batchResolution, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < MaxHistoryRows && len(rows)%batchRows != 0 {
		t.Fatalf("%d rows are not a number of whole batches", len(rows))
	}
	if len(rows) > 0 {
		last := int64(rows[len(rows)-1].At.Sub(noon)/batchResolution) / batchRows
		if last < acks.history || last > acks.history+1 {
			t.Fatalf("newest batch is %d, acknowledged was %d", last, acks.history)
		}
		acks.history = last
	}
	for i, row := range rows {
		if binary.BigEndian.Uint32(row.Data) != crc32.ChecksumIEEE(row.Data[4:]) {
			t.Fatalf("row %d is damaged", i)
		}
		if i > 0 && row.At.Sub(rows[i-1].At) != batchResolution {
			t.Fatalf("rows are missing between %v and %v", rows[i-1].At, row.At)
		}
	}
	acks.config = newest
}

// seeded returns a source of randomness whose seed is printed when the test fails.
func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// killWriters starts a writer, kills it at a random moment and checks what it left, several times.
func killWriters(t *testing.T, o Options, random *rand.Rand, rounds int, acks *acknowledged) {
	for range rounds {
		w := startWriter(t, o)
		if want := 1 + random.IntN(60); w.read(t, want, acks) < want {
			t.Fatal("the writer ended before it was killed")
		}
		for spin := random.IntN(20_000); spin > 0; spin-- { // into the middle of the next operation
			random.Uint64()
		}
		if err := w.command.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		w.read(t, 1<<30, acks) // what it had still printed
		w.command.Wait()       // "killed" is what we wanted
		s := open(t, o)
		verifyAll(t, s, acks)
		if o.DatabaseURL == "" {
			checkIntegrity(t, s)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func checkIntegrity(t *testing.T, s *Store) {
	t.Helper()
	var verdict string
	if err := s.db.reader().QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("integrity check: %s, %v", verdict, err)
	}
}

func TestSQLiteKilledWriter(t *testing.T) {
	var acks acknowledged
	killWriters(t, Options{DataDir: filepath.Join(scratch.Dir(t), "data")}, seeded(t), 12, &acks)
	t.Logf("%d versions and %d batches survived", acks.config, acks.history)
}

func testPostgresKilled(t *testing.T, server *pgtest.Server) {
	o := Options{DatabaseURL: server.NewDatabase(t)}
	random := seeded(t)
	var acks acknowledged
	killWriters(t, o, random, 4, &acks)
	for range 4 { // now the server
		w := startWriter(t, o)
		if want := 1 + random.IntN(60); w.read(t, want, &acks) < want {
			t.Fatal("the writer ended before the server was killed")
		}
		server.Kill(t)
		w.read(t, 1<<30, &acks) // it reports its error and ends
		w.command.Wait()        // with exit code 1
		server.Restart(t)
		s := open(t, o)
		verifyAll(t, s, &acks)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d versions and %d batches survived", acks.config, acks.history)
}
