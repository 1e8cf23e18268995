package notify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/incident"
	"github.com/memwarden/memwarden/leak"
	"github.com/memwarden/memwarden/pressure"
)

// kind is a kind of events that can be told of.
type kind struct {
	name string // in Options.Events
	// of is what an event says; nil: nothing that anybody need be told.
	of func(memwarden.Event) *note
}

// kinds are all of them.
func kinds() []kind {
	return []kind{{"leaks", leakNote}, {"pressure", pressureNote}, {"incidents", incidentNote}}
}

// EventNames are the kinds of events that can be told of.
func EventNames() (names []string) {
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

// ParseEvents reads a list of EventNames with commas between them.
func ParseEvents(text string) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); !slices.Contains(EventNames(), name) {
			return nil, fmt.Errorf("%.80q: want %s, with commas between them", name, strings.Join(EventNames(), " or "))
		}
		names = append(names, name)
	}
	return names, nil
}

// The severities, as alert rules have them.
const (
	warning  = "warning"
	critical = "critical"
)

// note is something to tell: that it has begun, has become worse, or is over.
type note struct {
	kind     string // of the JSON format
	at       time.Time
	about    string // the same for all that is told of one thing
	since    time.Time
	severity string
	sentence string
	over     bool
	quiet    bool // somebody knows already, but for alerts, which end
	// ended looks whether it is over, and why. Nil: nobody can tell; it is told once.
	ended func(*memwarden.Warden) (reason string, over bool)

	alert    string // what alerts of it are called
	route    string // where the API has more, below /api/monitoring
	leak     *memwarden.KeptLeak
	pressure *pressure.Decision
}

// end is the note that it is over.
func (n *note) end(at time.Time, reason string) *note {
	over := *n
	over.at, over.over, over.pressure = at, true, nil
	family, _, _ := strings.Cut(n.kind, ".")
	over.kind, over.sentence = family+".over", reason
	return &over
}

// leakNote tells of reports that were kept, and that one was dismissed. Who has acknowledged one knows of it already. Of
// leaks in pages nobody is told: whoever likes can report one.
func leakNote(e memwarden.Event) *note {
	l, ok := e.Data.(memwarden.KeptLeak)
	if !ok || e.Kind != memwarden.EventLeakReport || l.Status == memwarden.LeakAcknowledged || l.Kind == memwarden.KindBrowser {
		return nil
	}
	n := &note{kind: "leak.reported", at: e.At, about: "leak " + l.Case, since: l.FirstSeen, severity: warning, sentence: l.Sentence, alert: "MemwardenLeak", leak: &l}
	n.route = fmt.Sprintf("/memory/leaks/%d", l.ID)
	if l.Case == "" {
		n.about = fmt.Sprintf("leak report-%d", l.ID) // as SettleLeak calls its case
	}
	switch {
	case slices.ContainsFunc(leak.Kinds(), func(k leak.Kind) bool { return k.String() == l.Kind }):
		n.ended = n.leakEnded
	case l.Kind == memwarden.KindRetained || l.Kind == memwarden.KindAbandoned: // of them no finding tells
		n.ended = n.heldEnded
	}
	switch l.Status {
	case leak.Suspect.String():
		n.kind = "leak.suspect"
	case leak.Confirmed.String():
		n.kind, n.severity = "leak.confirmed", critical
	case memwarden.LeakDismissed:
		n = n.end(e.At, "the leak was dismissed")
		n.quiet = true
	default:
		n.ended = nil // it was told by a part of the program
	}
	return n
}

// leakEnded looks whether a leak that the warden has found itself is found no longer.
func (n *note) leakEnded(w *memwarden.Warden) (reason string, over bool) {
	status := w.Leaks()
	if status.CheckedAt.IsZero() {
		return "leak detection was switched off", true
	}
	if !status.CheckedAt.After(n.at) { // it was looked before there was the report
		return "", false
	}
	return endOf(status.Findings, n.leak.Kind, n.leak.FirstSeen)
}

// endOf is why a leak of a kind that was found at a time is found no longer; false if it is.
func endOf(findings []leak.Finding, kind string, since time.Time) (reason string, over bool) {
	for _, f := range findings {
		switch {
		case f.Kind.String() != kind:
		case f.Verdict < leak.Suspect:
			return fmt.Sprintf("the leak of %s is over: %s", f.Kind, f.Reason), true
		case f.Since.Equal(since):
			return "", false
		default:
			return fmt.Sprintf("another leak of %s is seen in the place of this one, which may go on: %s", f.Kind, f.Reason), true
		}
	}
	return "the leak is over", true
}

// heldEnded looks whether objects or goroutines that should have gone have.
func (n *note) heldEnded(w *memwarden.Warden) (reason string, over bool) {
	return "the leak is over: nothing of it is left", !w.LeakGoesOn(n.leak.Case)
}

// pressureNote tells of pressure that becomes critical, and that it is so no longer.
func pressureNote(e memwarden.Event) *note {
	d, ok := e.Data.(pressure.Decision)
	if !ok || e.Kind != memwarden.EventPressure {
		return nil
	}
	n := &note{
		kind: "pressure.critical", at: e.At, about: "pressure", since: d.Since, severity: critical, alert: "MemwardenPressure", route: "/memory/health",
		sentence: "memory pressure is critical: " + d.Reason(), ended: pressureEnded, pressure: &d,
	}
	if d.Level == pressure.Critical {
		return n
	}
	over := n.end(e.At, pressureOver(d))
	over.pressure = &d
	return over
}

func pressureEnded(w *memwarden.Warden) (reason string, over bool) {
	d := w.State().Pressure
	return pressureOver(d), d.Level != pressure.Critical
}

func pressureOver(d pressure.Decision) string {
	return fmt.Sprintf("memory pressure is %s: %s", d.Level, d.Reason())
}

// incidentNote tells of bundles of evidence. Who has asked for one knows.
func incidentNote(e memwarden.Event) *note {
	bundle, ok := e.Data.(incident.Record)
	if !ok || e.Kind != memwarden.EventIncident || bundle.Cause.Rule == incident.Manual {
		return nil
	}
	sentence := fmt.Sprintf("evidence was written to incident bundle %s: %s", bundle.ID, bundle.Cause.Reason)
	if growing := bundle.Cause.Growing; len(growing) > 0 {
		sentence += "; " + growing[0]
	}
	return &note{
		kind: "incident.written", at: e.At, about: "incident " + bundle.ID, since: e.At, severity: critical, alert: "MemwardenIncident", route: "/memory/incidents/" + bundle.ID,
		sentence: sentence,
	}
}

// document is a note in the JSON format.
type document struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      struct {
		Instance string              `json:"instance"`
		Severity string              `json:"severity"`
		Since    time.Time           `json:"since,omitzero"`
		Sentence string              `json:"sentence"`
		Leak     *memwarden.KeptLeak `json:"leak,omitzero"`
		Pressure *pressure.Decision  `json:"pressure,omitzero"`
	} `json:"data"`
}

func (n *note) document(instance string) ([]byte, error) {
	d := document{Type: n.kind, Timestamp: n.at.UTC()}
	d.Data.Instance, d.Data.Severity, d.Data.Since, d.Data.Sentence = instance, n.severity, n.since.UTC(), n.sentence
	d.Data.Leak, d.Data.Pressure = n.leak, n.pressure
	return json.Marshal(d)
}
