package memwarden

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/leak"
)

// found is a report as a caller gives it.
func found(n int) LeakReport {
	return LeakReport{
		Kind: "connection_held", Owner: "connection_pool", Sentence: fmt.Sprintf("connection %d is not given back", n),
		AllocStack: []string{"main.take /src/main.go:7", "main.main /src/main.go:3"},
	}
}

func leaksOf(t *testing.T, w *Warden, before int64, limit int) []KeptLeak {
	t.Helper()
	list, err := w.LeakReports(t.Context(), LeakQuery{Before: before, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestLeakReportsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "max").options()
		w := begin(t, o)
		told := subscribe(t, w)
		if list := leaksOf(t, w, 0, 10); list == nil || len(list) != 0 {
			t.Errorf("at the beginning: %+v", list)
		}
		seen := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("elsewhere", 3600))
		for n := range 3 {
			r := found(n)
			if n == 0 {
				r.FirstSeen, r.AllocStack, r.Owner = seen, nil, ""
			}
			if err := w.ReportLeak(done(), r); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		list := leaksOf(t, w, 0, 10)
		if len(list) != 3 || list[0].ID <= list[1].ID || list[1].Sentence != found(1).Sentence || len(list[0].AllocStack) != 2 ||
			!list[0].FirstSeen.Equal(time.Now()) || !list[2].FirstSeen.Equal(seen) {
			t.Fatalf("kept are %+v", list)
		}
		settled, err := w.SettleLeak(t.Context(), list[0].ID, LeakAcknowledged)
		if err != nil {
			t.Fatal(err)
		}
		var events []KeptLeak
		for _, e := range waiting(told) {
			if l, ok := e.Data.(KeptLeak); ok && e.Kind == EventLeakReport && e.At.Equal(time.Now()) {
				events = append(events, l)
			}
		}
		told.Close()
		if want := []KeptLeak{list[2], list[1], list[0], settled}; !reflect.DeepEqual(events, want) {
			t.Errorf("told are %+v\nwant %+v", events, want)
		}
		if page := leaksOf(t, w, list[1].ID, 1); len(page) != 1 || page[0].ID != list[2].ID {
			t.Errorf("the last page is %+v", page)
		}
		text, err := json.Marshal(list[2])
		if want := fmt.Sprintf(`{"id":%d,"kind":"connection_held","owner":"","sentence":"connection 0 is not given back","alloc_stack":[],`+
			`"first_seen":"2026-01-02T02:04:05Z"}`, list[2].ID); err != nil || string(text) != want {
			t.Errorf("%s\nwant %s", text, want)
		}
		usage := map[string]bounded.Usage{}
		for _, owner := range w.owners.usage(nil) {
			usage[owner.Name] = owner.Usage
		}
		if u := usage["leak_reports"]; u.Entries != 4 || u.MaxEntries != 1000 || u.MaxBytes != maxReportsBytes {
			t.Errorf("leak_reports: %+v", u)
		}
		if u := usage["leak_report_queue"]; u.Entries != 1 || u.MaxEntries != 1+leakQueue {
			t.Errorf("leak_report_queue: %+v", u)
		}
	})
}

