package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/internal/pgtest"
)

// told is what the three routes say of the reports of pages, and the list of leaks of those in pages.
type told struct{ components, releases, leaks, listed string }

func (r *running) told(t *testing.T) told {
	t.Helper()
	get := func(route string) string {
		return string(r.send(t, http.StatusOK, http.MethodGet, "/api/monitoring/"+route, ""))
	}
	var list struct{ Leaks json.RawMessage }
	if err := json.Unmarshal([]byte(get("memory/leaks?browser=true")), &list); err != nil {
		t.Fatal(err)
	}
	return told{get("frontend/components"), get("frontend/releases"), get("frontend/leaks"), string(list.Leaks)}
}

// leaky is the report of a page in which a component leaks.
func leaky(page string, survivors int) string {
	const at = `"at":"2026-01-02T15:04:05Z"`
	return fmt.Sprintf(`{"schema":1,"release":"1.4.0","page":%q,"sent_at":"2026-01-02T15:04:05Z","items":[
		{"kind":"components",%s,"components":[{"name":"Cart","commits":3,"mounts":1,"unmounts":2,"live":1,"timed":3,"total_ms":60,"longest_ms":40}]},
		{"kind":"leak",%[2]s,"what":"component","name":"Cart","owners":["App"],"released":%d,"survivors":%[3]d}]}`, page, at, survivors)
}

// TestFiguresOutliveTheService: what was added up of reports from pages is the same after a restart, and for another
// instance that shares the database.
func TestFiguresOutliveTheService(t *testing.T) {
	for name, settings := range map[string]map[string]string{
		"sqlite": {"DATA_DIR": t.TempDir()}, "postgres": {"DATABASE_URL": pgtest.Start(t).NewDatabase(t)},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, settings)
			for i := range 3 {
				for range 2 { // the second is kept once, with the first
					r.send(t, http.StatusCreated, http.MethodPost, frontend, leaky(fmt.Sprint("/", i), 5+i))
				}
			}
			before := r.told(t)
			for what, want := range map[string]string{
				before.components: `"name":"Cart","release":"1.4.0","reports":3,"pages":3,`, before.releases: `"release":"1.4.0","reports":3,"pages":3,`,
				before.leaks: `"released":7,"survivors":7,`, before.listed: "In a page of release \\\"1.4.0\\\" 5 of 5 components",
			} {
				if !strings.Contains(what, want) {
					t.Errorf("%s is not in %s", want, what)
				}
			}
			if name == "postgres" {
				other := start(t, settings)
				if got := other.told(t); got != before {
					t.Errorf("another instance says\n%+v\nwant\n%+v", got, before)
				}
				other.end(t)
			}
			r.end(t)
			r = start(t, settings)
			if got := r.told(t); got != before {
				t.Errorf("after a restart it is\n%+v\nwant\n%+v", got, before)
			}
			r.end(t)
		})
	}
}

// TestFrontendOrigins: pages of the origins in the settings may send reports.
func TestFrontendOrigins(t *testing.T) {
	r := start(t, map[string]string{"FRONTEND_ORIGINS": "https://app.example"})
	for origin, want := range map[string]int{"https://app.example": http.StatusCreated, "https://other.example": http.StatusForbidden} {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+frontend, strings.NewReader(leaky("/", 5)))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Origin", origin)
		q.Header.Set("Content-Type", "text/plain")
		response, err := r.client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("a page of %s is answered with %d, want %d", origin, response.StatusCode, want)
		}
	}
	r.end(t)
}
