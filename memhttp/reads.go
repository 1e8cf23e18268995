package memhttp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/gcpolicy"
	"github.com/memwarden/memwarden/history"
	"github.com/memwarden/memwarden/limit"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
)

// statsDocument is the answer of the stats route and the data of a sample event.
type statsDocument struct {
	memstat.Sample
	UptimeSeconds float64           `json:"uptime_seconds"`
	Pressure      pressure.Decision `json:"pressure"`
	Owners        []ownerDocument   `json:"owners"`
	Problems      []memstat.Problem `json:"problems,omitzero"`
	// Gone tells that the process watched from outside has ended: its figures are absent.
	Gone    bool             `json:"gone,omitzero"`
	History *historyDocument `json:"history,omitzero"`
}

func newStatsDocument(state *memwarden.State, uptime time.Duration) statsDocument {
	return statsDocument{
		Sample: state.Sample, UptimeSeconds: uptime.Seconds(), Pressure: state.Pressure,
		Owners: ownerDocuments(state.Owners), Problems: state.Problems, Gone: state.Gone,
	}
}

// ownerDocument is an owner with its bound, its present use and its peak.
type ownerDocument struct {
	Name        string      `json:"name"`
	Entries     memstat.Int `json:"entries,omitzero"`
	MaxEntries  memstat.Int `json:"max_entries,omitzero"`
	PeakEntries memstat.Int `json:"peak_entries,omitzero"`
	Bytes       memstat.Int `json:"bytes,omitzero"`
	MaxBytes    memstat.Int `json:"max_bytes,omitzero"`
	PeakBytes   memstat.Int `json:"peak_bytes,omitzero"`
	Error       string      `json:"error,omitzero"`
}

func ownerDocuments(owners []memwarden.OwnerUsage) []ownerDocument {
	list := make([]ownerDocument, len(owners))
	figure := func(value int64) memstat.Int {
		if value == bounded.NotApplicable {
			return memstat.Int{}
		}
		return memstat.Known(value)
	}
	for i, o := range owners {
		u := o.Usage
		list[i] = ownerDocument{
			Name: o.Name, Entries: figure(u.Entries), MaxEntries: figure(u.MaxEntries), PeakEntries: figure(u.PeakEntries),
			Bytes: figure(u.Bytes), MaxBytes: figure(u.MaxBytes), PeakBytes: figure(u.PeakBytes),
		}
		if o.Err != nil {
			list[i].Error = o.Err.Error()
		}
	}
	return list
}

// historyDocument is a stretch of history by column: at[i] and each column's [i] belong together.
type historyDocument struct {
	ResolutionSeconds float64 `json:"resolution_seconds"`
	// SavedUntil is the time before which every point survives a crash; absent when nothing is stored.
	SavedUntil time.Time                `json:"saved_until,omitzero"`
	At         []int64                  `json:"at_unix_seconds"`
	Columns    map[string][]memstat.Int `json:"columns"`
}

func (h *handler) serveStats(w http.ResponseWriter, r *http.Request) {
	state := h.warden.State()
	if r.URL.RawQuery == "" {
		body, err := h.o.Live.statsBody(state)
		if err != nil {
			h.internal(w, r, "encode statistics", err)
			return
		}
		writeBody(w, http.StatusOK, jsonType, body)
		return
	}
	asked, err := h.history(r)
	if err != nil {
		NewProblem(http.StatusBadRequest, err.Error()).ServeHTTP(w, r)
		return
	}
	document := newStatsDocument(state, h.warden.Uptime())
	document.History = asked
	h.answer(w, r, document)
}

// history reads ?history=1s|10s|1m&since=…&until=….
func (h *handler) history(r *http.Request) (*historyDocument, error) {
	query := r.URL.Query()
	resolutions := map[string]time.Duration{"1s": time.Second, "10s": 10 * time.Second, "1m": time.Minute}
	text := query.Get("history")
	resolution, ok := resolutions[text]
	if !ok {
		return nil, fmt.Errorf("query history: %q: want 1s, 10s or 1m", text)
	}
	since, err := timeIn(query.Get("since"))
	if err != nil {
		return nil, fmt.Errorf("query since: %w", err)
	}
	until, err := timeIn(query.Get("until"))
	if err != nil {
		return nil, fmt.Errorf("query until: %w", err)
	}
	if !since.IsZero() && !until.IsZero() && !since.Before(until) {
		return nil, errors.New("query since: it is not before until")
	}
	past := h.warden.History()
	points, err := past.Points(resolution, since, until)
	if err != nil {
		return nil, err
	}
	return newHistoryDocument(resolution, past.SavedUntil(resolution), points), nil
}

