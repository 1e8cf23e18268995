//go:build linux

package chaos

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

const (
	memory     = "/api/monitoring/memory"
	frontend   = "/api/monitoring/frontend/reports"
	healthPath = "/api/health"
	// kept is how many reports the service keeps, and how many changes its audit log answers.
	kept = 1000
	// pageSize is the longest list of reports.
	pageSize = 100
)

// ledger is what the service has acknowledged.
type ledger struct {
	next atomic.Int64 // number of the next thing that is sent

	mu      sync.Mutex
	reports map[int64]int64  // number of the report by its identity
	changes map[int64]string // patch by version
	twice   []string         // what was acknowledged under the identity of something else
}

func newLedger() *ledger {
	return &ledger{reports: map[int64]int64{}, changes: map[int64]string{}}
}

// accepted counts what was acknowledged.
func (l *ledger) accepted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.reports) + len(l.changes)
}

func (l *ledger) noteReport(id, number int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, taken := l.reports[id]; taken {
		l.twice = append(l.twice, fmt.Sprintf("report %d is %d and %d", id, other, number))
	}
	l.reports[id] = number
}

func (l *ledger) noteChange(version int64, patch string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, taken := l.changes[version]; taken {
		l.twice = append(l.twice, fmt.Sprintf("version %d is %s and %s", version, other, patch))
	}
	l.changes[version] = patch
}

// reportBody is the report of a number, 700 bytes of it.
func reportBody(number int64) string {
	return fmt.Sprintf(`{"schema":1,"release":"chaos","page":"/%d","sent_at":"2026-01-02T15:04:05Z","items":[{"kind":"load","at":"2026-01-02T15:04:05Z","text":%q}]}`,
		number, strings.Repeat("x", 512))
}

func patchBody(number int64) string {
	return fmt.Sprintf(`{"limit":{"off_heap_reserve_bytes":%d}}`, number)
}

// check looks for everything that was acknowledged, as far as the service has to keep it, and returns what is lost.
func (l *ledger) check(t *testing.T, s *servicetest.Service) (lost int) {
	t.Helper()
	reports, oldest := listReports(t, s)
	l.mu.Lock()
	defer l.mu.Unlock()
	tell := func(format string, args ...any) {
		if lost++; lost <= 5 {
			t.Errorf(format, args...)
		}
	}
	for _, what := range l.twice {
		tell("acknowledged twice: %s", what)
	}
	for id, number := range l.reports {
		if id < oldest {
			continue // more than a thousand came after it
		}
		if page, ok := reports[id]; !ok {
			tell("report %d was acknowledged and is lost; %d are there, from %d on", id, len(reports), oldest)
		} else if page != fmt.Sprintf("/%d", number) {
			tell("report %d was acknowledged as /%d and is %s", id, number, page)
		}
	}
	return lost + l.checkChanges(t, s)
}

// checkChanges is the part of check about the configuration. l.mu is held.
func (l *ledger) checkChanges(t *testing.T, s *servicetest.Service) (lost int) {
	t.Helper()
	audit := servicetest.Decode[struct {
		Changes []struct {
			Version int64
			Patch   json.RawMessage
		}
	}](t, s.Get(t, fmt.Sprintf("%s/config/audit?limit=%d", memory, kept))).Changes
	found, oldest := map[int64]string{}, int64(0)
	for _, c := range audit {
		found[c.Version], oldest = string(c.Patch), c.Version
	}
	if len(audit) < kept {
		oldest = 0
	}
	for version, patch := range l.changes {
		if version >= oldest && found[version] != patch {
			lost++
			t.Errorf("version %d was acknowledged as %s and is %q", version, patch, found[version])
		}
	}
	return lost
}

// listReports returns the page of each report that is kept, and the lowest identity that has to be: 0 while there are
// fewer than the bound.
func listReports(t *testing.T, s *servicetest.Service) (pages map[int64]string, oldest int64) {
	t.Helper()
	pages = map[int64]string{}
	for query := fmt.Sprintf("?limit=%d", pageSize); ; query = fmt.Sprintf("?limit=%d&before=%d", pageSize, oldest) {
		list := servicetest.Decode[struct {
			Reports []struct {
				ID     int64
				Report struct{ Page string }
			}
		}](t, s.Send(t, http.StatusOK, http.MethodGet, frontend+query, "")).Reports
		for _, one := range list {
			pages[one.ID], oldest = one.Report.Page, one.ID
		}
		if len(list) < pageSize {
			break
		}
	}
	if len(pages) > kept {
		t.Errorf("%d reports are kept, the bound is %d", len(pages), kept)
	}
	if len(pages) < kept {
		oldest = 0
	}
	return pages, oldest
}
