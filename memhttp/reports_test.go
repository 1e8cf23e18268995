package memhttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/shutdown"
)

const reportsPath = "/api/monitoring/frontend/reports"

// report is one that is taken, with an item of a text.
func report(text string) string {
	return fmt.Sprintf(`{"schema": 1, "release": "1.2.3", "page": "/cart", "sent_at": "2026-01-02T15:04:05Z",
		"items": [{"kind": "error", "at": "2026-01-02T15:04:04.5Z", "message": %q, "deep": {"er": [1, null]}}]}`, text)
}

func TestReports(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	h := mustHandler(t, w, Options{ReportRateLimit: 1000, ReadsNeedToken: true})
	var ids []int64
	for i, contentType := range []string{"application/json", "text/plain;charset=UTF-8", "text/plain"} {
		answer := ask(h, "POST", reportsPath, report(fmt.Sprint("report ", i)), "Content-Type", contentType, "Authorization", "")
		var received struct{ ID int64 }
		if err := json.Unmarshal(answer.Body.Bytes(), &received); err != nil || answer.Code != http.StatusCreated || received.ID < 1 {
			t.Fatalf("%d: %s", answer.Code, answer.Body)
		}
		ids = append(ids, received.ID)
	}
	list := func(query string) (got []string) {
		t.Helper()
		answer := ask(h, "GET", reportsPath+query, "")
		var document struct {
			Reports []struct {
				ID     int64
				Report struct {
					Release string
					Items   []struct{ Message string }
				}
			}
		}
		if err := json.Unmarshal(answer.Body.Bytes(), &document); err != nil || answer.Code != http.StatusOK {
			t.Fatalf("%d, %v: %s", answer.Code, err, answer.Body)
		}
		for _, one := range document.Reports {
			got = append(got, one.Report.Items[0].Message)
		}
		return got
	}
	for query, want := range map[string]string{
		"": "[report 2 report 1 report 0]", "?limit=1": "[report 2]", fmt.Sprint("?before=", ids[2], "&limit=1"): "[report 1]",
		fmt.Sprint("?before=", ids[0]): "[]",
	} {
		if got := fmt.Sprint(list(query)); got != want {
			t.Errorf("list%s: %s, want %s", query, got, want)
		}
	}
	wantProblem(t, ask(h, "GET", reportsPath, "", "Authorization", ""), http.StatusUnauthorized, "token")
	for _, query := range []string{"?limit=0", "?limit=101", "?before=0", "?before=x"} {
		wantProblem(t, ask(h, "GET", reportsPath+query, ""), http.StatusBadRequest, "query")
	}
	for _, o := range w.State().Owners {
		if o.Name == "reports" && o.Usage.Entries > o.Usage.MaxEntries {
			t.Errorf("%+v", o)
		}
	}
}

