package memhttp

import (
	"encoding/json"
	"net/http"

	"github.com/memwarden/memwarden/health"
)

func (h *handler) serveLive(w http.ResponseWriter, r *http.Request)    { h.probe(w, r, health.Live) }
func (h *handler) serveReady(w http.ResponseWriter, r *http.Request)   { h.probe(w, r, health.Ready) }
func (h *handler) serveStartup(w http.ResponseWriter, r *http.Request) { h.probe(w, r, health.Startup) }

// serveHealth answers with everything that is checked, in the shape that users of Terminus know.
func (h *handler) serveHealth(w http.ResponseWriter, r *http.Request) {
	h.report(w, r, h.warden.Health().Report(r.Context(), health.All))
}

// probe answers an orchestrator, which reads the status code: in words for people with ?verbose, as JSON where the
// client asks for it.
func (h *handler) probe(w http.ResponseWriter, r *http.Request, probe health.Probe) {
	report := h.warden.Health().Report(r.Context(), probe)
	switch {
	case r.URL.Query().Has("verbose"):
		writeBody(w, statusOf(report), "text/plain; charset=utf-8", []byte(report.Text()))
	case accepts(r, jsonType) || accepts(r, healthType):
		h.report(w, r, report)
	default:
		writeBody(w, statusOf(report), "text/plain; charset=utf-8", []byte(string(report.Status)+"\n"))
	}
}

// healthType is the media type of health checks (draft-inadarei-api-health-check).
const healthType = "application/health+json"

func (h *handler) report(w http.ResponseWriter, r *http.Request, report health.Report) {
	body, err := json.Marshal(report)
	if err != nil {
		h.internal(w, r, "encode the health report", err)
		return
	}
	contentType := jsonType
	if accepts(r, healthType) {
		contentType = healthType
	}
	writeBody(w, statusOf(report), contentType, body)
}

func statusOf(report health.Report) int {
	if report.OK() {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}
