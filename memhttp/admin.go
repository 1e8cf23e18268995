package memhttp

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/settings"
)

// gcRequest is the body of a forced collection; all of it may be left out.
type gcRequest struct {
	// ReturnToOS returns free heap to the operating system as well.
	ReturnToOS bool `json:"return_to_os"`
}

// longestCollection is more than a collection of a heap of 100 GiB takes.
const longestCollection = 5 * time.Minute

func (h *handler) serveGC(w http.ResponseWriter, r *http.Request) {
	var request gcRequest
	if problem, ok := decodeBody(r, &request, DecodeLimits{Optional: true}); !ok {
		problem.ServeHTTP(w, r)
		return
	}
	if err := allowTime(w, longestCollection); err != nil {
		h.internal(w, r, "extend the write deadline", err)
		return
	}
	// The reason is part of the live stream, which may be open to all: who asked is for the log alone.
	h.o.Logger.Info("memory collection asked for", "peer", h.client(r), "return_to_os", request.ReturnToOS)
	result, err := h.warden.GC(r.Context(), "asked for over HTTP", request.ReturnToOS)
	switch {
	case errors.Is(err, memwarden.ErrRemote):
		NewProblem(http.StatusConflict, err.Error()).ServeHTTP(w, r)
	case err != nil:
		h.internal(w, r, "collect garbage", err)
	default:
		h.answer(w, r, result)
	}
}

func (h *handler) serveConfig(w http.ResponseWriter, r *http.Request) {
	document := h.warden.Config()
	w.Header().Set("ETag", etag(document.Version))
	h.answer(w, r, document)
}

// servePatchConfig takes a JSON merge patch; If-Match makes it conditional on a version, ?dry_run=true only checks.
func (h *handler) servePatchConfig(w http.ResponseWriter, r *http.Request) {
	patch := memwarden.ConfigPatch{Actor: "admin", Peer: h.client(r)}
	var err error
	if patch.DryRun, err = boolIn(r, "dry_run"); err != nil {
		NewProblem(http.StatusBadRequest, err.Error()).ServeHTTP(w, r)
		return
	}
	if patch.IfVersion, err = versionIn(r.Header.Get("If-Match")); err != nil {
		NewProblem(http.StatusBadRequest, err.Error()).ServeHTTP(w, r)
		return
	}
	if problem, ok := readBody(r, &patch.Patch, DecodeLimits{Types: []string{jsonType, "application/merge-patch+json"}, Optional: true}); !ok {
		problem.ServeHTTP(w, r)
		return
	}
	document, err := h.warden.PatchConfig(r.Context(), patch)
	if err != nil {
		h.configProblem(w, r, err)
		return
	}
	w.Header().Set("ETag", etag(document.Version))
	h.answer(w, r, document)
}

func (h *handler) configProblem(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, memwarden.ErrMalformedPatch):
		NewProblem(http.StatusBadRequest, err.Error()).ServeHTTP(w, r)
	case errors.Is(err, memwarden.ErrVersionConflict):
		status := http.StatusConflict // another instance on the same store was faster
		if r.Header.Get("If-Match") != "" {
			status = http.StatusPreconditionFailed
		}
		NewProblem(status, err.Error()).ServeHTTP(w, r)
	case errors.Is(err, memwarden.ErrStore), errors.Is(err, memwarden.ErrStoreUnknown):
		h.o.Logger.Error("memory configuration could not be stored", "error", err)
		told := memwarden.ErrStore
		if errors.Is(err, memwarden.ErrStoreUnknown) {
			told = memwarden.ErrStoreUnknown
		}
		NewProblem(http.StatusServiceUnavailable, told.Error()+"; the log says why").ServeHTTP(w, r)
	default:
		fields := fieldProblems(err)
		if len(fields) == 0 {
			h.internal(w, r, "change the configuration", err)
			return
		}
		detail := fmt.Sprintf("%d fields cannot be used; nothing was changed", len(fields))
		if len(fields) == 1 {
			detail = fields[0].Field + " cannot be used; nothing was changed"
		}
		p := NewProblem(http.StatusUnprocessableEntity, detail)
		p.Errors = fields
		p.ServeHTTP(w, r)
	}
}

