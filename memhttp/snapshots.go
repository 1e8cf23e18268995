package memhttp

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/heap/archive"
	"github.com/memwarden/memwarden/heap/retain"
)

// snapshotDocument is a heap snapshot that is kept.
type snapshotDocument struct {
	ID           string    `json:"id"`
	TakenAt      time.Time `json:"taken_at"`
	Bytes        int64     `json:"bytes"` // of the file
	Executable   string    `json:"executable,omitzero"`
	GoVersion    string    `json:"go_version,omitzero"`
	Method       string    `json:"method,omitzero"`
	PauseSeconds float64   `json:"pause_seconds"`
	Objects      uint64    `json:"objects"`
	HeapBytes    uint64    `json:"heap_bytes"` // of all objects
	// Analyzed tells that an analysis is kept beside it.
	Analyzed bool `json:"analyzed"`
	// Failure says why there is no analysis; absent while there is one, and while nobody has asked for it.
	Failure  string           `json:"failure,omitzero"`
	Analysis *retain.Analysis `json:"analysis,omitzero"`
}

func newSnapshotDocument(r archive.Record) snapshotDocument {
	return snapshotDocument{
		ID: r.ID, TakenAt: r.At, Bytes: r.Bytes, Executable: r.Header.Executable, GoVersion: r.Header.GoVersion,
		Method: string(r.Header.Method), PauseSeconds: r.Summary.PauseSeconds,
		Objects: r.Summary.Objects, HeapBytes: r.Summary.AllocatedBytes, Analyzed: r.Analyzed, Failure: r.Failure,
	}
}

// snapshotsDocument lists the snapshots that are kept.
type snapshotsDocument struct {
	Snapshots []snapshotDocument `json:"snapshots"`
}

// longestAnalysis is more than the analysis of 100 million objects takes.
const longestAnalysis = 5 * time.Minute

// serveTakeSnapshot takes a snapshot and analyses it. What goes wrong with the analysis is told in the record: the
// snapshot can be analysed later, or elsewhere.
func (h *handler) serveTakeSnapshot(w http.ResponseWriter, r *http.Request) {
	if problem, ok := decodeBody(r, &struct{}{}, DecodeLimits{Optional: true}); !ok {
		problem.ServeHTTP(w, r)
		return
	}
	if err := allowTime(w, 2*longestAnalysis); err != nil {
		h.internal(w, r, "extend the write deadline", err)
		return
	}
	h.o.Logger.Info("memory heap snapshot asked for", "peer", h.client(r))
	record, err := h.warden.StoreSnapshot(r.Context())
	if err != nil {
		h.snapshotProblem(w, r, err)
		return
	}
	document := newSnapshotDocument(record)
	if _, err := h.warden.AnalyzeSnapshot(r.Context(), record.ID); err != nil {
		document.Failure = err.Error()
	} else {
		document.Analyzed = true
	}
	w.Header().Set("Location", "snapshots/"+record.ID) // relative: the handler may be mounted anywhere
	h.answerStatus(w, r, http.StatusCreated, document)
}

func (h *handler) serveSnapshots(w http.ResponseWriter, r *http.Request) {
	kept, err := h.warden.Snapshots()
	if err != nil {
		h.snapshotProblem(w, r, err)
		return
	}
	document := snapshotsDocument{[]snapshotDocument{}}
	for _, record := range kept.List() {
		document.Snapshots = append(document.Snapshots, newSnapshotDocument(record))
	}
	h.answer(w, r, document)
}

const (
	defaultTop = 30
	maxTop     = 1000
)

// serveSnapshot answers with a snapshot's record and the top of its analysis, which the first request for it makes.
func (h *handler) serveSnapshot(w http.ResponseWriter, r *http.Request) {
	top, err := numberIn(r, "top", defaultTop, 1, maxTop)
	if err != nil {
		NewProblem(http.StatusBadRequest, err.Error()).ServeHTTP(w, r)
		return
	}
	record, ok := h.findSnapshot(w, r, r.PathValue("id"))
	if !ok {
		return
	}
	if err := allowTime(w, longestAnalysis); err != nil {
		h.internal(w, r, "extend the write deadline", err)
		return
	}
	document := newSnapshotDocument(record)
	if r.Method == http.MethodHead && !record.Analyzed { // it must not start work
		h.answer(w, r, document)
		return
	}
	switch a, err := h.warden.AnalyzeSnapshot(r.Context(), record.ID); {
	case errors.Is(err, archive.ErrNotFound): // it went meanwhile
		h.snapshotProblem(w, r, err)
		return
	case err != nil:
		document.Failure = err.Error()
	default:
		document.Analyzed, document.Analysis = true, topOf(a, top)
	}
	h.answer(w, r, document)
}

// topOf shortens the lists of an analysis.
func topOf(a *retain.Analysis, top int) *retain.Analysis {
	short := *a
	short.Types = short.Types[:min(top, len(short.Types))]
	short.Suspects = short.Suspects[:min(top, len(short.Suspects))]
	short.Roots = short.Roots[:min(top, len(short.Roots))]
	short.Goroutines = short.Goroutines[:min(top, len(short.Goroutines))]
	short.Shared = short.Shared[:min(top, len(short.Shared))]
	short.Pins = short.Pins[:min(top, len(short.Pins))]
	return &short
}