func newHistoryDocument(resolution time.Duration, saved time.Time, points []history.Point) *historyDocument {
	names := history.Columns()
	d := &historyDocument{
		ResolutionSeconds: resolution.Seconds(), SavedUntil: saved,
		At: make([]int64, len(points)), Columns: make(map[string][]memstat.Int, len(names)),
	}
	for column, name := range names {
		values := make([]memstat.Int, len(points))
		for i, p := range points {
			if p.Values[column] != history.Absent {
				values[i] = memstat.Known(p.Values[column])
			}
		}
		d.Columns[name] = values
	}
	for i, p := range points {
		d.At[i] = p.At
	}
	return d
}

// timeIn reads a time as RFC 3339 or as Unix seconds; empty: the zero time.
func timeIn(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q: want Unix seconds or a time such as 2026-01-02T15:04:05Z", text)
	}
	return time.Unix(at, 0), nil
}

// memoryHealthDocument is the memory's level and the reasons for it, and what was decided about it.
type memoryHealthDocument struct {
	At       time.Time                `json:"at"`
	Level    pressure.Level           `json:"level"`
	Reason   string                   `json:"reason"`
	Pressure pressure.Decision        `json:"pressure"`
	Limit    *limit.Decision          `json:"limit,omitzero"`
	Relief   *gcpolicy.ReliefDecision `json:"relief,omitzero"`
	Problems []memstat.Problem        `json:"problems,omitzero"`
}

func (h *handler) serveMemoryHealth(w http.ResponseWriter, r *http.Request) {
	state := h.warden.State()
	document := memoryHealthDocument{
		At: state.Sample.At, Level: state.Pressure.Level, Reason: state.Pressure.Reason(),
		Pressure: state.Pressure, Problems: state.Problems,
	}
	if !h.warden.Remote() {
		document.Limit, document.Relief = &state.Limit, &state.Relief
	}
	h.answer(w, r, document)
}

// limitsDocument is every bound with its use and its peak.
type limitsDocument struct {
	At        time.Time       `json:"at"`
	Container containerLimits `json:"container"`
	Go        *limit.Decision `json:"go,omitzero"`
	Limits    []ownerDocument `json:"limits"`
}

type containerLimits struct {
	WorkingSetBytes memstat.Int `json:"working_set_bytes,omitzero"`
	CurrentBytes    memstat.Int `json:"current_bytes,omitzero"`
	PeakBytes       memstat.Int `json:"peak_bytes,omitzero"`
	MaxBytes        memstat.Int `json:"max_bytes,omitzero"`
	HighBytes       memstat.Int `json:"high_bytes,omitzero"`
	// Parents are the groups above that have a limit: siblings use it too.
	Parents memstat.Parents `json:"parents,omitzero"`
}

func (h *handler) serveLimits(w http.ResponseWriter, r *http.Request) {
	state := h.warden.State()
	c := state.Sample.Cgroup
	document := limitsDocument{
		At:        state.Sample.At,
		Container: containerLimits{c.WorkingSetBytes, c.CurrentBytes, c.PeakBytes, c.MaxBytes, c.HighBytes, c.Parents},
		Limits:    ownerDocuments(state.Owners),
	}
	if !h.warden.Remote() {
		document.Go = &state.Limit
	}
	h.answer(w, r, document)
}

const jsonType = "application/json"

// answer encodes a document.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, document any) {
	h.answerStatus(w, r, http.StatusOK, document)
}

func (h *handler) answerStatus(w http.ResponseWriter, r *http.Request, status int, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		h.internal(w, r, "encode answer", err)
		return
	}
	writeBody(w, status, jsonType, body)
}

// internal logs what went wrong and tells the client no more than that something did. What a client broke off by going
// away is not logged.
func (h *handler) internal(w http.ResponseWriter, r *http.Request, what string, err error) {
	if r.Context().Err() == nil {
		h.o.Logger.Error("memory API failed to answer", "doing", what, "method", r.Method, "path", r.URL.Path, "error", err)
	}
	NewProblem(http.StatusInternalServerError, "the server failed to "+what+"; its log says why").ServeHTTP(w, r)
}

// accepts reports whether a client prefers a media type by naming it in Accept.
func accepts(r *http.Request, mediaType string) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		name, _, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), mediaType) {
			return true
		}
	}
	return false
}
