package memhttp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Problem is an error answer (RFC 9457), sent as application/problem+json.
type Problem struct {
	Type   string `json:"type"` // urn:memwarden:problem:…, stable
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Errors name the fields of the body that cannot be used.
	Errors []FieldProblem `json:"errors,omitzero"`
	// RetryAfter is sent as the Retry-After header, in seconds rounded up.
	RetryAfter time.Duration `json:"-"`
}

// FieldProblem is one field of a body that cannot be used.
type FieldProblem struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// problemTypes are the kinds of problems by status: a kind has one status, a status may have several kinds.
var problemTypes = map[int]string{
	http.StatusBadRequest:                   "bad-request",
	http.StatusUnauthorized:                 "unauthorized",
	http.StatusForbidden:                    "forbidden",
	http.StatusNotFound:                     "not-found",
	http.StatusMethodNotAllowed:             "method-not-allowed",
	http.StatusConflict:                     "conflict",
	http.StatusPreconditionFailed:           "precondition-failed",
	http.StatusRequestEntityTooLarge:        "body-too-large",
	http.StatusUnsupportedMediaType:         "unsupported-media-type",
	http.StatusUnprocessableEntity:          "invalid",
	http.StatusRequestedRangeNotSatisfiable: "no-such-range",
	http.StatusTooManyRequests:              "too-many-requests",
	http.StatusInternalServerError:          "internal",
	http.StatusServiceUnavailable:           "unavailable",
}

// NewProblem builds a problem of the kind that belongs to a status.
func NewProblem(status int, detail string) Problem {
	kind, ok := problemTypes[status]
	if !ok {
		kind = "status-" + strconv.Itoa(status)
	}
	return Problem{Type: "urn:memwarden:problem:" + kind, Title: http.StatusText(status), Status: status, Detail: detail}
}

// MethodNotAllowed answers a request whose method is none of those that its path has. Where GET is one, so is HEAD.
func MethodNotAllowed(allowed ...string) http.Handler {
	methods := slices.Clone(allowed)
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		detail := fmt.Sprintf("%s is not possible at %s: use %s", r.Method, r.URL.Path, strings.Join(methods, " or "))
		NewProblem(http.StatusMethodNotAllowed, detail).ServeHTTP(w, r)
	})
}

// ServeHTTP writes the problem.
func (p Problem) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(wholeSeconds(p.RetryAfter), 10))
	}
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"the answer could not be encoded"}`)
		p.Status = http.StatusInternalServerError
	}
	writeBody(w, p.Status, "application/problem+json", body)
}

// wholeSeconds rounds up: a client that waits that long has waited enough.
func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone is not our error
}
