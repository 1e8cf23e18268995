package memhttp

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/history"
)

const memoryPath = "/api/monitoring/memory"

// TestStatsAreEncodedOnceASample: whoever asks how often gets the same bytes, until the next sample.
func TestStatsAreEncodedOnceASample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWarden(t, memwarden.Options{})
		h := mustHandler(t, w, Options{})
		time.Sleep(1050 * time.Millisecond)
		first := ask(h, "GET", memoryPath+"/stats", "")
		wantStatus(t, first, 200)
		kept, err := h.o.Live.statsBody(w.State())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(900 * time.Millisecond) // the next sample is due in another 50
		again, err := h.o.Live.statsBody(w.State())
		if err != nil {
			t.Fatal(err)
		}
		if &kept[0] != &again[0] {
			t.Error("the same sample was encoded twice")
		}
		if second := ask(h, "GET", memoryPath+"/stats", ""); second.Body.String() != first.Body.String() {
			t.Errorf("two answers about one sample differ:\n%s\n%s", first.Body, second.Body)
		}
		time.Sleep(200 * time.Millisecond)
		if third := ask(h, "GET", memoryPath+"/stats", ""); third.Body.String() == first.Body.String() {
			t.Error("the next sample is answered as the one before")
		}
	})
}

// badOwner says what its name tells.
type badOwner string

func (o badOwner) Name() string { return string(o) }

func (o badOwner) Usage() bounded.Usage {
	if o == "panics" {
		panic("no figures")
	}
	const none = bounded.NotApplicable
	return bounded.Usage{Entries: 0, MaxEntries: 20, PeakEntries: none, Bytes: none, MaxBytes: none, PeakBytes: none}
}

func (badOwner) Shrink(context.Context, int64) int64 { return 0 }

// TestOwners: figures that an owner does not have are absent, those that are 0 are there, and one that panics is named.
func TestOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWarden(t, memwarden.Options{})
		h := mustHandler(t, w, Options{})
		for _, owner := range []badOwner{"panics", "some"} {
			if _, err := w.Register(owner); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		for _, path := range []string{"/stats", "/limits"} {
			var document struct{ Owners, Limits []json.RawMessage }
			decodeInto(t, ask(h, "GET", memoryPath+path, ""), &document)
			var got []string
			for _, owner := range append(document.Owners, document.Limits...) {
				got = append(got, string(owner))
			}
			for _, want := range []string{`{"name":"panics","error":"owner panicked: no figures"}`, `{"name":"some","entries":0,"max_entries":20}`} {
				if !slices.Contains(got, want) {
					t.Errorf("%s: owners %s, want %s among them", path, got, want)
				}
			}
		}
	})
}

// TestHistory asks for stretches of a minute of samples.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWarden(t, memwarden.Options{Store: &memoryStore{}})
		h := mustHandler(t, w, Options{})
		begin := time.Now()
		time.Sleep(time.Minute + time.Millisecond)
		type column []*int64
		get := func(query string) (d struct {
			ResolutionSeconds float64           `json:"resolution_seconds"`
			SavedUntil        time.Time         `json:"saved_until"`
			At                []int64           `json:"at_unix_seconds"`
			Columns           map[string]column `json:"columns"`
		}) {
			t.Helper()
			got := ask(h, "GET", memoryPath+"/stats?"+query, "")
			wantStatus(t, got, 200)
			var document struct{ History json.RawMessage }
			decodeInto(t, got, &document)
			if err := json.Unmarshal(document.History, &d); err != nil {
				t.Fatal(err)
			}
			for _, name := range history.Columns() {
				if len(d.Columns[name]) != len(d.At) {
					t.Errorf("?%s: column %s has %d values for %d times", query, name, len(d.Columns[name]), len(d.At))
				}
			}
			if len(d.Columns) != len(history.Columns()) {
				t.Errorf("?%s: %d columns, want %d", query, len(d.Columns), len(history.Columns()))
			}
			return d
		}
		all := get("history=1s")
		if len(all.At) != 61 || all.At[0] != begin.Unix() || all.ResolutionSeconds != 1 || !slices.IsSorted(all.At) {
			t.Errorf("the history of a minute is %d points from %v", len(all.At), all.At)
		}
		if saved := all.SavedUntil.Sub(begin); saved < 50*time.Second || saved > time.Minute {
			t.Errorf("saved for %v of a minute, want all but the last seconds", saved)
		}
		if all.Columns["goroutines"][5] == nil || *all.Columns["goroutines"][5] <= 0 {
			t.Error("there are no goroutines in the history")
		}
		if all.Columns["memory_limit_bytes"][5] != nil && *all.Columns["memory_limit_bytes"][5] < 0 {
			t.Errorf("an absent limit is %d, want null", *all.Columns["memory_limit_bytes"][5])
		}
		if tens := get("history=10s"); len(tens.At) != 7 || tens.ResolutionSeconds != 10 {
			t.Errorf("by ten seconds: %v", tens.At)
		}
		if minutes := get("history=1m"); len(minutes.At) != 2 || minutes.ResolutionSeconds != 60 {
			t.Errorf("by minutes: %v", minutes.At)
		}
		part := get(fmt.Sprintf("history=1s&since=%d&until=%s", begin.Unix()+10, begin.Add(20*time.Second).UTC().Format(time.RFC3339)))
		if len(part.At) != 10 || part.At[0] != begin.Unix()+10 || part.At[9] != begin.Unix()+19 {
			t.Errorf("ten seconds from the tenth on are %v", part.At)
		}
		if none := get("history=1s&until=0"); len(none.At) != 0 || none.At == nil {
			t.Errorf("nothing is %v, want an empty list", none.At)
		}
	})
}

