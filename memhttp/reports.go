package memhttp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/memwarden/memwarden"
)

// Reports keeps what browsers report.
type Reports = memwarden.Reports

// Report is an entry of Reports.
type Report = memwarden.Report

// frontendReport is the body of a report. Items are open: what is beside kind and at depends on the kind.
type frontendReport struct {
	Schema  *int               `json:"schema"`
	Release string             `json:"release"`
	Page    string             `json:"page"`
	SentAt  *time.Time         `json:"sent_at"`
	Items   []*json.RawMessage `json:"items"`
}

type frontendItem struct {
	Kind string     `json:"kind"`
	At   *time.Time `json:"at"`
}

// Bounds of a report, besides its size.
const (
	reportSchema    = 1
	maxReportItems  = 1000
	maxKindBytes    = 64
	maxReleaseBytes = 128
	maxPageBytes    = 2048

	defaultReports = 20
	maxReports     = 100
)

// receivedDocument answers a report.
type receivedDocument struct {
	ID int64 `json:"id"`
}

// serveReport keeps a report from a page, once however often it comes. A beacon that a page sends as it goes can only be text/plain.
func (h *handler) serveReport(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	if problem, ok := readBody(r, &body, DecodeLimits{Types: []string{jsonType, "text/plain"}}); !ok {
		problem.ServeHTTP(w, r)
		return
	}
	if problem, ok := checkReport(body); !ok {
		problem.ServeHTTP(w, r)
		return
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil { // it was read already
		h.internal(w, r, "compact a report", err)
		return
	}
	id, err := h.keep(r, compact.Bytes())
	if err != nil {
		h.o.Logger.Error("memory frontend report could not be stored", "error", err)
		NewProblem(http.StatusServiceUnavailable, "the report could not be stored; the log says why").ServeHTTP(w, r)
		return
	}
	h.answerStatus(w, r, http.StatusCreated, receivedDocument{id})
}

// checkReport refuses what is no report: 400 for what cannot be read, 422 with every field that cannot be used.
func checkReport(body []byte) (Problem, bool) {
	var report frontendReport
	if err := decodeStrict(body, &report); err != nil {
		return unreadable(describeJSON(err)), false
	}
	var fields []FieldProblem
	refuse := func(field, format string, args ...any) {
		if len(fields) < maxFieldProblems {
			fields = append(fields, FieldProblem{field, fmt.Sprintf(format, args...)})
		}
	}
	text := func(field, value string, most int) {
		if len(value) > most {
			refuse(field, "want at most %d bytes", most)
		}
	}
	if report.Schema == nil || *report.Schema != reportSchema {
		refuse("schema", "want %d", reportSchema)
	}
	text("release", report.Release, maxReleaseBytes)
	text("page", report.Page, maxPageBytes)
	if report.SentAt == nil {
		refuse("sent_at", "missing: want a time such as 2026-01-02T15:04:05Z")
	}
	if len(report.Items) == 0 || len(report.Items) > maxReportItems {
		refuse("items", "want 1 to %d", maxReportItems)
	}
	for i, raw := range report.Items[:min(len(report.Items), maxReportItems)] {
		place := fmt.Sprintf("items[%d]", i)
		var item frontendItem
		if raw == nil || !bytes.HasPrefix(*raw, []byte("{")) {
			refuse(place, "want an object")
		} else if err := json.Unmarshal(*raw, &item); err != nil {
			refuse(place, "%s", describeJSON(err))
		} else {
			if item.Kind == "" || len(item.Kind) > maxKindBytes {
				refuse(place+".kind", "want 1 to %d bytes", maxKindBytes)
			}
			if item.At == nil {
				refuse(place+".at", "missing: want a time such as 2026-01-02T15:04:05Z")
			}
		}
	}
	if len(fields) == 0 {
		return Problem{}, true
	}
	p := NewProblem(http.StatusUnprocessableEntity, "the report cannot be used: "+fields[0].Field+": "+fields[0].Detail)
	p.Errors = fields
	return p, false
}

// maxFieldProblems bounds an answer about a body with many mistakes.
const maxFieldProblems = 20

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
