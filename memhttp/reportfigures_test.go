package memhttp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/internal/frontend"
)

const pagesPath = "/api/monitoring/frontend"

// fromPage is a report of a page with a component of a name, and a leak of it.
func fromPage(page, name string, survivors int) string {
	const at = `"at":"2026-01-02T15:04:05Z"`
	return fmt.Sprintf(`{"schema":1,"release":"1.4.0","page":%q,"sent_at":"2026-01-02T15:04:05Z","items":[
		{"kind":"components",%[2]s,"components":[{"name":%[3]q,"commits":2,"mounts":1,"live":1,"timed":2,"total_ms":30,"longest_ms":20}]},
		{"kind":"figures",%[2]s,"ms":1,"heap":{"source":"engine","bytes":1000}},
		{"kind":"leak",%[2]s,"what":"component","name":%[3]q,"owners":["Shop","App"],"holders":["interval"],"released":%d,"survivors":%[4]d}]}`, page, at, name, survivors)
}

func totalsOf(t *testing.T, h http.Handler, what string, rows any) (head totalsDocument) {
	t.Helper()
	answer := ask(h, "GET", pagesPath+"/"+what, "")
	wantStatus(t, answer, http.StatusOK)
	decodeInto(t, answer, &head)
	name, _, _ := strings.Cut(what, "?")
	var document map[string]json.RawMessage
	decodeInto(t, answer, &document)
	if err := json.Unmarshal(document[name], rows); err != nil {
		t.Fatal(err)
	}
	return head
}

func TestFiguresOfPages(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	reports := newCounting(t)
	h := mustHandler(t, w, Options{ReportRateLimit: 1000, Reports: reports})
	for i := range 25 {
		for range 2 { // the second is kept once, with the first
			received(t, ask(h, "POST", pagesPath+"/reports", fromPage(fmt.Sprint("/", i%5), fmt.Sprint("Part", i), 5+i)))
		}
	}
	received(t, ask(h, "POST", reportsPath, report("of its own")))
	var components []frontend.ComponentTotals
	head := totalsOf(t, h, "components?limit=10&offset=20&sort=commits", &components)
	if head.Reports != 26 || head.Rows != 25 || !head.Complete || head.Unreadable != 0 || len(components) != 5 || components[0].Reports != 1 || components[0].Timed.MeanMS != 15 {
		t.Errorf("%+v, %+v", head, components)
	}
	if totalsOf(t, h, "components?offset=1000000", &components); len(components) != 0 {
		t.Errorf("beyond the last there are %d", len(components))
	}
	var releases []frontend.ReleaseTotals
	if totalsOf(t, h, "releases", &releases); len(releases) != 2 || releases[0].Release != "1.2.3" || releases[1].Reports != 25 || releases[1].Pages != 5 {
		t.Errorf("%+v", releases)
	}
	var leaks []frontend.LeakTotals
	if totalsOf(t, h, "leaks?limit=1", &leaks); len(leaks) != 1 || leaks[0].Name != "Part24" || leaks[0].Survivors != 29 {
		t.Errorf("%+v", leaks)
	}
	if head := totalsOf(t, h, "leaks?name=Part3&release=1.4.0", &leaks); head.Rows != 1 || totalsOf(t, h, "leaks?release=", &leaks).Rows != 0 {
		t.Errorf("%+v", head)
	}
	for _, what := range []string{"components", "releases", "leaks"} {
		wantProblem(t, ask(h, "GET", pagesPath+"/"+what, "", "Authorization", ""), http.StatusUnauthorized, "token")
		for _, query := range []string{"limit=0", "limit=101", "offset=-1", "before=1"} {
			wantProblem(t, ask(h, "GET", pagesPath+"/"+what+"?"+query, ""), http.StatusBadRequest, "query")
		}
	}
	wantProblem(t, ask(h, "GET", pagesPath+"/components?sort=beauty", ""), http.StatusBadRequest, "mean_ms")

	// Another handler of the same reports, as after a restart, answers the same; and each learns of what the other keeps.
	other := mustHandler(t, startWarden(t, memwarden.Options{}), Options{ReportRateLimit: 1000, Reports: reports})
	var again []frontend.LeakTotals
	if a, b := totalsOf(t, h, "leaks", &leaks), totalsOf(t, other, "leaks", &again); a != b || fmt.Sprint(leaks) != fmt.Sprint(again) {
		t.Errorf("one says %+v, the other %+v", a, b)
	}
	received(t, ask(other, "POST", reportsPath, fromPage("/", "Late", 500)))
	received(t, ask(h, "POST", reportsPath, fromPage("/", "Later", 400)))
	for _, one := range []http.Handler{h, other} {
		if head := totalsOf(t, one, "leaks?limit=2", &leaks); head.Reports != 28 || leaks[0].Name != "Late" || leaks[1].Name != "Later" {
			t.Errorf("%+v, %+v", head, leaks)
		}
	}
}