func TestBadHistory(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	for query, part := range map[string]string{
		"history=5s":                 `query history: "5s": want 1s, 10s or 1m`,
		"since=0":                    "query history",
		"history":                    "query history",
		"history=1s&since=yesterday": "query since",
		"history=1s&until=1e3":       "query until",
		"history=1s&until=" + strings.Repeat("9", 30): "query until",
		"history=1s&since=10&until=10":                "not before until",
		"histroy=1s":                                  "want history or since or until",
	} {
		wantProblem(t, ask(h, "GET", memoryPath+"/stats?"+query, ""), 400, part)
	}
}

func TestTimeIn(t *testing.T) {
	for text, want := range map[string]time.Time{
		"": {}, "0": time.Unix(0, 0), "-5": time.Unix(-5, 0), "2026-01-02T15:04:05Z": time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		"2026-01-02T15:04:05.5+02:00": time.Date(2026, 1, 2, 13, 4, 5, 5e8, time.UTC),
	} {
		if got, err := timeIn(text); err != nil || !got.Equal(want) {
			t.Errorf("timeIn(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"now", "1.5", "null", "true", `"1"`, "2026-01-02", "1 2"} {
		if got, err := timeIn(text); err == nil {
			t.Errorf("timeIn(%q) = %v, want an error", text, got)
		}
	}
}

func TestMemoryHealthAndLimits(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	h := mustHandler(t, w, Options{})
	var health struct {
		Level, Reason string
		Pressure      struct{ Level, Reason string }
		Limit         struct{ Source string }
		Relief        struct{ Reason string }
	}
	decodeInto(t, ask(h, "GET", memoryPath+"/health", ""), &health)
	if health.Level != "normal" || health.Reason == "" || health.Reason != health.Pressure.Reason || health.Limit.Source != "disabled" || health.Relief.Reason == "" {
		t.Errorf("the memory's health is %+v", health)
	}
	var limits struct {
		Container map[string]int64
		Go        struct{ Source string }
		Limits    []struct{ Name string }
	}
	decodeInto(t, ask(h, "GET", memoryPath+"/limits", ""), &limits)
	if limits.Go.Source != "disabled" || len(limits.Limits) == 0 || limits.Container == nil {
		t.Errorf("the limits are %+v", limits)
	}
}

// TestRemote: a process that is watched from outside is not governed; once it has ended, answers say so.
func TestRemote(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), program)
	child.Env = append(os.Environ(), childMark+"=1")
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() error { return input.Close() }
	t.Cleanup(func() { _ = end() })
	c := memwarden.DefaultConfig()
	c.Sampling.IntervalSeconds = 0.1
	w := startWarden(t, memwarden.Options{PID: child.Process.Pid, Config: &c})
	h := mustHandler(t, w, Options{})
	wantProblem(t, ask(h, "POST", memoryPath+"/gc", ""), 409, "watched from outside")
	for path, absent := range map[string][]string{"/stats": {"go", "gone"}, "/health": {"limit", "relief"}, "/limits": {"go"}} {
		var document map[string]json.RawMessage
		decodeInto(t, ask(h, "GET", memoryPath+path, ""), &document)
		for _, name := range absent {
			if value, ok := document[name]; ok {
				t.Errorf("%s has %s: %s", path, name, value)
			}
		}
	}
	metrics := ask(h, "GET", "/metrics", "").Body.String()
	if strings.Contains(metrics, "memwarden_gc_") || strings.Contains(metrics, "memwarden_go_") || !strings.Contains(metrics, "memwarden_process_rss_bytes ") {
		t.Error("the metrics are not those of a process that is watched from outside")
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	events := subscribe(t, w)
	defer events.Close()
	for range 2 { // the second began after the end
		<-events.Events
	}
	var document struct{ Gone bool }
	decodeInto(t, ask(h, "GET", memoryPath+"/stats", ""), &document)
	if !document.Gone {
		t.Error("the process has ended, and the statistics do not say so")
	}
}

// TestUnencodable: what goes wrong while answering is logged; the client learns only that something did.
func TestUnencodable(t *testing.T) {
	log := &logBook{}
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{Logger: log.logger()})
	r := newRequest("GET", "/somewhere", "")
	answer := httptest.NewRecorder()
	h.answer(answer, r, math.NaN())
	wantProblem(t, answer, 500, "the server failed to encode answer; its log says why")
	if text := log.String(); !strings.Contains(text, "NaN") || !strings.Contains(text, "/somewhere") {
		t.Errorf("logged %q", text)
	}

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	before := log.String()
	h.internal(httptest.NewRecorder(), r.WithContext(gone), "do something", context.Canceled)
	if log.String() != before {
		t.Error("a client that has gone is logged as an error")
	}
}

func TestAccepts(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "*/*": false, "application/json": true, "text/html, APPLICATION/JSON;q=0.5": true, "application/jsonp": false,
	} {
		if got := accepts(newRequest("GET", "/", "", "Accept", header), jsonType); got != want {
			t.Errorf("Accept %q: %v, want %v", header, got, want)
		}
	}
}
