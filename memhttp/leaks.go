package memhttp

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/internal/bounddir"
	"github.com/memwarden/memwarden/leak"
)

// leaksDocument is what is thought of the process, and the leaks that were found.
type leaksDocument struct {
	Verdict leak.Verdict `json:"verdict"`
	// CheckedAt is absent while nothing was looked at: detection is off, or another process is watched.
	CheckedAt time.Time         `json:"checked_at,omitzero"`
	Paused    bool              `json:"paused"`
	Findings  []findingDocument `json:"findings"`
	Leaks     []leakDocument    `json:"leaks"`
	// Incomplete says why only what the process itself knows is listed; absent: everything is.
	Incomplete string `json:"incomplete,omitzero"`
}

// leakDocument is a leak report of which every field is there, so that who reads it need not ask.
type leakDocument struct {
	ID              int64     `json:"id"`
	Kind            string    `json:"kind"`
	Status          string    `json:"status"`
	Sentence        string    `json:"sentence"`
	Type            string    `json:"type"`
	Owner           string    `json:"owner"`
	GrowthPerSecond float64   `json:"growth_bytes_per_second"`
	RetainedBytes   uint64    `json:"retained_bytes"`
	TimeToLimit     *float64  `json:"time_to_limit_seconds"` // nil: never, or not known
	Path            []string  `json:"path"`
	AllocStack      []string  `json:"alloc_stack"`
	FirstSeen       time.Time `json:"first_seen"`
	LastSeen        time.Time `json:"last_seen"`
	Evidence        []string  `json:"evidence"`
	Downloads       []string  `json:"downloads"` // routes of the snapshots and bundles that evidence and actions name
	Actions         []string  `json:"actions"`
	Signature       string    `json:"signature"`
	Case            string    `json:"case"`
}

// reportsPatience is how long it is waited for the reports that are kept. What the process knows itself need not wait for them.
const reportsPatience = 5 * time.Second

// reported is the status of a leak that the warden has not found itself.
const reported = "reported"

func newLeakDocument(l memwarden.KeptLeak) leakDocument {
	d := leakDocument{
		ID: l.ID, Kind: l.Kind, Status: cmp.Or(l.Status, reported), Sentence: l.Sentence, Type: l.Type, Owner: l.Owner,
		GrowthPerSecond: l.GrowthPerSecond, RetainedBytes: l.RetainedBytes, Path: list(l.Path), AllocStack: list(l.AllocStack),
		FirstSeen: l.FirstSeen, LastSeen: l.LastSeen, Evidence: list(l.Evidence), Actions: list(l.Actions),
		Signature: l.Signature, Case: l.Case, Downloads: downloads(l.Evidence, l.Actions),
	}
	if l.LastSeen.Before(l.FirstSeen) {
		d.LastSeen = l.FirstSeen
	}
	if l.TimeToLimitSeconds > 0 {
		d.TimeToLimit = &l.TimeToLimitSeconds
	}
	return d
}

// downloads are the routes of what evidence and actions name, whether it is still kept or not.
func downloads(evidence, actions []string) []string {
	routes := []string{}
	for _, line := range slices.Concat(evidence, actions) {
		for _, named := range [...]struct{ words, path string }{
			{"snapshot ", "/api/monitoring/memory/snapshots"}, {"kept evidence: incident bundle ", "/api/monitoring/memory/incidents"},
		} {
			if id, ok := strings.CutPrefix(line, named.words); ok && bounddir.IsID(id) {
				routes = append(routes, named.path+"/"+id+"/download")
			}
		}
	}
	return routes
}

// list makes null an empty list.
func list(lines []string) []string {
	if lines == nil {
		return []string{}
	}
	return lines
}

// findingDocument is what is thought of one figure.
type findingDocument struct {
	Kind            leak.Kind      `json:"kind"`
	Verdict         leak.Verdict   `json:"verdict"`
	Reason          string         `json:"reason"`
	Rule            leak.Rule      `json:"rule,omitzero"`
	WindowSeconds   float64        `json:"window_seconds,omitzero"`
	Since           time.Time      `json:"since,omitzero"`
	From            float64        `json:"from,omitzero"`
	To              float64        `json:"to,omitzero"`
	GrowthPerSecond float64        `json:"growth_per_second,omitzero"`
	TimeToLimit     *float64       `json:"time_to_limit_seconds"` // nil: never, or not known
	Inputs          inputsDocument `json:"inputs"`
}

// inputsDocument is what a finding was made from; nil is what is not known.
type inputsDocument struct {
	Value         *float64 `json:"value"`
	Owned         *float64 `json:"owned"`
	Load          *float64 `json:"load"`
	WindowSeconds float64  `json:"window_seconds"`
	Limit         *float64 `json:"limit"`
}

func newLeaksDocument(status memwarden.LeakStatus, leaks []memwarden.KeptLeak) leaksDocument {
	d := leaksDocument{Verdict: status.Verdict, CheckedAt: status.CheckedAt, Paused: status.Paused, Findings: []findingDocument{}, Leaks: []leakDocument{}}
	for _, l := range leaks {
		d.Leaks = append(d.Leaks, newLeakDocument(l))
	}
	for i, f := range status.Findings {
		d.Findings = append(d.Findings, newFindingDocument(memwarden.LeakFinding{Finding: f, Inputs: status.Inputs[i]}))
	}
	return d
}

