package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bench/internal/k6"
	"github.com/memwarden/memwarden/bench/internal/service"
)

func TestParseAccepted(t *testing.T) {
	all, err := parseAccepted([]byte("report 12 3-1-abc\nGET /x: status 500\nreport 9 1-1-xyz\n"))
	if err != nil || len(all) != 2 || all[0] != (accepted{9, "1-1-xyz"}) || all[1] != (accepted{12, "3-1-abc"}) {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := parseAccepted([]byte("report one two\n")); err == nil {
		t.Error("no number: want an error")
	}
}

// TestStillKept: what has made room for others is not lost; what is missing among those that are there is.
func TestStillKept(t *testing.T) {
	var all []accepted
	there := map[int64]json.RawMessage{}
	for id := int64(1); id <= 1500; id++ {
		if id%3 != 0 { // of these the client has not heard
			all = append(all, accepted{id: id})
		}
		if id > 500 {
			there[id] = nil
		}
	}
	if got := stillKept(all, there); len(got) != 666 || got[0].id != 502 || got[665].id != 1499 {
		t.Errorf("%d, from %+v", len(got), got[0])
	}
	delete(there, 1000) // fewer than are kept: nothing has had to make room
	if got := stillKept(all, there); len(got) != 1000 || got[999].id != 1499 {
		t.Errorf("%d with one missing", len(got))
	}
	if got := stillKept(nil, there); len(got) != 0 {
		t.Errorf("%d of none", len(got))
	}
}

// TestLostReportsAreCounted stores reports in a real service, and says to have stored two that it never got.
func TestLostReportsAreCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: the load command is for Linux")
	}
	dir := t.TempDir()
	file, err := service.Build(t.Context(), filepath.Join("..", "..", serverDir), "./cmd/memwarden", dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := service.Start(t.Context(), file, dir, settings...)
	if err != nil {
		t.Fatal(err)
	}
	var console strings.Builder
	const sent = 120 // more than a page of the list
	for i := range sent {
		body := fmt.Sprintf(`{"schema":1,"sent_at":"2026-01-02T15:04:05Z","items":[{"kind":"error","at":"2026-01-02T15:04:05Z","key":"k%d"}]}`, i)
		answer, err := http.Post("http://"+s.Address+"/api/monitoring/frontend/reports", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusCreated {
			t.Fatal(answer.Status)
		}
		fmt.Fprintf(&console, "report %d k%d\n", i+1, i)
	}
	watching, stop := context.WithTimeout(t.Context(), 3*interval)
	defer stop()
	if seen := watch(watching, s); seen.err != nil || len(seen.at) == 0 || seen.rss[0] < 1<<20 || seen.goroutines[0] < 1 {
		t.Errorf("seen of the service: %+v", seen)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	console.WriteString("report 3 another\nreport 999 never\n")
	log := filepath.Join(dir, "console.log")
	if err := os.WriteFile(log, []byte(console.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	counted, err := countLost(t.Context(), log, enclosure{settings: settings}, file, dir)
	if want := (tally{sent + 2, sent + 2, 2}); err != nil || counted != want {
		t.Errorf("%+v, %v, want %+v", counted, err, want)
	}
}

// TestSlopeAndVerdict: a heap that grows is told from one that does not, and misses the goal.
func TestSlopeAndVerdict(t *testing.T) {
	for _, c := range []struct {
		perSecond float64
		met       bool
	}{{0, true}, {2000, false}} {
		m := measurement{
			o: options{script: "memory-stress", vus: 1, duration: 30 * time.Minute, limit: 256 << 20},
			result: k6.Result{Metrics: map[string]k6.Metric{
				"http_reqs": {"count": 10}, "http_req_failed": {"value": 0}, "checks": {"fails": 0},
				"http_req_duration{kind:read}": {"med": 1, "p(95)": 2, "p(99)": 3}, "http_req_duration{kind:write}": {"p(99)": 3},
				"http_req_duration{kind:admin}": {"p(99)": 3}, "live_messages": {"count": 4},
			}},
		}
		for i := range 1800 {
			at := float64(i)
			m.seen.at, m.seen.rss = append(m.seen.at, at), append(m.seen.rss, 50<<20)
			m.seen.goroutines = append(m.seen.goroutines, 30)
			live := 10<<20 + c.perSecond*at + 500_000*math.Mod(at*0.618, 1)
			if i < 5 {
				live = math.NaN()
			}
			m.seen.heapLive = append(m.seen.heapLive, live)
		}
		var out strings.Builder
		met, err := m.tell(t.Context(), &out)
		if err != nil || met != c.met {
			t.Errorf("growth of %v B/s: met %v, %v\n%s", c.perSecond, met, err, out.String())
		}
		if distinguishable := strings.Contains(out.String(), ": distinguishable from 0"); distinguishable == c.met {
			t.Errorf("growth of %v B/s:\n%s", c.perSecond, out.String())
		}
	}
	if _, err := (measurement{seen: watched{rss: []float64{1}, goroutines: []float64{1}}}).tell(t.Context(), &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "k6 has not measured") {
		t.Errorf("without k6's figures: %v", err)
	}
}
