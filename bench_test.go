package memwarden

import (
	"log/slog"
	"testing"
	"time"
)

// BenchmarkTick is one turn of the loop: read, judge, decide, tell. A warden takes one a second.
func BenchmarkTick(b *testing.B) {
	w, err := Start(b.Context(), Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := w.Close(b.Context()); err != nil {
			b.Error(err)
		}
	}()
	w.cancel() // the loop would take turns of its own
	w.loops.Wait()
	watch, now := &watch{applied: w.config.config()}, time.Now()
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		w.tick(watch, now)
	}
}