// serveSnapshotFile sends the file, in parts if the client asks for a range.
func (h *handler) serveSnapshotFile(w http.ResponseWriter, r *http.Request) {
	record, ok := h.findSnapshot(w, r, r.PathValue("id"))
	if !ok {
		return
	}
	kept, err := h.warden.Snapshots()
	if err != nil {
		h.snapshotProblem(w, r, err)
		return
	}
	file, err := kept.OpenFile(record.ID)
	if err != nil {
		h.snapshotProblem(w, r, err)
		return
	}
	defer func() { _ = file.Close() }() // only read
	// A client may take a second for each 256 KiB.
	if err := allowTime(w, time.Minute+time.Duration(record.Bytes>>18)*time.Second); err != nil {
		h.internal(w, r, "extend the write deadline", err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Disposition", `attachment; filename="`+record.ID+`.snapshot"`)
	header.Set("ETag", `"`+record.ID+`"`)
	http.ServeContent(&rangeWriter{ResponseWriter: w}, onlyRange(r), "", time.Time{}, file)
}

// onlyRange is the request with no other conditions than those on a range: nothing here is kept by caches. Of several
// ranges none is: that is allowed, and what asks for them takes the whole.
func onlyRange(r *http.Request) *http.Request {
	plain := r.Clone(r.Context())
	for _, condition := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		plain.Header.Del(condition)
	}
	if strings.Contains(r.Header.Get("Range"), ",") {
		plain.Header.Del("Range")
	}
	return plain
}

// rangeWriter turns the plain text of a range that cannot be had into a problem.
type rangeWriter struct {
	http.ResponseWriter

	refused bool
}

func (w *rangeWriter) WriteHeader(status int) {
	if status != http.StatusRequestedRangeNotSatisfiable {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.refused = true
	header := w.Header()
	for _, name := range []string{"Content-Disposition", "ETag", "Accept-Ranges"} {
		header.Del(name)
	}
	SetSecurityHeaders(header) // net/http takes some of them away
	NewProblem(status, "the file has no such range: its size is in Content-Range").ServeHTTP(w.ResponseWriter, nil)
}

func (w *rangeWriter) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

func (w *rangeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (h *handler) serveDeleteSnapshot(w http.ResponseWriter, r *http.Request) {
	kept, err := h.warden.Snapshots()
	if err == nil {
		err = kept.Delete(r.PathValue("id"))
	}
	if err != nil {
		h.snapshotProblem(w, r, err)
		return
	}
	h.o.Logger.Info("memory heap snapshot deleted", "id", r.PathValue("id"), "peer", h.client(r))
	w.WriteHeader(http.StatusNoContent)
}

// comparisonDocument is what has changed from one snapshot to another.
type comparisonDocument struct {
	From       snapshotDocument   `json:"from"`
	To         snapshotDocument   `json:"to"`
	Difference *retain.Difference `json:"difference"`
}

func (h *handler) serveCompareSnapshots(w http.ResponseWriter, r *http.Request) {
	if err := allowTime(w, 2*longestAnalysis); err != nil {
		h.internal(w, r, "extend the write deadline", err)
		return
	}
	var document comparisonDocument
	var both [2]*retain.Analysis
	for i, side := range []struct {
		name string
		into *snapshotDocument
	}{{"from", &document.From}, {"to", &document.To}} {
		id := r.URL.Query().Get(side.name)
		if id == "" {
			NewProblem(http.StatusBadRequest, "query "+side.name+": want the id of a snapshot").ServeHTTP(w, r)
			return
		}
		record, ok := h.findSnapshot(w, r, id)
		if !ok {
			return
		}
		a, err := h.warden.AnalyzeSnapshot(r.Context(), id)
		if err != nil {
			h.snapshotProblem(w, r, fmt.Errorf("snapshot %s: %w", id, err))
			return
		}
		*side.into, both[i] = newSnapshotDocument(record), a
		side.into.Analyzed = true
	}
	document.Difference = retain.Diff(both[0], both[1])
	h.answer(w, r, document)
}

// findSnapshot looks a snapshot up; if there is none it has answered.
func (h *handler) findSnapshot(w http.ResponseWriter, r *http.Request, id string) (archive.Record, bool) {
	kept, err := h.warden.Snapshots()
	var record archive.Record
	if err == nil {
		record, err = kept.Get(id)
	}
	if err != nil {
		h.snapshotProblem(w, r, err)
		return archive.Record{}, false
	}
	return record, true
}

// snapshotProblem answers what went wrong with a snapshot. The sentences are for whoever asked: he has the token.
func (h *handler) snapshotProblem(w http.ResponseWriter, r *http.Request, err error) {
	var early *memwarden.SnapshotCooldownError
	switch {
	case errors.As(err, &early):
		p := NewProblem(http.StatusTooManyRequests, err.Error())
		p.RetryAfter = early.RetryAfter
		p.ServeHTTP(w, r)
	case errors.Is(err, archive.ErrNotFound):
		NewProblem(http.StatusNotFound, "there is no such snapshot: it was deleted, became too old, or had to make room").ServeHTTP(w, r)
	case errors.Is(err, memwarden.ErrRemote), errors.Is(err, memwarden.ErrSnapshotBusy),
		errors.Is(err, memwarden.ErrNoSnapshotDir), errors.Is(err, memwarden.ErrSnapshotDisabled):
		NewProblem(http.StatusConflict, err.Error()).ServeHTTP(w, r)
	default: // too little memory or disk, a fork that was refused, a version of Go that is not known: the sentence says it
		if r.Context().Err() == nil {
			h.o.Logger.Error("memory heap snapshot request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		NewProblem(http.StatusServiceUnavailable, err.Error()).ServeHTTP(w, r)
	}
}
