package memhttp

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
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

// usual is a report as large as the packages for browsers send, some 16 KiB: what has gathered in some minutes.
func usual() string {
	const at = `"at":"2026-01-02T15:04:05.123Z"`
	var items []string
	for minute := range 9 {
		items = append(items, fmt.Sprintf(`{"kind":"figures",%s,"ms":60001.2,"heap":{"source":"engine","bytes":%d,"limit_bytes":4294705152,"at":1767366299000},`+
			`"long_tasks":{"count":2,"total_ms":143,"longest_ms":88},"long_frames":{"count":1,"total_ms":61,"longest_ms":61},`+
			`"caches":{"queries":{"entries":120,"inactive":90,"bytes":10240}},"self":{"ms":4.213,"share":0.0001,"off":false},"dropped":0}`, at, 48300000+minute))
		var components []string
		for i := range 12 {
			components = append(components, fmt.Sprintf(`{"name":"Component%d","commits":31,"mounts":2,"live":1,"timed":31,"total_ms":210.512,"longest_ms":24.1}`, i))
		}
		items = append(items, fmt.Sprintf(`{"kind":"components",%s,"components":[%s]}`, at, strings.Join(components, ",")))
	}
	return fmt.Sprintf(`{"schema":1,"release":"1.4.0","page":"https://shop.example/cart/PAGE","sent_at":"2026-01-02T15:04:05.123Z","items":[%s]}`, strings.Join(items, ","))
}

// send sends a report that is another for each number.
func send(h http.Handler, text string, n int) {
	body := strings.Replace(text, "PAGE", strconv.Itoa(n), 1)
	h.ServeHTTP(&sink{http.Header{}}, newRequest("POST", "/api/monitoring/frontend/reports", body, "Content-Type", "text/plain"))
}

func BenchmarkReport(b *testing.B) {
	h, text := mustHandler(b, startWarden(b, memwarden.Options{}), Options{ReportRateLimit: 1e6}), usual()
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	n := 0
	for b.Loop() {
		send(h, text, n)
		n++
	}
}

// BenchmarkComponents asks for components of as many such reports as 8 MiB of memory keep: at first, when they have to be
// read, and when they are.
func BenchmarkComponents(b *testing.B) {
	h, text := mustHandler(b, startWarden(b, memwarden.Options{}), Options{ReportRateLimit: 1e6}), usual()
	for n := range 600 {
		send(h, text, n)
	}
	r := newRequest("GET", "/api/monitoring/frontend/components", "")
	for name, forget := range map[string]func(){"first": func() { h.figures.drop() }, "again": func() {}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				forget()
				h.ServeHTTP(&sink{http.Header{}}, r)
			}
			b.ReportMetric(float64(h.figures.Usage().Entries), "reports")
			b.ReportMetric(float64(h.figures.Usage().Bytes), "bytes-held")
		})
	}
}