// TestFiguresAreBounded: what has no room is left out, which is told; under pressure all of it goes, and comes again.
func TestFiguresAreBounded(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	h := mustHandler(t, w, Options{ReportRateLimit: 1000, ReportsMaxCount: 10})
	for i := range 25 {
		received(t, ask(h, "POST", reportsPath, fromPage("/", fmt.Sprint("Part", i), 5)))
		if i%7 == 0 {
			totalsOf(t, h, "releases", &[]frontend.ReleaseTotals{})
		}
	}
	var rows []frontend.ComponentTotals
	look := func() {
		t.Helper()
		if head := totalsOf(t, h, "components?limit=100", &rows); head.Reports != 10 || head.Complete || len(rows) != 10 {
			t.Errorf("%+v, %d rows", head, len(rows))
		}
	}
	look()
	usage := h.figures.Usage()
	if usage.Entries != 10 || usage.MaxEntries != 10 || usage.Bytes < 1000 || usage.Bytes > usage.MaxBytes || usage.PeakEntries != 10 {
		t.Errorf("%+v", usage)
	}
	if freed := h.figures.Shrink(t.Context(), 1); freed != usage.Bytes || h.figures.Usage().Bytes != 0 {
		t.Errorf("%d bytes are freed of %d", freed, usage.Bytes)
	}
	look()
	h.figures.turn <- struct{}{} // somebody reads
	if freed := h.figures.Shrink(t.Context(), 1); freed != 0 {
		t.Errorf("%d bytes are taken from who reads", freed)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, _, err := h.figures.read(gone); err == nil {
		t.Error("who has gone waits for his turn")
	}
	<-h.figures.turn
}

// TestFiguresThatCannotBeRead: reports of an earlier version, and a store that fails for a while.
func TestFiguresThatCannotBeRead(t *testing.T) {
	log := &logBook{}
	reports := &flaky{Reports: newCounting(t)}
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{ReportRateLimit: 1000, Reports: reports, Logger: log.logger()})
	for i := range 120 { // some pages of the list
		received(t, ask(h, "POST", reportsPath, fromPage("/", fmt.Sprint("Part", i), 5)))
	}
	if _, err := reports.Add(t.Context(), []byte(`{"schema":1,"items":[{"kind":"components"}]}`)); err != nil {
		t.Fatal(err)
	}
	for failing := range 3 {
		reports.failAt(failing)
		answer := ask(h, "GET", pagesPath+"/components", "")
		wantProblem(t, answer, http.StatusServiceUnavailable, "cannot be read")
		if strings.Contains(answer.Body.String(), errBroken.Error()) || !strings.Contains(log.String(), errBroken.Error()) {
			t.Errorf("the answer is %s, the log %s", answer.Body, log)
		}
	}
	reports.failAt(-1)
	var rows []frontend.ComponentTotals
	if head := totalsOf(t, h, "components", &rows); head.Reports != 120 || head.Unreadable != 1 || head.Rows != 120 {
		t.Errorf("%+v", head)
	}
}

// flaky are reports whose list fails at one of the next pages.
type flaky struct {
	Reports
	mu   sync.Mutex
	left int
}

func (f *flaky) failAt(page int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = page
}

func (f *flaky) List(ctx context.Context, before int64, limit int) ([]Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left == -1 {
		return nil, errBroken
	}
	return f.Reports.List(ctx, before, limit)
}

// TestLeaksInPagesStandOnTheList, without a word to anybody, and are quiet once they were dismissed.
func TestLeaksInPagesStandOnTheList(t *testing.T) { synctest.Test(t, testLeaksInPages) }

