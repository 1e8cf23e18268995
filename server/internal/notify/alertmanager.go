package notify

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	alertsPath = "/api/v2/alerts"
	maxAlerts  = 100
	// alertLease is how long an alert is alive that is not posted again: some postings may fail, and the alerts of a
	// process that has ended end soon.
	alertLease = 4 * time.Minute
	// alertOnce is how long an alert is alive of which nobody can tell when it is over.
	alertOnce = time.Hour
	// alertEnded is for how long it is told that an alert has ended, so that an Alertmanager which was away hears of it.
	alertEnded = 15 * time.Minute
	// maxAnnotation bounds one annotation, in bytes.
	maxAnnotation = 2 << 10
)

// alertsURL is where an Alertmanager takes alerts: its URL may be given with that path or without.
func alertsURL(u *url.URL) string {
	whole := *u
	if path := strings.TrimSuffix(u.Path, "/"); !strings.HasSuffix(path, alertsPath) {
		whole = *u.JoinPath(alertsPath)
	}
	return whole.String()
}

// alert is one of those that POST /api/v2/alerts takes.
type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitzero"`

	about   string
	ongoing bool // EndsAt is told anew each time
}

// board is all alerts that go on or have ended lately, which are posted together: what one posting has missed the next
// has. It is safe for concurrent use.
type board struct {
	instance, address string

	mu      sync.Mutex
	alerts  []*alert // at most maxAlerts; told of last stand last
	version int64
}

// put enters what a note says. It returns whether anything has changed by it.
func (b *board) put(n *note) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.alert(n)
	changed := !n.over
	for _, a := range b.alerts {
		// One of other labels, such as another severity, is another alert to an Alertmanager.
		if a.about == n.about && (n.over || !maps.Equal(a.Labels, next.Labels)) && (a.ongoing || a.EndsAt.After(n.at)) {
			a.ongoing, a.EndsAt, changed = false, later(a.StartsAt, n.at), true
			if n.over {
				a.Annotations["summary"] = annotation(n.sentence)
			}
		}
	}
	if n.over {
		return changed
	}
	b.alerts = slices.DeleteFunc(b.alerts, func(a *alert) bool { return maps.Equal(a.Labels, next.Labels) })
	if len(b.alerts) == maxAlerts {
		b.alerts = slices.Delete(b.alerts, 0, 1)
	}
	b.alerts = append(b.alerts, next)
	return true
}

// alert is the alert of a note that is not over.
func (b *board) alert(n *note) *alert {
	a := &alert{
		about: n.about, ongoing: n.ended != nil, StartsAt: n.at.UTC(), EndsAt: n.at.Add(alertOnce).UTC(),
		Labels:      map[string]string{"alertname": n.alert, "severity": n.severity},
		Annotations: map[string]string{"summary": annotation(n.sentence)},
	}
	if !n.since.IsZero() && n.since.Before(n.at) {
		a.StartsAt = n.since.UTC()
	}
	set := func(in map[string]string, name, value string) {
		if value != "" {
			in[name] = annotation(value)
		}
	}
	set(a.Labels, "instance", b.instance)
	if l := n.leak; l != nil {
		set(a.Labels, "kind", l.Kind)
		set(a.Labels, "owner", l.Owner)
		set(a.Labels, "signature", l.Signature) // without it two leaks of one kind would be one alert
		set(a.Annotations, "report", strconv.FormatInt(l.ID, 10))
		set(a.Annotations, "type", l.Type)
		set(a.Annotations, "path", strings.Join(l.Path, ""))
		set(a.Annotations, "alloc_stack", strings.Join(l.AllocStack, "\n"))
		set(a.Annotations, "evidence", strings.Join(l.Evidence, "\n"))
		set(a.Annotations, "actions", strings.Join(l.Actions, "\n"))
	}
	if b.address != "" {
		a.GeneratorURL = b.address + "/api/monitoring" + n.route
	}
	return a
}

// annotation is a text within the bound of one.
func annotation(text string) string {
	if len(text) > maxAnnotation {
		text = text[:maxAnnotation-3] + "..."
	}
	return strings.ToValidUTF8(text, "")
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a.UTC()
	}
	return b.UTC()
}

// sweep takes off what ended long ago, and returns whether there is anything left to post.
func (b *board) sweep(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alerts = slices.DeleteFunc(b.alerts, func(a *alert) bool { return !a.ongoing && now.Sub(a.EndsAt) > alertEnded })
	return len(b.alerts) > 0
}

// next is the version that a posting must be up to which is asked for now.
func (b *board) next() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.version++
	return b.version
}

// encode writes all alerts as they are, with the version that this is.
func (b *board) encode(now time.Time) (body []byte, version int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]alert, 0, len(b.alerts))
	for _, a := range b.alerts {
		one := *a
		if one.ongoing {
			one.EndsAt = later(one.StartsAt, now.Add(alertLease))
		}
		list = append(list, one)
	}
	body, err = json.Marshal(list)
	return body, b.version, err
}
