package memhttp

import (
	"net/http"
	"testing"

	"github.com/memwarden/memwarden"
)

// sink takes an answer and forgets it.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

// benchmark answers one request over and over: what a request costs without its connection.
func benchmark(b *testing.B, path string) {
	b.Helper()
	h := mustHandler(b, startWarden(b, memwarden.Options{}), Options{RateLimit: 1e6, RateBurst: 1 << 30})
	r := newRequest("GET", path, "")
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(&sink{http.Header{}}, r)
	}
}

func BenchmarkStats(b *testing.B)        { benchmark(b, memoryPath+"/stats") }
func BenchmarkStatsHistory(b *testing.B) { benchmark(b, memoryPath+"/stats?history=1s") }
func BenchmarkMetrics(b *testing.B)      { benchmark(b, "/metrics") }

// BenchmarkEncode is what the first request after a sample pays for all others.
func BenchmarkEncode(b *testing.B) {
	h := mustHandler(b, startWarden(b, memwarden.Options{}), Options{})
	state := h.warden.State()
	b.Run("stats", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.o.Live.stats.newest.Store(nil)
			if _, err := h.o.Live.statsBody(state); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("metrics", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.encodeMetrics(state)
		}
	})
}
