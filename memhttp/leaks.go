package memhttp

import (
	"net/http"

	"github.com/memwarden/memwarden"
)

type leaksDocument struct {
	Leaks []memwarden.KeptLeak `json:"leaks"`
}

// serveLeaks lists leak reports newest first, from one before ?before on.
func (h *handler) serveLeaks(w http.ResponseWriter, r *http.Request) {
	before, limit, err := pageOf(r)
	if err != nil {
		NewProblem(http.StatusBadRequest, err.Error()).ServeHTTP(w, r)
		return
	}
	leaks, err := h.warden.LeakReports(r.Context(), before, limit)
	if err != nil {
		h.o.Logger.Error("memory leak reports could not be read", "error", err)
		NewProblem(http.StatusServiceUnavailable, "the leak reports cannot be read at the moment; the log says why").ServeHTTP(w, r)
		return
	}
	h.answer(w, r, leaksDocument{append([]memwarden.KeptLeak{}, leaks...)})
}