// fieldProblems collects the *settings.FieldError of a joined error.
func fieldProblems(err error) []FieldProblem {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []FieldProblem
		for _, one := range joined.Unwrap() {
			all = append(all, fieldProblems(one)...)
		}
		return all
	}
	var field *settings.FieldError
	if errors.As(err, &field) {
		return []FieldProblem{{Field: field.Field, Detail: field.Message}}
	}
	return nil
}

// auditDocument lists configuration changes, newest first.
type auditDocument struct {
	Changes []memwarden.ConfigChange `json:"changes"`
}

const (
	defaultAuditEntries = 50
	maxAuditEntries     = 1000
)

func (h *handler) serveConfigAudit(w http.ResponseWriter, r *http.Request) {
	most, err := numberIn(r, "limit", defaultAuditEntries, 1, maxAuditEntries)
	if err != nil {
		NewProblem(http.StatusBadRequest, err.Error()).ServeHTTP(w, r)
		return
	}
	changes, err := h.warden.ConfigChanges(r.Context(), most)
	if err != nil {
		h.o.Logger.Error("memory configuration audit could not be read", "error", err)
		NewProblem(http.StatusServiceUnavailable, "the store cannot be read at the moment; the log says why").ServeHTTP(w, r)
		return
	}
	if changes == nil {
		changes = []memwarden.ConfigChange{}
	}
	h.answer(w, r, auditDocument{changes})
}

// cleanupDocument lists the cleanup tasks.
type cleanupDocument struct {
	Tasks []cleanup.Status `json:"tasks"`
}

func (h *handler) serveCleanup(w http.ResponseWriter, r *http.Request) {
	tasks := h.warden.Cleanup().Status()
	if tasks == nil {
		tasks = []cleanup.Status{}
	}
	h.answer(w, r, cleanupDocument{tasks})
}

func (h *handler) serveRunCleanup(w http.ResponseWriter, r *http.Request) {
	if problem, ok := decodeBody(r, &struct{}{}, DecodeLimits{Optional: true}); !ok {
		problem.ServeHTTP(w, r)
		return
	}
	name := r.PathValue("name")
	tasks := h.warden.Cleanup().Status()
	if i := slices.IndexFunc(tasks, func(s cleanup.Status) bool { return s.Name == name }); i >= 0 {
		if err := allowTime(w, tasks[i].Timeout); err != nil {
			h.internal(w, r, "extend the write deadline", err)
			return
		}
	}
	result, err := h.warden.Cleanup().Run(r.Context(), name, cleanup.Manual)
	switch {
	case errors.Is(err, cleanup.ErrUnknownTask):
		NewProblem(http.StatusNotFound, fmt.Sprintf("there is no cleanup task %q", name)).ServeHTTP(w, r)
	case errors.Is(err, cleanup.ErrRunning):
		NewProblem(http.StatusConflict, fmt.Sprintf("cleanup task %q is running", name)).ServeHTTP(w, r)
	case errors.Is(err, cleanup.ErrClosed):
		NewProblem(http.StatusServiceUnavailable, "the warden is closing").ServeHTTP(w, r)
	case result.At.IsZero(): // the client has gone before it ran
		h.internal(w, r, "run cleanup task "+strconv.Quote(name), err)
	default: // a task that failed says so in its result
		h.answer(w, r, result)
	}
}

func boolIn(r *http.Request, name string) (bool, error) {
	query := r.URL.Query()
	if !query.Has(name) {
		return false, nil
	}
	text := query.Get(name)
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("query %s: %q: want true or false", name, text)
	}
	return value, nil
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// versionIn reads an If-Match header: a quoted version; empty or *: nil, whichever is newest.
func versionIn(text string) (*int64, error) {
	if text == "" || text == "*" {
		return nil, nil
	}
	version, err := strconv.ParseInt(strings.Trim(text, `"`), 10, 64)
	if err != nil || version < 0 {
		return nil, fmt.Errorf("If-Match: %q: want the version that GET answered as ETag", text)
	}
	return &version, nil
}