func newFindingDocument(f memwarden.LeakFinding) findingDocument {
	return findingDocument{
		Kind: f.Kind, Verdict: f.Verdict, Reason: f.Reason, Rule: f.Rule, WindowSeconds: f.Window.Seconds(), Since: f.Since,
		From: f.From, To: f.To, GrowthPerSecond: f.PerSecond, TimeToLimit: known(f.Inputs.TimeToLimitSeconds),
		Inputs: inputsDocument{
			Value: known(f.Inputs.Value), Owned: known(f.Inputs.Owned), Load: known(f.Inputs.Load),
			WindowSeconds: f.Inputs.Window.Seconds(), Limit: known(f.Inputs.Limit),
		},
	}
}

// known is nil for what JSON has no number for.
func known(value float64) *float64 {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return nil
	}
	return &value
}

// serveLeaks tells what is thought of the process, and lists leak reports newest first, from one before ?before on, those
// of pages alone or left out by ?browser.
func (h *handler) serveLeaks(w http.ResponseWriter, r *http.Request) {
	q, err := leaksAsked(r)
	if err != nil {
		NewProblem(http.StatusBadRequest, err.Error()).ServeHTTP(w, r)
		return
	}
	if err := allowTime(w, reportsPatience); err != nil {
		h.internal(w, r, "extend the write deadline", err)
		return
	}
	h.answerLeaks(w, r, h.warden.Leaks(), q)
}

// leaksAsked reads which part of the list is asked for, and whether of pages or of the process.
func leaksAsked(r *http.Request) (q memwarden.LeakQuery, err error) {
	if q.Before, q.Limit, err = pageOf(r); err != nil {
		return q, err
	}
	if r.URL.Query().Has("browser") {
		browser, err := boolIn(r, "browser")
		q.Browser = &browser
		return q, err
	}
	return q, nil
}

// answerLeaks answers with what is thought, and with the leaks that go on where the reports cannot be read in time: who asks
// when all is going wrong is to be told what is known without any store.
func (h *handler) answerLeaks(w http.ResponseWriter, r *http.Request, status memwarden.LeakStatus, q memwarden.LeakQuery) {
	ctx, cancel := context.WithTimeout(r.Context(), reportsPatience)
	defer cancel()
	leaks, err := h.warden.LeakReports(ctx, q)
	knows := q.Before == 0 && (q.Browser == nil || !*q.Browser) // of what the process has found itself
	if err != nil && (!knows || r.Context().Err() != nil) {
		h.leakProblem(w, r, err)
		return
	}
	var incomplete string
	if err != nil {
		h.o.Logger.Error("memory leak reports cannot be read: those that go on are listed", "error", err)
		incomplete = "the leak reports cannot be read at the moment, the log says why: only leaks that go on are listed"
		leaks = h.warden.OpenLeaks()
		leaks = leaks[:min(len(leaks), q.Limit)]
	}
	document := newLeaksDocument(status, leaks)
	document.Incomplete = incomplete
	h.answer(w, r, document)
}

// serveCheckLeaks looks at the process at once.
func (h *handler) serveCheckLeaks(w http.ResponseWriter, r *http.Request) {
	if problem, ok := decodeBody(r, &struct{}{}, DecodeLimits{Optional: true}); !ok {
		problem.ServeHTTP(w, r)
		return
	}
	if err := allowTime(w, longestCollection); err != nil {
		h.internal(w, r, "extend the write deadline", err)
		return
	}
	status, err := h.warden.CheckLeaks(r.Context())
	if err != nil {
		h.leakProblem(w, r, err)
		return
	}
	h.answerLeaks(w, r, status, memwarden.LeakQuery{Limit: defaultReports})
}

func (h *handler) serveLeak(w http.ResponseWriter, r *http.Request) {
	id, ok := leakID(w, r)
	if !ok {
		return
	}
	report, err := h.warden.LeakReport(r.Context(), id)
	if err != nil {
		h.leakProblem(w, r, err)
		return
	}
	h.answer(w, r, newLeakDocument(report))
}

// settleLeak answers for a status that somebody gives a leak.
func (h *handler) settleLeak(status string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if problem, ok := decodeBody(r, &struct{}{}, DecodeLimits{Optional: true}); !ok {
			problem.ServeHTTP(w, r)
			return
		}
		id, ok := leakID(w, r)
		if !ok {
			return
		}
		report, err := h.warden.SettleLeak(r.Context(), id, status)
		if err != nil {
			h.leakProblem(w, r, err)
			return
		}
		h.o.Logger.Info("memory leak "+status, "id", id, "peer", h.client(r))
		h.answer(w, r, newLeakDocument(report))
	}
}

func leakID(w http.ResponseWriter, r *http.Request) (int64, bool) {
	text := r.PathValue("id")
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 || id == math.MaxInt64 {
		NewProblem(http.StatusNotFound, "there is no leak report "+strconv.Quote(text)).ServeHTTP(w, r)
		return 0, false
	}
	return id, true
}

// leakProblem answers that something failed.
func (h *handler) leakProblem(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, memwarden.ErrNoLeakReport):
		NewProblem(http.StatusNotFound, "there is no leak report of this number: the oldest are removed").ServeHTTP(w, r)
	case errors.Is(err, memwarden.ErrLeaksOff), errors.Is(err, memwarden.ErrLeaksPaused), errors.Is(err, memwarden.ErrRemote):
		NewProblem(http.StatusConflict, err.Error()).ServeHTTP(w, r)
	case errors.Is(err, memwarden.ErrClosed):
		NewProblem(http.StatusServiceUnavailable, err.Error()).ServeHTTP(w, r)
	case r.Context().Err() != nil:
		h.internal(w, r, "leaks", err)
	default:
		h.o.Logger.Error("memory leak reports cannot be read or written", "error", err)
		NewProblem(http.StatusServiceUnavailable, "the leak reports cannot be read at the moment; the log says why").ServeHTTP(w, r)
	}
}
