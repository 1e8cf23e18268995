package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/memwarden/memwarden/internal/pgtest"
	"github.com/memwarden/memwarden/internal/redistest"
)

const frontend = "/api/monitoring/frontend/reports"

// trySend sends a report with a text in it and returns its number.
func (r *running) trySend(text string) (int64, error) {
	const at = "2026-01-02T15:04:05Z"
	body := fmt.Sprintf(`{"schema":1,"page":%q,"sent_at":%q,"items":[{"kind":"error","at":%q}]}`, text, at, at)
	response, err := r.client.Post(r.url+frontend, "text/plain", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var received struct{ ID int64 }
	if err := json.NewDecoder(response.Body).Decode(&received); err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusCreated || received.ID < 1 {
		return 0, fmt.Errorf("%s: %s, number %d", text, response.Status, received.ID)
	}
	return received.ID, nil
}

// sendReport sends a report that must be taken.
func (r *running) sendReport(t *testing.T, text string) int64 {
	t.Helper()
	id, err := r.trySend(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// pages are those of the reports that are kept, newest first.
func (r *running) pages(t *testing.T) (list []string) {
	t.Helper()
	var document struct {
		Reports []struct{ Report struct{ Page string } }
	}
	if err := json.Unmarshal(r.send(t, http.StatusOK, http.MethodGet, frontend, ""), &document); err != nil {
		t.Fatal(err)
	}
	for _, one := range document.Reports {
		list = append(list, one.Report.Page)
	}
	return list
}

// atOnce sends a report several times at the same time, each of which must get the same number.
func (r *running) atOnce(t *testing.T, text string) int64 {
	t.Helper()
	var ids [8]int64
	var group sync.WaitGroup
	for i := range ids {
		group.Go(func() {
			var err error
			if ids[i], err = r.trySend(text); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("%s has the numbers %v", text, ids)
			break
		}
	}
	return ids[0]
}

// TestReportsOfTwoInstances: two instances with one database and one Redis keep a report once, whichever of them it comes
// to. When Redis is gone each remembers for itself, and nobody waits; when it is back they share again.
func TestReportsOfTwoInstances(t *testing.T) {
	shared := redistest.Start(t)
	settings := map[string]string{
		"REDIS_URL": shared.URL(), "DATABASE_URL": pgtest.Start(t).NewDatabase(t), "REPORT_RATE_LIMIT": "1000",
	}
	one, two := start(t, settings), start(t, settings)
	first := one.sendReport(t, "first")
	if id := two.sendReport(t, "first"); id != first {
		t.Errorf("the report %d is %d to the other instance", first, id)
	}
	if id := two.atOnce(t, "many"); one.sendReport(t, "many") != id {
		t.Errorf("%d has another number at the other instance", id)
	}
	if got := fmt.Sprint(one.pages(t)); got != "[many first]" {
		t.Errorf("kept are %s", got)
	}

	shared.Kill(t)
	alone := one.atOnce(t, "alone")
	if id := one.sendReport(t, "alone"); id != alone {
		t.Errorf("without Redis the report %d is kept again as %d", alone, id)
	}
	if got := fmt.Sprint(two.pages(t)); got != "[alone many first]" {
		t.Errorf("kept are %s", got)
	}

	shared.Restart(t)
	for text := range again("back") { // until both have found it again
		if one.sendReport(t, text) == two.sendReport(t, text) {
			break
		}
	}
	one.end(t)
	two.end(t)
}

// again yields texts without end.
func again(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := 0; yield(fmt.Sprint(text, i)); i++ {
		}
	}
}

// TestReportsOfTwoDatabases share a Redis, but no numbers.
func TestReportsOfTwoDatabases(t *testing.T) {
	settings := map[string]string{"REDIS_URL": redistest.Start(t).URL()}
	one := start(t, settings)
	two := start(t, settings)
	one.sendReport(t, "other")
	one.sendReport(t, "x")
	two.sendReport(t, "x")
	if got := fmt.Sprint(two.pages(t)); got != "[x]" {
		t.Errorf("the second database has %s", got)
	}
	one.end(t)
	two.end(t)
}

// TestReportsWithoutRedis: an instance alone remembers too.
func TestReportsWithoutRedis(t *testing.T) {
	r := start(t, nil)
	if id := r.atOnce(t, "x"); r.sendReport(t, "x") != id {
		t.Errorf("the report %d is kept again", id)
	}
	if got := fmt.Sprint(r.pages(t)); got != "[x]" {
		t.Errorf("kept are %s", got)
	}
	r.end(t)
}
