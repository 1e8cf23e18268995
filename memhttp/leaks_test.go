package memhttp

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
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

// finding is of the document of a check what these tests look at.
type finding struct {
	Kind   string
	Left   *float64 `json:"time_to_limit_seconds"`
	Inputs struct {
		Value, Owned, Load, Limit *float64
		Window                    float64 `json:"window_seconds"`
	}
}

// check has leaks looked for, a minute after what was done before, and returns what was found with the whole answer.
func check(t *testing.T, h http.Handler) (findings []finding, text string) {
	t.Helper()
	time.Sleep(time.Minute) // so that owners are asked
	answer := ask(h, "POST", memoryPath+"/leaks/check", "")
	wantStatus(t, answer, http.StatusOK)
	text = answer.Body.String()
	var document struct{ Findings []finding }
	decodeInto(t, answer, &document)
	if len(document.Findings) == 0 {
		t.Fatalf("no findings: %s", text)
	}
	return document.Findings, text
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
			findings, text := check(t, h)
			if strings.Count(text, `"time_to_limit_seconds":null`) != 5 {
				t.Errorf("%s: %s", name, text)
			}
			for _, f := range findings {
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

// liar is an owner that claims more than there is.
type liar struct{}

func (liar) Name() string { return "liar" }

func (liar) Usage() bounded.Usage { return bounded.Usage{Bytes: math.MaxInt64} }

func (liar) Shrink(context.Context, int64) int64 { return 0 }

// TestRoomOfRequestsIsNotTakenOffTheHeap: what is kept free for requests is more than what they hold, and says nothing of it.
func TestRoomOfRequestsIsNotTakenOffTheHeap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWarden(t, memwarden.Options{})
		h := mustHandler(t, w, Options{})
		requests := mustAdmission(t, AdmissionOptions{MaxBytes: 1 << 30, MaxBodyBytes: 1 << 29})
		if _, err := w.Register(requests); err != nil {
			t.Fatal(err)
		}
		defer hold(t, requests, RequestClass{}, 1<<29).release()
		findings, text := check(t, h)
		for _, f := range findings {
			if f.Inputs.Owned == nil || *f.Inputs.Owned > 1<<20 {
				t.Errorf("%s: %s", f.Kind, text)
			}
		}
	})
}

// TestOwnersThatLieAccountForNothing: what they account for is null, not 0 as without owners, and the heap is what is live.
func TestOwnersThatLieAccountForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWarden(t, memwarden.Options{})
		h := mustHandler(t, w, Options{})
		for _, lies := range []bool{false, true} {
			if lies {
				if _, err := w.Register(liar{}); err != nil {
					t.Fatal(err)
				}
			}
			findings, _ := check(t, h)
			for _, f := range findings {
				if null := f.Inputs.Owned == nil; null != (lies && f.Kind == "heap") || !null && *f.Inputs.Owned > 1<<20 {
					t.Errorf("lies %v: %+v", lies, f)
				}
				if f.Kind == "heap" && (f.Inputs.Value == nil || *f.Inputs.Value < 100<<10) {
					t.Errorf("lies %v: %+v", lies, f)
				}
			}
		}
	})
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
	var list answered
	decodeInto(t, answer, &list)
	if list.Verdict != "insufficient data" || list.Leaks == nil || len(list.Leaks) != 0 || !strings.Contains(list.Incomplete, "cannot be read at the moment") {
		t.Errorf("%s", answer.Body)
	}
	for _, more := range []string{"?before=7", "?browser=true"} { // of which the process knows nothing itself
		wantProblem(t, ask(h, "GET", memoryPath+"/leaks"+more, ""), http.StatusServiceUnavailable, "cannot be read at the moment; the log says why")
	}
	if strings.Contains(answer.Body.String(), errBroken.Error()) || !strings.Contains(log.String(), errBroken.Error()) {
		t.Errorf("the answer is %s, the log %s", answer.Body, log)
	}
	if err := w.ReportLeak(context.Background(), memwarden.LeakReport{Kind: "timer", Sentence: "a timer is forgotten"}); err != nil {
		t.Errorf("a store that fails makes reporting fail: %v", err)
	}
}

