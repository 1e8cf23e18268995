package memhttp

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/incident"
)

// incidentsDocument lists the incident bundles that are kept, and tells how the run before has ended.
type incidentsDocument struct {
	Incidents []incident.Record `json:"incidents"`
	// PreviousRun is absent where there was none.
	PreviousRun *incident.Previous `json:"previous_run,omitzero"`
}

// incidentEvent says to everyone that a bundle was written; what is in it is for admins.
type incidentEvent struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
	// Rule is what fired.
	Rule string `json:"rule"`
}

func (h *handler) serveIncidents(w http.ResponseWriter, r *http.Request) {
	kept, err := h.warden.Incidents()
	if err != nil {
		h.incidentProblem(w, r, err)
		return
	}
	h.answer(w, r, incidentsDocument{kept.List(), h.warden.PreviousRun()})
}

// incidentRequest is why somebody wants a bundle.
type incidentRequest struct {
	Reason string `json:"reason"`
}

const (
	askedReason = "it was asked for over HTTP"
	// longestIncident is more than the first parts of a bundle take, those of one before it included.
	longestIncident = time.Minute
)

// serveRecordIncident writes a bundle. What takes longer follows after the answer.
func (h *handler) serveRecordIncident(w http.ResponseWriter, r *http.Request) {
	asked := incidentRequest{Reason: askedReason}
	if problem, ok := decodeBody(r, &asked, DecodeLimits{Optional: true}); !ok {
		problem.ServeHTTP(w, r)
		return
	}
	if err := allowTime(w, longestIncident); err != nil {
		h.internal(w, r, "extend the write deadline", err)
		return
	}
	h.o.Logger.Info("memory incident bundle asked for", "peer", h.client(r))
	record, err := h.warden.RecordIncident(r.Context(), asked.Reason)
	if err != nil {
		h.incidentProblem(w, r, err)
		return
	}
	w.Header().Set("Location", "incidents/"+record.ID) // relative: the handler may be mounted anywhere
	h.answerStatus(w, r, http.StatusCreated, record)
}

func (h *handler) serveIncident(w http.ResponseWriter, r *http.Request) {
	if _, record, ok := h.findIncident(w, r); ok {
		h.answer(w, r, record)
	}
}

// serveIncidentFile sends a bundle as one file.
func (h *handler) serveIncidentFile(w http.ResponseWriter, r *http.Request) {
	kept, record, ok := h.findIncident(w, r)
	if !ok {
		return
	}
	// A client may take a second for each 256 KiB.
	if err := allowTime(w, time.Minute+time.Duration(record.Bytes>>18)*time.Second); err != nil {
		h.internal(w, r, "extend the write deadline", err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/gzip")
	header.Set("Content-Disposition", `attachment; filename="incident-`+record.ID+`.tar.gz"`)
	if r.Method == http.MethodHead {
		return
	}
	out := &startedWriter{Writer: w}
	switch err := kept.WriteTar(record.ID, out); {
	case err == nil || r.Context().Err() != nil: // all, or a client that has gone
	case out.started: // the file ends too early, which its form shows
		h.o.Logger.Error("memory incident bundle could not be sent to its end", "id", record.ID, "error", err)
	default:
		header.Del("Content-Disposition")
		h.incidentProblem(w, r, err)
	}
}

// startedWriter knows whether anything was written.
type startedWriter struct {
	io.Writer

	started bool
}

func (w *startedWriter) Write(p []byte) (int, error) {
	w.started = true
	return w.Writer.Write(p)
}

func (h *handler) serveDeleteIncident(w http.ResponseWriter, r *http.Request) {
	kept, err := h.warden.Incidents()
	if err == nil {
		err = kept.Delete(r.PathValue("id"))
	}
	if err != nil {
		h.incidentProblem(w, r, err)
		return
	}
	h.o.Logger.Info("memory incident bundle deleted", "id", r.PathValue("id"), "peer", h.client(r))
	w.WriteHeader(http.StatusNoContent)
}

// findIncident looks a bundle up; if there is none it has answered.
func (h *handler) findIncident(w http.ResponseWriter, r *http.Request) (*incident.Store, incident.Record, bool) {
	kept, err := h.warden.Incidents()
	var record incident.Record
	if err == nil {
		record, err = kept.Get(r.PathValue("id"))
	}
	if err != nil {
		h.incidentProblem(w, r, err)
		return nil, record, false
	}
	return kept, record, true
}

// incidentProblem answers what went wrong with a bundle. The sentences are for whoever asked: he has the token.
func (h *handler) incidentProblem(w http.ResponseWriter, r *http.Request, err error) {
	var early *memwarden.IncidentCooldownError
	switch {
	case errors.As(err, &early):
		p := NewProblem(http.StatusTooManyRequests, err.Error())
		p.RetryAfter = early.RetryAfter
		p.ServeHTTP(w, r)
	case errors.Is(err, incident.ErrNotFound):
		NewProblem(http.StatusNotFound, "there is no such incident bundle: it was deleted, became too old, or had to make room").ServeHTTP(w, r)
	case errors.Is(err, memwarden.ErrRemote), errors.Is(err, memwarden.ErrNoIncidents):
		NewProblem(http.StatusConflict, err.Error()).ServeHTTP(w, r)
	default: // too little memory or disk, a directory that cannot be written: the sentence says it
		if r.Context().Err() == nil {
			h.o.Logger.Error("memory incident bundle request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		NewProblem(http.StatusServiceUnavailable, err.Error()).ServeHTTP(w, r)
	}
}
