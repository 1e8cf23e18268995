package memhttp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/internal/frontend"
)

const (
	// maxToldLeaks is how many leaks in pages are put on the list of leaks within toldLeakAge; others wait until then.
	maxToldLeaks = 200
	toldLeakAge  = 24 * time.Hour
	// toldLeakPause is how long one is left alone at least: pages by the thousand may tell of it.
	toldLeakPause = 10 * time.Minute
	// maxReportedLeaks is how many leaks of one report are looked at for it.
	maxReportedLeaks = 10
	// maxNameShown is how much is shown of a name that a page has sent, in bytes.
	maxNameShown = 200
)

// toldLeaks knows which leaks in pages stand on the list already, so that one is put there anew only when it has become
// twice as large: pages are many, and anybody may send what one sends.
type toldLeaks struct {
	mu   sync.Mutex
	told map[string]toldLeak // by case; at most maxToldLeaks
	said time.Time           // when it was last said that there is no room
}

type toldLeak struct {
	survivors int64
	at        time.Time
}

// due reports whether a leak is to be put on the list, and takes it that this is done. full is that there is no room for it,
// which anybody may bring about, and that it is time to say so: once in toldLeakAge.
func (t *toldLeaks) due(name string, survivors int64, now time.Time) (due, full bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, known := t.told[name]
	if known && now.Sub(last.at) < toldLeakAge && (survivors < 2*last.survivors || now.Sub(last.at) < toldLeakPause) {
		return false, false
	}
	if !known && len(t.told) >= maxToldLeaks {
		maps.DeleteFunc(t.told, func(_ string, told toldLeak) bool { return now.Sub(told.at) >= toldLeakAge })
		if len(t.told) >= maxToldLeaks {
			if full = now.Sub(t.said) >= toldLeakAge; full {
				t.said = now
			}
			return false, full
		}
	}
	if t.told == nil {
		t.told = map[string]toldLeak{}
	}
	t.told[name] = toldLeak{survivors, now}
	return true, false
}

// forget takes it that a leak does not stand on the list.
func (t *toldLeaks) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.told, name)
}

// tellLeaks puts what a page says of leaks on the list of leaks, which it does not do for the page: whether it succeeds is
// the log's business.
func (h *handler) tellLeaks(ctx context.Context, r *frontend.Report) {
	for _, l := range r.Leaks[:min(len(r.Leaks), maxReportedLeaks)] {
		report := browserLeak(r, l)
		due, full := h.toldLeaks.due(report.Case, l.Survivors, time.Now())
		if full {
			h.o.Logger.Warn("memory leaks in pages are not put on the list of leaks any more: it has room for so many others within a day; "+
				"GET /api/monitoring/frontend/leaks has them", "room", maxToldLeaks)
		}
		if !due {
			continue
		}
		if err := h.warden.ReportBrowserLeak(ctx, report); err != nil {
			h.toldLeaks.forget(report.Case) // the next page that tells of it is heard
			h.o.Logger.Error("memory leak in a page could not be put on the list of leaks", "error", err)
		}
	}
}

// browserLeak is a leak in a page as it stands among the others.
func browserLeak(r *frontend.Report, l frontend.Leak) memwarden.LeakReport {
	what := map[string]string{"component": "components", "dom": "elements of", "object": "objects"}[l.What]
	name, release := shown(l.Name), ""
	if r.Release != "" {
		release = fmt.Sprintf(" of release %q", shown(r.Release))
	}
	hash := sha256.Sum256([]byte(l.What + " " + l.Name))
	path := slices.Clone(l.Owners)
	slices.Reverse(path)
	return memwarden.LeakReport{
		Sentence: fmt.Sprintf("In a page%s %d of %d %s %q that were released are still there", release, l.Survivors, l.Released, what, name),
		Type:     name, Path: append(path, l.Name),
		Case: "browser-" + hex.EncodeToString(hash[:8]), Signature: fmt.Sprintf("browser %s %s", l.What, name),
		Evidence: []string{"GET /api/monitoring/frontend/leaks has what probably holds them"},
	}
}

// shown is a text of a page within a line.
func shown(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxNameShown)], "")
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
}