func testLeaksInPages(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	h := mustHandler(t, w, Options{ReportRateLimit: 1e6})
	events := subscribe(t, w)
	defer events.Close()
	list := func(query string) (document struct {
		Verdict string
		Leaks   []leakDocument
	}) {
		t.Helper()
		answer := ask(h, "GET", memoryPath+"/leaks"+query, "", "Authorization", "")
		wantStatus(t, answer, http.StatusOK)
		decodeInto(t, answer, &document)
		return document
	}
	before := list("").Verdict
	send := func(name string, survivors int) {
		t.Helper()
		received(t, ask(h, "POST", reportsPath, fromPage("/", name, survivors)))
	}
	send("Cart\t", 5)
	send("Cart\t", 9)  // not twice as many
	send("Cart\t", 50) // too soon
	send("Row", 7)
	got := list("?browser=true")
	if len(got.Leaks) != 2 || got.Verdict != before {
		t.Fatalf("%+v", got)
	}
	cart := got.Leaks[1]
	if cart.Kind != memwarden.KindBrowser || cart.Status != reported || cart.Type != "Cart " || fmt.Sprint(cart.Path) != "[App Shop Cart ]" || cart.Signature != "browser component Cart " ||
		cart.Sentence != `In a page of release "1.4.0" 5 of 5 components "Cart " that were released are still there` {
		t.Errorf("%+v", cart)
	}
	if got := list("?browser=false"); len(got.Leaks) != 0 {
		t.Errorf("%+v", got)
	}
	wantProblem(t, ask(h, "GET", memoryPath+"/leaks?browser=perhaps", ""), http.StatusBadRequest, "true or false")
	if err := w.ReportLeak(t.Context(), memwarden.LeakReport{Kind: memwarden.KindBrowser, Sentence: "not of a page"}); err == nil {
		t.Error("a part of the program reports what is a page's")
	}
	wantStatus(t, ask(h, "POST", fmt.Sprintf("%s/leaks/%d/dismiss", memoryPath, cart.ID), ""), http.StatusOK)
	wantStatus(t, ask(h, "POST", fmt.Sprintf("%s/leaks/%d/acknowledge", memoryPath, got.Leaks[0].ID), ""), http.StatusOK)
	h.toldLeaks.told = nil // as after a restart
	send("Cart\t", 500)
	send("Row", 70)
	got = list("?browser=true")
	if len(got.Leaks) != 2 || got.Leaks[0].Type != "Row" || got.Leaks[0].Status != memwarden.LeakAcknowledged || !strings.Contains(got.Leaks[0].Sentence, "70 of 70") ||
		got.Leaks[1].Status != memwarden.LeakDismissed {
		t.Errorf("%+v", got)
	}
	told := 0
	for more := true; more; {
		synctest.Wait()
		select {
		case e := <-events.Events:
			if e.Kind == memwarden.EventLeakReport {
				told++
			}
		default:
			more = false
		}
	}
	if told != 2 { // what the administrator has done
		t.Errorf("%d events tell of leaks in pages, want 2", told)
	}
}

// TestToldLeaksAreBounded: a flood of names is cut off until those before are a day old.
func TestToldLeaksAreBounded(t *testing.T) {
	var told toldLeaks
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	all, said := 0, 0
	for i := range 10 * maxToldLeaks {
		due, full := told.due(fmt.Sprint(i), 5, now.Add(time.Duration(i)*time.Second))
		if due {
			all++
		}
		if full {
			said++
		}
	}
	if all != maxToldLeaks || len(told.told) != maxToldLeaks || said != 1 {
		t.Errorf("%d are told, %d known, want %d; %d times it is said that there is no room, want once", all, len(told.told), maxToldLeaks, said)
	}
	for _, c := range []struct {
		after     time.Duration
		survivors int64
		want      bool
	}{{time.Minute, 100, false}, {time.Hour, 9, false}, {time.Hour, 10, true}, {25 * time.Hour, 7, true}, {26 * time.Hour, 13, false}} {
		if got, full := told.due("7", c.survivors, now.Add(c.after)); got != c.want || full {
			t.Errorf("after %v, with %d: %v, want %v; no room: %v", c.after, c.survivors, got, c.want, full)
		}
	}
	if due, full := told.due("new", 5, now.Add(25*time.Hour)); !due || full || len(told.told) != 2 {
		t.Errorf("a day later %d are known, want 2; due: %v, no room: %v", len(told.told), due, full)
	}
}

// TestTheLogSaysWhichLeaksAreLeftOut: where the list has no room, it says so once, and the report is kept all the same.
func TestTheLogSaysWhichLeaksAreLeftOut(t *testing.T) {
	log := &logBook{}
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{ReportRateLimit: 1000, Logger: log.logger()})
	for i := range maxToldLeaks {
		h.toldLeaks.due(fmt.Sprint(i), 5, time.Now())
	}
	for page := range 3 {
		received(t, ask(h, "POST", reportsPath, fromPage(fmt.Sprintf("/%d", page), "Cart", 5)))
	}
	if got := strings.Count(log.String(), "not put on the list of leaks any more"); got != 1 {
		t.Errorf("said %d times, want once: %s", got, log)
	}
}

// TestLeaksInPagesHoldNothingUp: that one cannot be put on the list is the log's business.
func TestLeaksInPagesHoldNothingUp(t *testing.T) {
	log := &logBook{}
	w := startWarden(t, memwarden.Options{LeakReports: broken{}, BrowserLeaks: broken{}})
	h := mustHandler(t, w, Options{ReportRateLimit: 1000, Logger: log.logger()})
	for tries := range 2 { // the first is not taken for one that stands there
		received(t, ask(h, "POST", reportsPath, fromPage(fmt.Sprintf("/%d", tries), "Cart", 5)))
		if got := strings.Count(log.String(), "could not be put on the list"); got != tries+1 {
			t.Errorf("after %d reports the log is %s", tries+1, log)
		}
	}
}
