package health

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Names of the entries that the registry adds by itself.
const (
	startupEntry  = "startup"
	shutdownEntry = "shutdown"
)

// Status is a report's answer in one word.
type Status string

// The statuses, in the words of Terminus.
const (
	StatusOK           Status = "ok"
	StatusError        Status = "error"
	StatusShuttingDown Status = "shutting_down"
)

// Report is the answer to a probe. Its JSON has the shape {status, info, error, details}: info holds the entries that
// are up, error those that are down, details both, each by name.
type Report struct {
	Probe   Probe
	Status  Status
	Entries []Entry // in the order in which checks were added
}

// Entry is what is known of one check. Its JSON is {status: up or down, level, message, checked_at, last_up_at}, and
// the details.
type Entry struct {
	Name string
	Result
	// CheckedAt is when the result came in; zero, and absent in JSON, if there was none yet.
	CheckedAt time.Time
	// LastUpAt is when the check was last not down; zero, and absent in JSON, if it never was, or is not down.
	LastUpAt time.Time
}

// OK reports whether the probe passes: over HTTP, 200 or 503.
func (r Report) OK() bool { return r.Status == StatusOK }

// Report answers a probe from results that are no older than their TTL. It runs the checks whose result is older, all at
// the same time, and waits for them: no longer than the longest Timeout among them, nor than ctx lasts, whose end makes
// it use what is known. Reports at the same time share the runs.
func (r *Registry) Report(ctx context.Context, probe Probe) Report {
	r.mu.Lock()
	var asked []*check
	var waits []<-chan struct{}
	for _, c := range r.checks {
		if probe != All && c.Probes&probe == 0 || probe == Live && r.shuttingDown {
			continue
		}
		asked = append(asked, c)
		if settled := r.refresh(c, time.Now()); settled != nil {
			waits = append(waits, settled)
		}
	}
	r.mu.Unlock()
	for _, settled := range waits {
		select {
		case <-settled:
		case <-ctx.Done():
		}
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	report := Report{Probe: probe, Status: StatusOK, Entries: make([]Entry, 0, len(asked)+1)}
	if probe == Startup || probe != Live && !r.started {
		report.Entries = append(report.Entries, r.startup())
	}
	for _, c := range asked {
		report.Entries = append(report.Entries, c.entry(probe))
	}
	for _, entry := range report.Entries {
		if entry.Level == Down {
			report.Status = StatusError
		}
	}
	if r.shuttingDown && (probe == Ready || probe == All) {
		report.Status = StatusShuttingDown
	}
	return report
}

func (r *Registry) startup() Entry {
	if r.started {
		return Entry{Name: startupEntry, Result: Result{Message: "started"}}
	}
	return Entry{Name: startupEntry, Result: Result{Level: Down, Message: "not started yet"}}
}

// entry returns what is known of a check, for readiness with its hysteresis. Registry.mu is held.
func (c *check) entry(probe Probe) Entry {
	entry := Entry{Name: c.Name, Result: c.last, CheckedAt: c.at}
	switch {
	case !c.ready.known:
		entry.Result = Result{Level: Down, Message: "no result yet"}
	case probe == Ready && c.last.Level == Down && !c.ready.off:
		entry.Level = Degraded
		entry.Message = fmt.Sprintf("down %d of %d times in a row that take readiness off: %s", c.ready.row, c.FailAfter, c.last.Message)
	case probe == Ready && c.last.Level != Down && c.ready.off:
		entry.Level = Down
		entry.Message = fmt.Sprintf("up %d of %d times in a row that bring readiness back: %s", c.ready.row, c.RecoverAfter, c.last.Message)
	}
	if entry.Level == Down {
		entry.LastUpAt = c.up
	}
	return entry
}

// Text returns the report in the lines that Kubernetes' own probes answer to ?verbose: [+] or [-] and the name of each
// entry, and the outcome.
func (r Report) Text() string {
	var b strings.Builder
	for _, entry := range r.Entries {
		message := strings.Join(strings.Fields(entry.Message), " ") // one line
		switch entry.Level {
		case OK:
			fmt.Fprintf(&b, "[+]%s ok\n", entry.Name)
		case Degraded:
			fmt.Fprintf(&b, "[+]%s ok, degraded: %s\n", entry.Name, message)
		default:
			fmt.Fprintf(&b, "[-]%s failed: %s\n", entry.Name, message)
		}
	}
	if r.Status == StatusShuttingDown {
		fmt.Fprintf(&b, "[-]%s failed: shutting down\n", shutdownEntry)
	}
	outcome := "failed"
	if r.OK() {
		outcome = "passed"
	}
	fmt.Fprintf(&b, "%s check %s\n", r.Probe, outcome)
	return b.String()
}

// MarshalJSON writes the shape that users of Terminus know.
func (r Report) MarshalJSON() ([]byte, error) {
	shape := struct {
		Status  Status           `json:"status"`
		Info    map[string]Entry `json:"info"`
		Error   map[string]Entry `json:"error"`
		Details map[string]Entry `json:"details"`
	}{r.Status, map[string]Entry{}, map[string]Entry{}, map[string]Entry{}}
	for _, entry := range r.Entries {
		shape.Details[entry.Name] = entry
		if entry.Level == Down {
			shape.Error[entry.Name] = entry
		} else {
			shape.Info[entry.Name] = entry
		}
	}
	return json.Marshal(shape)
}

// MarshalJSON writes the details beside what is known of every entry. Details that JSON cannot hold are left out, and
// details_error says so: one check's mistake must not cost the report.
func (e Entry) MarshalJSON() ([]byte, error) {
	fields := make(map[string]any, len(e.Details)+5)
	for key, value := range e.Details {
		fields[key] = value
	}
	if _, err := json.Marshal(fields); err != nil {
		fields = map[string]any{"details_error": err.Error()}
	}
	fields["status"], fields["level"] = "up", e.Level
	if e.Level == Down {
		fields["status"] = "down"
	}
	for key, at := range map[string]time.Time{"checked_at": e.CheckedAt, "last_up_at": e.LastUpAt} {
		delete(fields, key)
		if !at.IsZero() {
			fields[key] = at
		}
	}
	delete(fields, "message")
	if e.Message != "" {
		fields["message"] = e.Message
	}
	return json.Marshal(fields)
}
