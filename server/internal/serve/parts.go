package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/health"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/server/internal/store"
)

// databaseCheck pings the store. Without it nothing that is sent to the service can be accepted: it is down, although
// memory is watched all the same.
func databaseCheck(s *store.Store) health.Check {
	return health.Check{Name: "database", Probes: health.Ready, Run: func(ctx context.Context) health.Result {
		stats := s.Stats()
		result := health.Result{Level: health.OK, Details: map[string]any{
			"kind": stats.Kind, "connections_max": stats.Max, "connections_in_use": stats.InUse, "connections_idle": stats.Idle,
		}}
		if err := s.Ping(ctx); err != nil {
			result.Level, result.Message = health.Down, fmt.Sprintf("the database does not answer: %v", err)
		}
		return result
	}}
}

// databaseOwner shows the connection pool among the limits.
type databaseOwner struct{ store *store.Store }

func (databaseOwner) Name() string { return "database_connections" }

func (d databaseOwner) Usage() bounded.Usage {
	const none = bounded.NotApplicable
	s := d.store.Stats()
	return bounded.Usage{Entries: s.InUse + s.Idle, MaxEntries: s.Max, PeakEntries: s.Peak, Bytes: none, MaxBytes: none, PeakBytes: none}
}

// Shrink frees nothing: the pool closes idle connections by itself.
func (databaseOwner) Shrink(context.Context, int64) int64 { return 0 }

// withIndex answers / with a list of the routes and leaves every other path to next.
func withIndex(next http.Handler, version string) http.Handler {
	type entry struct {
		Method string `json:"method"`
		Path   string `json:"path"`
		Access string `json:"access"`
	}
	index := struct {
		Name    string  `json:"name"`
		Version string  `json:"version"`
		Routes  []entry `json:"routes"`
	}{"memwarden", version, nil}
	for _, r := range memhttp.Routes() {
		index.Routes = append(index.Routes, entry{r.Method, r.Path, r.Access.String()})
	}
	body, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		panic(err) // three kinds of strings
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			next.ServeHTTP(w, r)
			return
		}
		memhttp.SetSecurityHeaders(w.Header())
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			memhttp.MethodNotAllowed(http.MethodGet).ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // a client that has gone is not our error
	})
}