// answered is what a list of leaks is answered with.
type answered struct {
	Verdict, Incomplete string
	Leaks               []memwarden.KeptLeak
}

// suspicious reports whether it has one leak, and a verdict of one, without what is kept.
func (a answered) suspicious() bool {
	return len(a.Leaks) == 1 && (a.Verdict == "suspect" || a.Verdict == "confirmed") && strings.Contains(a.Incomplete, "cannot be read at the moment")
}

// failing keeps reports until it fails or hangs.
type failing struct {
	memwarden.MemoryReports

	fails, hangs atomic.Bool
}

func (f *failing) Add(ctx context.Context, data []byte) (int64, error) {
	if err := f.fail(ctx); err != nil {
		return 0, err
	}
	return f.MemoryReports.Add(ctx, data)
}

func (f *failing) List(ctx context.Context, before int64, limit int) ([]memwarden.Report, error) {
	if err := f.fail(ctx); err != nil {
		return nil, err
	}
	return f.MemoryReports.List(ctx, before, limit)
}

func (f *failing) fail(ctx context.Context) error {
	if f.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.fails.Load() {
		return errBroken
	}
	return nil
}

// TestLeaksWithoutTheStore: where it fails or hangs, the answer is the verdict and the leaks that go on, with figures of now.
func TestLeaksWithoutTheStore(t *testing.T) {
	for name, atFirst := range map[string]bool{"a store that fails later": true, "a store that never worked": false} {
		synctest.Test(t, func(t *testing.T) {
			reports, err := memwarden.NewMemoryReports("kept", nil)
			if err != nil {
				t.Fatal(err)
			}
			store := &failing{MemoryReports: reports}
			store.fails.Store(!atFirst)
			c := memwarden.DefaultConfig()
			c.Leaks.WindowSeconds = 20
			h := mustHandler(t, startWarden(t, memwarden.Options{Config: &c, LeakReports: store}), Options{})
			release := make(chan struct{})
			t.Cleanup(func() {
				close(release)
				store.fails.Store(false)
				store.hangs.Store(false)
			})
			leaking := func(seconds int) {
				for range 20 * seconds {
					go func() { <-release }()
					time.Sleep(time.Second / 20)
				}
				synctest.Wait()
			}
			leaking(70)
			var before, now answered
			decodeInto(t, ask(h, "GET", memoryPath+"/leaks", ""), &before)
			if len(before.Leaks) != 1 || (before.Leaks[0].ID > 0) != atFirst || (before.Incomplete == "") != atFirst {
				t.Fatalf("%s: at first there is %+v", name, before)
			}
			store.fails.Store(true)
			leaking(10)
			decodeInto(t, ask(h, "GET", memoryPath+"/leaks?browser=false", ""), &now)
			if !now.suspicious() {
				t.Fatalf("%s: there is %+v", name, now)
			}
			if l, was := now.Leaks[0], before.Leaks[0]; l.ID != was.ID || l.Kind != "goroutines" || !l.LastSeen.After(was.LastSeen) || l.Sentence == was.Sentence {
				t.Errorf("%s: %+v has become %+v", name, was, l)
			}
			decodeInto(t, ask(h, "POST", memoryPath+"/leaks/check", ""), &now)
			if !now.suspicious() {
				t.Errorf("%s: after a check there is %+v", name, now)
			}
			store.hangs.Store(true)
			began := time.Now()
			decodeInto(t, ask(h, "GET", memoryPath+"/leaks", ""), &now)
			if took := time.Since(began); !now.suspicious() || took > reportsPatience {
				t.Errorf("%s: while it hangs there is, after %v, %+v", name, took, now)
			}
			if !atFirst {
				return
			}
			store.hangs.Store(false)
			store.fails.Store(false)
			wantStatus(t, ask(h, "POST", fmt.Sprintf("%s/leaks/%d/dismiss", memoryPath, now.Leaks[0].ID), ""), http.StatusOK)
			store.fails.Store(true)
			leaking(5)
			decodeInto(t, ask(h, "GET", memoryPath+"/leaks", ""), &now)
			if len(now.Leaks) != 0 || now.Incomplete == "" || now.Verdict == "suspect" || now.Verdict == "confirmed" {
				t.Errorf("what was dismissed is answered as %+v", now)
			}
		})
	}
}