func TestLeakReportsAreChecked(t *testing.T) {
	w := begin(t, Options{})
	for _, c := range []struct {
		change func(*LeakReport)
		want   []string
	}{
		{func(r *LeakReport) { *r = LeakReport{} }, []string{`kind ""`, `sentence ""`}},
		{func(r *LeakReport) { r.Kind = "Held" }, []string{`kind "Held"`}},
		{func(r *LeakReport) { r.Kind = "1st" }, []string{`kind "1st"`}},
		{func(r *LeakReport) { r.Kind = strings.Repeat("k", 65) }, []string{"kind"}},
		{func(r *LeakReport) { r.Owner = strings.Repeat("o", 129) }, []string{"owner"}},
		{func(r *LeakReport) { r.Owner, r.Sentence = "a\nb", "c\x00d" }, []string{"owner", "sentence"}},
		{func(r *LeakReport) { r.Sentence = " \t" }, []string{"sentence"}},
		{func(r *LeakReport) { r.Sentence = "\xff" }, []string{"sentence"}},
		{func(r *LeakReport) { r.Sentence = strings.Repeat("s", 1001) }, []string{"sentence"}},
		{func(r *LeakReport) { r.FirstSeen = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, []string{"year"}},
	} {
		r := found(1)
		c.change(&r)
		err := w.ReportLeak(t.Context(), r)
		if err == nil || len(err.Error()) > 500 {
			t.Errorf("%+v: %v", r, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v\nlacks %q", err, want)
			}
		}
	}
}

// TestLargestLeakReport is bounded, and still what it was.
func TestLargestLeakReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, Options{Root: newContainer(t, "max").root})
		r := LeakReport{Kind: strings.Repeat("k", 64), Owner: strings.Repeat(`"`, 128), Sentence: strings.Repeat(`\`, 1000)}
		for range 100 {
			r.AllocStack = append(r.AllocStack, "<&>\n\xff\u2028"+strings.Repeat(`"`, 1000))
			r.Path, r.Evidence, r.Actions = r.AllocStack, r.AllocStack, r.AllocStack
		}
		r.AllocStack[1] = strings.Repeat("x", maxLeakFrame-1) + "é"
		if err := w.ReportLeak(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		rows, err := w.o.LeakReports.List(t.Context(), 0, 1)
		if err != nil || len(rows) != 1 || len(rows[0].Value) > maxLeakBytes || len(rows[0].Value) < maxLeakBytes*3/4 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		got := leaksOf(t, w, 0, 1)[0]
		if len(got.AllocStack) != maxLeakFrames || !strings.HasPrefix(got.AllocStack[0], "<&> \u2028\"\"") || got.Sentence != r.Sentence ||
			len(got.AllocStack[0]) > maxLeakFrame || got.AllocStack[1] != strings.Repeat("x", maxLeakFrame-1) {
			t.Errorf("%.300v", got)
		}
	})
}

// slowReports wait for each report, or fail.
type slowReports struct {
	added atomic.Int64
	fail  error
	goOn  chan struct{}
	rows  []Report
}

func (s *slowReports) Add(ctx context.Context, _ []byte) (int64, error) {
	s.added.Add(1)
	select {
	case <-s.goOn:
		return 1, s.fail
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func (s *slowReports) List(context.Context, int64, int) ([]Report, error) { return s.rows, s.fail }

// TestLeakReportsHoldNobodyUp has a store that does not answer: the queue fills, further reports are refused, each that is
// given up is logged, and the warden closes in time.
func TestLeakReportsHoldNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, log := newContainer(t, "max").options()
		reports := &slowReports{goOn: make(chan struct{})}
		o.LeakReports = reports
		w, err := Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for n := range 1 + leakQueue {
			if err := w.ReportLeak(done(), found(n)); err != nil {
				t.Fatalf("report %d: %v", n, err)
			}
			synctest.Wait() // the first is on its way to the store
		}
		if err := w.ReportLeak(done(), found(0)); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "32 reports wait") {
			t.Errorf("one more than the queue holds: %v", err)
		}
		open := found(0)
		open.Case = "goes on"
		w.openLeaks.reported(open, began)
		if err := w.ReportLeak(done(), open); err == nil || !w.openLeaks.isUntold(open.Case) {
			t.Errorf("of a leak that goes on, %v; it is to be told of later: %v", err, w.openLeaks.isUntold(open.Case))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("reporting took %v", took)
		}
		if err := w.ReportLeak(t.Context(), found(99)); err != nil || time.Since(began) != storeTimeout {
			t.Errorf("who may wait for room: after %v: %v", time.Since(began), err)
		}
		if !strings.Contains(log.String(), "could not be kept") || !strings.Contains(log.String(), "connection 0 is not given back") {
			t.Errorf("the log does not have the report that was given up:\n%s", log)
		}
		closing := time.Now()
		err = w.Close(context.Background())
		if took := time.Since(closing); took > storeTimeout || err == nil || !regexp.MustCompile("3[12] leak reports are lost").MatchString(err.Error()) {
			t.Errorf("closed after %v: %v", took, err)
		}
		if err := w.ReportLeak(done(), found(0)); !errors.Is(err, bounded.ErrTopicClosed) || !strings.Contains(err.Error(), "the warden is closed") {
			t.Errorf("after the end: %v", err)
		}
	})
}