func TestReportsThatAreNone(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{ReportRateLimit: 1000})
	item := `{"kind":"error","at":"2026-01-02T15:04:05Z"}`
	whole := func(items string) string {
		return `{"schema":1,"sent_at":"2026-01-02T15:04:05Z","items":[` + items + `]}`
	}
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{"", http.StatusBadRequest, "it is empty"},
		{"{", http.StatusBadRequest, "the body cannot be read"},
		{whole(item) + "1", http.StatusBadRequest, "something follows"},
		{`{"schema":1,"cookie":"x"}`, http.StatusBadRequest, `unknown field "cookie"`},
		{"{\"page\":\"\xff\"}", http.StatusBadRequest, "UTF-8"},
		{`{"schema":"1"}`, http.StatusBadRequest, "schema cannot be a JSON string"},
		{`{}`, http.StatusUnprocessableEntity, "schema: want 1"},
		{`{"schema":1,"items":[` + item + `]}`, http.StatusUnprocessableEntity, "sent_at: missing"},
		{whole(""), http.StatusUnprocessableEntity, "items: want 1 to 1000"},
		{whole(strings.Repeat(item+",", 1000) + item), http.StatusUnprocessableEntity, "items: want 1 to 1000"},
		{whole("1"), http.StatusUnprocessableEntity, "items[0]: want an object"},
		{whole("null"), http.StatusUnprocessableEntity, "items[0]: want an object"},
		{whole(`{"kind":"error"}`), http.StatusUnprocessableEntity, "items[0].at: missing"},
		{whole(`{"at":"2026-01-02T15:04:05Z"}`), http.StatusUnprocessableEntity, "items[0].kind: want"},
		{whole(`{"kind":"error","at":"yesterday"}`), http.StatusUnprocessableEntity, "items[0]: "},
		{`{"schema":1,"page":"` + strings.Repeat("x", 2049) + `"}`, http.StatusUnprocessableEntity, "page: want at most 2048"},
		{whole(`{"kind":"` + strings.Repeat("x", 65) + `","at":"2026-01-02T15:04:05Z"}`), http.StatusUnprocessableEntity, "kind"},
		{whole(item + `,{"text":"` + strings.Repeat("x", 64<<10) + `"}`), http.StatusRequestEntityTooLarge, "65536"},
	} {
		wantProblem(t, ask(h, "POST", reportsPath, c.body, "Content-Type", "text/plain"), c.status, c.want)
	}
	many := whole(strings.Repeat("1,", 500) + "1")
	var problem Problem
	if err := json.Unmarshal(ask(h, "POST", reportsPath, many).Body.Bytes(), &problem); err != nil || len(problem.Errors) != 20 {
		t.Errorf("%d mistakes are told of 501, %v: want 20", len(problem.Errors), err)
	}
	wantProblem(t, ask(h, "POST", reportsPath, whole(item), "Content-Type", "text/html"), http.StatusUnsupportedMediaType, "application/json or text/plain")
}

// counting are reports in memory that can be told to fail, or to wait for a moment.
type counting struct {
	Reports
	added, fails atomic.Int64
	began        chan struct{} // if not nil, has room
	goOn         chan struct{} // if not nil, waited for
}

func (c *counting) Add(ctx context.Context, data []byte) (int64, error) {
	c.added.Add(1)
	if c.began != nil {
		c.began <- struct{}{}
	}
	if c.goOn != nil {
		select {
		case <-c.goOn:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	if c.fails.Add(-1) >= 0 {
		return 0, errBroken
	}
	return c.Reports.Add(ctx, data)
}

func newCounting(t *testing.T) *counting {
	t.Helper()
	kept, err := memwarden.NewMemoryReports("kept", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &counting{Reports: kept}
}

func received(t *testing.T, answer *httptest.ResponseRecorder) int64 {
	t.Helper()
	wantStatus(t, answer, http.StatusCreated)
	var document receivedDocument
	decodeInto(t, answer, &document)
	return document.ID
}

// TestReportIsKeptOnce sends a report again: at once, with other white space, after an error, and after ten minutes.
func TestReportIsKeptOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reports := newCounting(t)
		reports.fails.Store(1)
		h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{ReportRateLimit: 1000, Reports: reports})
		wantProblem(t, ask(h, "POST", reportsPath, report("x")), http.StatusServiceUnavailable, "could not be stored")
		first := received(t, ask(h, "POST", reportsPath, report("x")))
		for _, again := range []string{report("x"), strings.ReplaceAll(report("x"), "\n", " \t")} {
			if id := received(t, ask(h, "POST", reportsPath, again)); id != first {
				t.Errorf("the report %d is kept again as %d", first, id)
			}
		}
		if id := received(t, ask(h, "POST", reportsPath, report("y"))); id == first {
			t.Errorf("another report has the number %d too", id)
		}
		time.Sleep(9 * time.Minute)
		if id := received(t, ask(h, "POST", reportsPath, report("x"))); id != first || reports.added.Load() != 3 {
			t.Errorf("the report is %d, want %d; there were %d tries, want 3", id, first, reports.added.Load())
		}
		time.Sleep(2 * time.Minute)
		if id := received(t, ask(h, "POST", reportsPath, report("x"))); id == first {
			t.Error("a report is remembered for more than ten minutes")
		}
	})
}

