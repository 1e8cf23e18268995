package store

import (
	"context"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/pgtest"
)

func onBothBenchmark(b *testing.B, run func(b *testing.B, o Options)) {
	b.Run("sqlite", func(b *testing.B) { run(b, Options{DataDir: b.TempDir()}) })
	b.Run("postgres", func(b *testing.B) { run(b, Options{DatabaseURL: pgtest.Start(b).NewDatabase(b)}) })
}

func BenchmarkOpenExisting(b *testing.B) {
	onBothBenchmark(b, func(b *testing.B, o Options) {
		for b.Loop() {
			s, err := Open(context.Background(), o)
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSaveConfig(b *testing.B) {
	onBothBenchmark(b, func(b *testing.B, o Options) {
		s := open(b, o)
		for v := int64(1); b.Loop(); v++ {
			save(b, s, v)
		}
	})
}

// BenchmarkSaveHistory saves one row into a full history, as a sampler does.
func BenchmarkSaveHistory(b *testing.B) {
	onBothBenchmark(b, func(b *testing.B, o Options) {
		s := open(b, o)
		at := fillHistory(b, s)
		for b.Loop() {
			at = at.Add(time.Second)
			if err := s.SaveHistory(context.Background(), []Row{{Resolution: time.Second, At: at, Data: make([]byte, 300)}}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkLoadFullHistory(b *testing.B) {
	onBothBenchmark(b, func(b *testing.B, o Options) {
		s := open(b, o)
		fillHistory(b, s)
		for b.Loop() {
			if rows, err := loadRows(context.Background(), s, time.Second, time.Time{}); err != nil || len(rows) != MaxHistoryRows {
				b.Fatal(len(rows), err)
			}
		}
	})
}

// fillHistory saves as many rows as are kept and returns the moment of the newest.
func fillHistory(b *testing.B, s *Store) time.Time {
	at := noon
	for range MaxHistoryRows / MaxRowsPerSave {
		rows := make([]Row, MaxRowsPerSave)
		for i := range rows {
			at = at.Add(time.Second)
			rows[i] = Row{Resolution: time.Second, At: at, Data: make([]byte, 300)}
		}
		if err := s.SaveHistory(context.Background(), rows); err != nil {
			b.Fatal(err)
		}
	}
	return at
}