// leaksNow is what is thought of goroutines, and when it was looked.
type leaksNow struct {
	CheckedAt time.Time `json:"checked_at"`
	Findings  []struct {
		Kind, Verdict string
		Inputs        struct {
			Window float64 `json:"window_seconds"`
		}
	}
}

// goroutines are the verdict about them and the window that it is of.
func (l leaksNow) goroutines() (verdict string, window float64) {
	for _, f := range l.Findings {
		if f.Kind == "goroutines" {
			return f.Verdict, f.Inputs.Window
		}
	}
	return "", 0
}

// TestLeaksAreJudgedByThePatchedConfiguration: its window, its interval and its least rise take effect at once.
func TestLeaksAreJudgedByThePatchedConfiguration(t *testing.T) {
	// begun leaks goroutines, first so many and then some each second, for some time, and returns what is asked by h then.
	begun := func(t *testing.T, leaks memwarden.LeakConfig, first, perSecond int) (h http.Handler, run func(seconds int) leaksNow) {
		t.Helper()
		c := memwarden.DefaultConfig()
		c.Leaks = leaks
		h = mustHandler(t, startWarden(t, memwarden.Options{Config: &c}), Options{})
		release := make(chan struct{})
		t.Cleanup(func() { close(release) })
		grow := func(n int) {
			for range n {
				go func() { <-release }()
			}
		}
		grow(first)
		return h, func(seconds int) (now leaksNow) {
			for range seconds {
				time.Sleep(time.Second)
				grow(perSecond)
			}
			synctest.Wait()
			decodeInto(t, ask(h, "GET", memoryPath+"/leaks", ""), &now)
			return now
		}
	}
	patch := func(t *testing.T, h http.Handler, leaks string) {
		t.Helper()
		wantStatus(t, ask(h, "PATCH", configPath, `{"leaks":`+leaks+`}`), http.StatusOK)
	}
	standard := memwarden.DefaultConfig().Leaks

	for _, patched := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h, run := begun(t, standard, 0, 20)
			verdict, window := run(10).goroutines()
			if verdict != "insufficient data" || window != 1200 {
				t.Errorf("before any patch it is %s in %v s", verdict, window)
			}
			want, length := verdict, window
			if patched {
				patch(t, h, `{"window_seconds":20}`)
				want, length = "suspect", 20
			}
			if verdict, window = run(55).goroutines(); verdict != want && (verdict != "confirmed" || !patched) || window != length {
				t.Errorf("patched %v: it is %s in %v s, want %s in %v s", patched, verdict, window, want, length)
			}
		})
	}

	synctest.Test(t, func(t *testing.T) {
		h, run := begun(t, standard, 0, 0)
		looks := func() (n int) { // in half a minute
			for last, second := run(1).CheckedAt, 0; second < 30; second++ {
				if now := run(1).CheckedAt; !now.Equal(last) {
					last = now
					n++
				}
			}
			return n
		}
		if n := looks(); n != 6 {
			t.Errorf("in half a minute it is looked %d times, want 6", n)
		}
		patch(t, h, `{"interval_seconds":2}`)
		run(5)
		if n := looks(); n != 15 {
			t.Errorf("after the patch it is looked %d times in half a minute, want 15", n)
		}
	})

	synctest.Test(t, func(t *testing.T) {
		leaks := standard
		leaks.WindowSeconds, leaks.MinRiseRatio = 60, 1
		h, run := begun(t, leaks, 500, 5)
		if verdict, _ := run(150).goroutines(); verdict == "suspect" || verdict == "confirmed" {
			t.Errorf("what grows by half of what was there is %s", verdict)
		}
		patch(t, h, `{"min_rise_ratio":0.05}`)
		if verdict, window := run(20).goroutines(); verdict != "suspect" || window != 60 {
			t.Errorf("after the patch it is %s in %v s, want suspect in 60 s: what was seen is kept", verdict, window)
		}
	})
}
