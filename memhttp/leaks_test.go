package memhttp

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/leak"
)

func TestLeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWarden(t, memwarden.Options{})
		h := mustHandler(t, w, Options{})
		path := memoryPath + "/leaks"
		list := func(query string) (sentences []string, last int64) {
			t.Helper()
			var document struct{ Leaks []memwarden.KeptLeak }
			answer := ask(h, "GET", path+query, "", "Authorization", "")
			wantStatus(t, answer, http.StatusOK)
			decodeInto(t, answer, &document)
			for _, leak := range document.Leaks {
				sentences, last = append(sentences, leak.Sentence), leak.ID
			}
			return sentences, last
		}
		if text := strings.TrimSpace(ask(h, "GET", path, "").Body.String()); !strings.HasPrefix(text, `{"verdict":"insufficient data","checked_at":"`) ||
			!strings.HasSuffix(text, `"leaks":[]}`) || strings.Count(text, `"kind"`) != 5 {
			t.Errorf("at the beginning: %s", text)
		}
		for i := range 25 {
			if err := w.ReportLeak(t.Context(), memwarden.LeakReport{Kind: "timer", Sentence: fmt.Sprint("timer ", i)}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		newest, last := list("")
		if len(newest) != 20 || newest[0] != "timer 24" {
			t.Errorf("the first page is %q", newest)
		}
		if rest, _ := list(fmt.Sprint("?limit=100&before=", last)); len(rest) != 5 || rest[4] != "timer 0" {
			t.Errorf("the rest is %q", rest)
		}
		for _, query := range []string{"?limit=0", "?limit=101", "?before=0", "?before=x", "?after=1"} {
			wantProblem(t, ask(h, "GET", path+query, ""), http.StatusBadRequest, "query")
		}
	})
}

// TestFindingsTellWhatTheyAreMadeFrom: of each figure what it is, what of it owners account for, the load, the window and the
// limit; and what is not known is null.
func TestFindingsTellWhatTheyAreMadeFrom(t *testing.T) {
	for name, load := range map[string]float64{"known": 7, "unknown": math.NaN()} {
		synctest.Test(t, func(t *testing.T) {
			w := startWarden(t, memwarden.Options{Load: func() float64 { return load }})
			h := mustHandler(t, w, Options{})
			kept, err := bounded.NewRetention(bounded.RetentionOptions[[]byte]{Name: "kept", MaxBytes: 1 << 20, Weigh: func(b []byte) int64 { return int64(len(b)) }})
			if err == nil {
				_, err = kept.Add(make([]byte, 100<<10))
			}
			if err == nil {
				_, err = w.Register(kept)
			}
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // so that it is asked
			answer := ask(h, "POST", memoryPath+"/leaks/check", "")
			wantStatus(t, answer, http.StatusOK)
			var document struct {
				Findings []struct {
					Kind   string
					Left   *float64 `json:"time_to_limit_seconds"`
					Inputs struct {
						Value, Owned, Load, Limit *float64
						Window                    float64 `json:"window_seconds"`
					}
				}
			}
			if strings.Count(answer.Body.String(), `"time_to_limit_seconds":null`) != 5 {
				t.Errorf("%s: %s", name, answer.Body)
			}
			decodeInto(t, answer, &document)
			for _, f := range document.Findings {
				in := f.Inputs
				if in.Window != 1200 || f.Left != nil || in.Owned == nil || (in.Load != nil) != (name == "known") || in.Load != nil && *in.Load != load {
					t.Errorf("%s: %+v", name, f)
				}
				switch f.Kind {
				case "heap":
					if *in.Owned < 100<<10 || in.Value == nil || *in.Value < 1<<10 {
						t.Errorf("%s: %+v", name, f)
					}
				case "goroutines":
					if in.Value == nil || *in.Value < 2 || in.Limit != nil || *in.Owned != 0 {
						t.Errorf("%s: %+v", name, f)
					}
				}
			}
		})
	}
}

// TestTimeToLimitOfAFinding is told where it is known.
func TestTimeToLimitOfAFinding(t *testing.T) {
	f := memwarden.LeakFinding{Finding: leak.Finding{Kind: leak.Descriptors, Verdict: leak.Suspect, To: 100, PerSecond: 2}}
	f.Inputs = memwarden.LeakInputs{Value: 104, Load: math.NaN(), Window: time.Minute, Limit: 1100, TimeToLimitSeconds: 500}
	text, err := json.Marshal(newFindingDocument(f))
	if want := `"growth_per_second":2,"time_to_limit_seconds":500,"inputs":{"value":104,"owned":0,"load":null,"window_seconds":60,"limit":1100}}`; err != nil || !strings.HasSuffix(string(text), want) {
		t.Errorf("%s, %v\nwant %s", text, err, want)
	}
}

// TestDownloadsOfALeak are what evidence and actions name by an id, and nothing else.
func TestDownloadsOfALeak(t *testing.T) {
	d := newLeakDocument(memwarden.KeptLeak{LeakReport: memwarden.LeakReport{
		Evidence: []string{"no snapshot: none is allowed", "snapshot 20260102T150405Z-0000abcd", "snapshot ../../etc", "goroutineleak profile"},
		Actions:  []string{"kept evidence: incident bundle 20260102T150406Z-0000abcd", "collected"},
	}})
	want := []string{"/api/monitoring/memory/snapshots/20260102T150405Z-0000abcd/download", "/api/monitoring/memory/incidents/20260102T150406Z-0000abcd/download"}
	if !slices.Equal(d.Downloads, want) || len(d.Evidence) != 4 {
		t.Errorf("%q", d.Downloads)
	}
	if d := newLeakDocument(memwarden.KeptLeak{}); d.Downloads == nil {
		t.Error("no downloads are null")
	}
}

func TestLeaksThatCannotBeRead(t *testing.T) {
	log := &logBook{}
	w := startWarden(t, memwarden.Options{LeakReports: broken{}})
	h := mustHandler(t, w, Options{ReadsNeedToken: true, Logger: log.logger()})
	wantProblem(t, ask(h, "GET", memoryPath+"/leaks", "", "Authorization", ""), http.StatusUnauthorized, "token")
	answer := ask(h, "GET", memoryPath+"/leaks", "")
	wantProblem(t, answer, http.StatusServiceUnavailable, "cannot be read at the moment")
	if strings.Contains(answer.Body.String(), errBroken.Error()) || !strings.Contains(log.String(), errBroken.Error()) {
		t.Errorf("the answer is %s, the log %s", answer.Body, log)
	}
	if err := w.ReportLeak(context.Background(), memwarden.LeakReport{Kind: "timer", Sentence: "a timer is forgotten"}); err != nil {
		t.Errorf("a store that fails makes reporting fail: %v", err)
	}
}