// TestLeakReportsSurviveTheirStore has one that fails, and rows that are no reports.
func TestLeakReportsSurviveTheirStore(t *testing.T) {
	o, log := newContainer(t, "max").options()
	reports := &slowReports{goOn: make(chan struct{}), fail: errDown}
	close(reports.goOn)
	o.LeakReports = reports
	w := begin(t, o)
	if err := w.ReportLeak(t.Context(), found(1)); err != nil {
		t.Error(err)
	}
	if _, err := w.LeakReports(t.Context(), LeakQuery{Limit: 1}); !errors.Is(err, errDown) {
		t.Errorf("list: %v", err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), errDown.Error()) || reports.added.Load() != 1 {
		t.Errorf("%d reports came to the store; the log:\n%s", reports.added.Load(), log)
	}
	reports.fail, reports.rows = nil, []Report{{ID: 2, Value: []byte(`{"kind":"x"}`)}, {ID: 1, Value: []byte(`no JSON`)}}
	if list := leaksOf(t, w, 0, 2); len(list) != 1 || list[0].ID != 2 || !strings.Contains(log.String(), "cannot be read and is left out") {
		t.Errorf("%+v; the log:\n%s", list, log)
	}
}

// panicking reports panic once.
type panicking struct {
	Reports
	calls atomic.Int64
}

func (p *panicking) Add(ctx context.Context, data []byte) (int64, error) {
	if p.calls.Add(1) == 1 {
		panic("the store is broken")
	}
	return p.Reports.Add(ctx, data)
}

func TestLeakReportsSurviveAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, log := newContainer(t, "max").options()
		kept, err := NewMemoryReports("kept", nil)
		if err != nil {
			t.Fatal(err)
		}
		o.LeakReports = &panicking{Reports: kept}
		w := begin(t, o)
		for n := range 2 {
			if err := w.ReportLeak(done(), found(n)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if list := leaksOf(t, w, 0, 2); len(list) != 1 || list[0].Sentence != found(1).Sentence || !strings.Contains(log.String(), "the store is broken") {
			t.Errorf("%+v; the log:\n%s", list, log)
		}
	})
}

// TestDismissedCasesAreBounded: who dismisses leak after leak, for years, takes no memory with it; what he has dismissed
// last stays quiet.
func TestDismissedCasesAreBounded(t *testing.T) {
	w := begin(t, Options{})
	for range 100 {
		if err := w.ReportLeak(t.Context(), LeakReport{Kind: "descriptors", Sentence: "somebody leaks"}); err != nil {
			t.Fatal(err)
		}
	}
	var list []KeptLeak
	for deadline := time.Now().Add(time.Minute); len(list) < 100; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of 100 reports are kept", len(list))
		}
		list = leaksOf(t, w, 0, 200)
	}
	for _, l := range list {
		if _, err := w.SettleLeak(t.Context(), l.ID, LeakDismissed); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.quietLeaks.cases); n != maxQuietCases {
		t.Errorf("%d cases are known, want %d", n, maxQuietCases)
	}
	newest, oldest := list[99].caseName(), list[0].caseName()
	if !w.quietLeaks.has(newest) || w.quietLeaks.has(oldest) {
		t.Error("want the newest quiet and the oldest forgotten")
	}
	w.quietLeaks.add(quietCase{name: newest})
	if n := len(w.quietLeaks.cases); n != maxQuietCases {
		t.Errorf("%d cases are known once one is dismissed again, want %d", n, maxQuietCases)
	}
}

// TestReportsOfCasesAreBounded: a case that is over before it was looked into is not kept beside the one that follows.
func TestReportsOfCasesAreBounded(t *testing.T) {
	w := begin(t, Options{})
	i := &investigator{w: w}
	for n := range 20 {
		f := leak.Finding{Kind: leak.Threads, Verdict: leak.Suspect, Rule: leak.Fast, Since: time.Unix(int64(n), 0), Reason: "threads rose"}
		w.cleaner.over(caseOf(f))
		i.look(t.Context(), leakCase{finding: f})
	}
	if n := len(w.cleaner.reports); n != 1 {
		t.Errorf("%d reports of one kind are held, want the newest", n)
	}
}
