package memhttp

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/internal/frontend"
)

// Reports keeps what browsers report.
type Reports = memwarden.Reports

// Report is an entry of Reports.
type Report = memwarden.Report

const (
	defaultReports = 20
	maxReports     = 100
)

// receivedDocument answers a report.
type receivedDocument struct {
	ID int64 `json:"id"`
}

// serveReport keeps a report from a page, once however often it comes. A beacon that a page sends as it goes can only be text/plain.
func (h *handler) serveReport(w http.ResponseWriter, r *http.Request) {
	if !h.reportOrigins.allows(r) {
		foreignOrigin().ServeHTTP(w, r)
		return
	}
	var body json.RawMessage
	if problem, ok := readBody(r, &body, DecodeLimits{Types: []string{jsonType, "text/plain"}}); !ok {
		problem.ServeHTTP(w, r)
		return
	}
	report, problem, ok := checkReport(body)
	if !ok {
		problem.ServeHTTP(w, r)
		return
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil { // it was read already
		h.internal(w, r, "compact a report", err)
		return
	}
	id, err := h.keep(r, compact.Bytes(), report)
	if err != nil {
		h.o.Logger.Error("memory frontend report could not be stored", "error", err)
		NewProblem(http.StatusServiceUnavailable, "the report could not be stored; the log says why").ServeHTTP(w, r)
		return
	}
	h.answerStatus(w, r, http.StatusCreated, receivedDocument{id})
}

// checkReport reads a report, or refuses what is none: 400 for what cannot be read, 422 with every field that cannot be used.
func checkReport(body []byte) (*frontend.Report, Problem, bool) {
	var read frontend.Body
	if err := decodeStrict(body, &read); err != nil {
		return nil, unreadable(describeJSON(err)), false
	}
	report, mistakes := read.Check()
	if len(mistakes) == 0 {
		return report, Problem{}, true
	}
	p := NewProblem(http.StatusUnprocessableEntity, "the report cannot be used: "+mistakes[0].Field+": "+mistakes[0].Detail)
	for _, m := range mistakes {
		p.Errors = append(p.Errors, FieldProblem(m))
	}
	return nil, p, false
}

// reportDocument is a report as an administrator sees it.
type reportDocument struct {
	ID         int64           `json:"id"`
	ReceivedAt time.Time       `json:"received_at"`
	Report     json.RawMessage `json:"report"`
}

type reportsDocument struct {
	Reports []reportDocument `json:"reports"`
}

// serveReports lists reports newest first, from one before ?before on.
func (h *handler) serveReports(w http.ResponseWriter, r *http.Request) {
	before, limit, err := pageOf(r)
	if err != nil {
		NewProblem(http.StatusBadRequest, err.Error()).ServeHTTP(w, r)
		return
	}
	list, err := h.o.Reports.List(r.Context(), before, limit)
	if err != nil {
		h.o.Logger.Error("memory frontend reports could not be read", "error", err)
		NewProblem(http.StatusServiceUnavailable, "the reports cannot be read at the moment; the log says why").ServeHTTP(w, r)
		return
	}
	document := reportsDocument{[]reportDocument{}}
	for _, one := range list {
		document.Reports = append(document.Reports, reportDocument{one.ID, one.At, one.Value})
	}
	h.answer(w, r, document)
}

// pageOf reads which part of a list of reports is asked for.
func pageOf(r *http.Request) (before int64, limit int, err error) {
	if limit, err = numberIn(r, "limit", defaultReports, 1, maxReports); err != nil {
		return 0, 0, err
	}
	below, err := numberIn(r, "before", 0, 1, math.MaxInt)
	return int64(below), limit, err
}
