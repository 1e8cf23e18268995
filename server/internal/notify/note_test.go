package notify

import (
	"testing"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/incident"
	"github.com/memwarden/memwarden/leak"
)

// TestIncidentNotes: a bundle that was due is told of, one that somebody has asked for is not.
func TestIncidentNotes(t *testing.T) {
	bundle := incident.Record{Manifest: incident.Manifest{ID: "x", Cause: incident.Cause{Rule: "level", Reason: "use is 81 %"}}}
	e := memwarden.Event{Kind: memwarden.EventIncident, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Data: bundle}
	n := incidentNote(e)
	if n == nil || n.kind != "incident.written" || n.severity != critical || n.sentence != "evidence was written to incident bundle x: use is 81 %" || n.ended != nil || n.route != "/memory/incidents/x" {
		t.Errorf("told is %+v", n)
	}
	bundle.Cause.Growing = []string{"1.0 GiB more in f", "2 B more in g"}
	if e.Data = bundle; incidentNote(e).sentence != "evidence was written to incident bundle x: use is 81 %; 1.0 GiB more in f" {
		t.Errorf("told is %q", incidentNote(e).sentence)
	}
	bundle.Cause.Rule = incident.Manual
	if e.Data = bundle; incidentNote(e) != nil {
		t.Error("one that was asked for is told of")
	}
	bundle.Cause.Rule = incident.Cleanup
	if e.Data = bundle; incidentNote(e) == nil {
		t.Error("one that nobody asked for is not told of")
	}
	if incidentNote(memwarden.Event{Kind: memwarden.EventIncident}) != nil {
		t.Error("told is nothing")
	}
}

// TestEndOfALeak: it is not said to be over where another one is suspected in its place.
func TestEndOfALeak(t *testing.T) {
	since := time.Unix(1000, 0)
	for _, c := range []struct {
		finding leak.Finding
		reason  string
		over    bool
	}{
		{leak.Finding{Kind: leak.Heap, Verdict: leak.Confirmed, Since: since, Reason: "it rose"}, "", false},
		{leak.Finding{Kind: leak.Heap, Verdict: leak.Suspect, Since: since.Add(time.Hour), Reason: "it rose"},
			"another leak of heap is seen in the place of this one, which may go on: it rose", true},
		{leak.Finding{Kind: leak.Heap, Verdict: leak.Healthy, Reason: "it was given back"}, "the leak of heap is over: it was given back", true},
		{leak.Finding{Kind: leak.Threads, Verdict: leak.Suspect, Since: since}, "the leak is over", true},
	} {
		if reason, over := endOf([]leak.Finding{c.finding}, "heap", since); reason != c.reason || over != c.over {
			t.Errorf("%+v: %q, %v", c.finding, reason, over)
		}
	}
}

// TestLeakNotes: what is told of a report, and of which somebody can tell when it is over.
func TestLeakNotes(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		leak, status, kind, severity string
		ends, over                   bool
	}{
		{"heap", "suspect", "leak.suspect", warning, true, false},
		{"heap", "confirmed", "leak.confirmed", critical, true, false},
		{"heap", "dismissed", "leak.over", warning, true, true},
		{"heap", "acknowledged", "", "", false, false},
		{memwarden.KindRetained, "suspect", "leak.suspect", warning, true, false},
		{memwarden.KindRetained, "confirmed", "leak.confirmed", critical, true, false},
		{memwarden.KindAbandoned, "confirmed", "leak.confirmed", critical, true, false},
		{"connection_held", "", "leak.reported", warning, false, false},
		{memwarden.KindBrowser, "", "", "", false, false},
		{memwarden.KindBrowser, "dismissed", "", "", false, false},
	} {
		kept := memwarden.KeptLeak{ID: 7, LeakReport: memwarden.LeakReport{Kind: c.leak, Status: c.status, Sentence: "it is held", Case: "case"}}
		n := leakNote(memwarden.Event{Kind: memwarden.EventLeakReport, At: at, Data: kept})
		if c.kind == "" {
			if n != nil {
				t.Errorf("%s %s: told is %+v", c.leak, c.status, n)
			}
			continue
		}
		if n == nil || n.kind != c.kind || n.severity != c.severity || n.over != c.over || (n.ended != nil) != c.ends {
			t.Errorf("%s %s: told is %+v", c.leak, c.status, n)
		}
	}
	if n := leakNote(memwarden.Event{Kind: memwarden.EventLeak, At: at}); n != nil {
		t.Errorf("of another event: %+v", n)
	}
}