// TestReportsAtOnce: of those who send the same report at the same time each is told the one number that it gets, and
// that it gets one does not depend on who still waits for it.
func TestReportsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reports := newCounting(t)
		reports.began, reports.goOn = make(chan struct{}, 10), make(chan struct{})
		h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{ReportRateLimit: 1000, Reports: reports})
		ids := make(chan int64, 5)
		for range cap(ids) {
			go func() { ids <- received(t, ask(h, "POST", reportsPath, report("x"))) }()
		}
		gone, leave := context.WithCancel(t.Context())
		go h.ServeHTTP(httptest.NewRecorder(), newRequest("POST", reportsPath, report("left")).WithContext(gone))
		synctest.Wait()
		leave()
		synctest.Wait()
		close(reports.goOn)
		first := <-ids
		for range cap(ids) - 1 {
			if id := <-ids; id != first {
				t.Errorf("one report is both %d and %d", first, id)
			}
		}
		if got := received(t, ask(h, "POST", reportsPath, report("left"))); reports.added.Load() != 2 || len(reports.began) != 2 {
			t.Errorf("%d reports were added, want 2; the one whose page was left is %d", reports.added.Load(), got)
		}
	})
}

// TestReportStoreThatHangs is given up after a time, and when the handler's memory of reports is closed.
func TestReportStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reports := newCounting(t)
		reports.goOn = make(chan struct{})
		w := startWarden(t, memwarden.Options{})
		h := mustHandler(t, w, Options{ReportRateLimit: 1000, Reports: reports})
		began := time.Now()
		wantProblem(t, ask(h, "POST", reportsPath, report("x")), http.StatusServiceUnavailable, "could not be stored")
		if took := time.Since(began); took != reportTimeout {
			t.Errorf("given up after %v", took)
		}
		answered := make(chan time.Duration, 1)
		go func() {
			wantProblem(t, ask(h, "POST", reportsPath, report("y")), http.StatusServiceUnavailable, "could not be stored")
			answered <- time.Since(began)
		}()
		synctest.Wait()
		if report := w.Shutdown().Run(context.Background(), "test"); report.ExitCode() != shutdown.ExitClean {
			t.Error(report.Err())
		}
		if took := <-answered; took >= 2*reportTimeout {
			t.Errorf("the shutdown left a report waiting until %v", took)
		}
	})
}

func TestReportsAreLimited(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{ReportRateLimit: 0.01})
	for i := range 2 { // one that is known counts too
		answer := ask(h, "POST", reportsPath, report("x"))
		if answer.Header().Get("RateLimit-Limit") != "1" {
			t.Errorf("limit %q", answer.Header().Get("RateLimit-Limit"))
		}
		if want := []int{http.StatusCreated, http.StatusTooManyRequests}[i]; answer.Code != want {
			t.Errorf("request %d: %d, want %d: %s", i, answer.Code, want, answer.Body)
		}
	}
}

// broken are reports that cannot be kept.
type broken struct{}

var errBroken = errors.New("the disk has gone")

func (broken) Add(context.Context, []byte) (int64, error)         { return 0, errBroken }
func (broken) List(context.Context, int64, int) ([]Report, error) { return nil, errBroken }

func TestReportsThatCannotBeKept(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{Reports: broken{}})
	answer := ask(h, "POST", reportsPath, report("x"))
	wantProblem(t, answer, http.StatusServiceUnavailable, "could not be stored")
	if strings.Contains(answer.Body.String(), errBroken.Error()) {
		t.Errorf("the answer tells why: %s", answer.Body)
	}
	wantProblem(t, ask(h, "GET", reportsPath, ""), http.StatusServiceUnavailable, "cannot be read")
}
