package memhttp

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestProblem(t *testing.T) {
	answer := httptest.NewRecorder()
	p := NewProblem(http.StatusServiceUnavailable, "not now")
	p.RetryAfter = 1001 * time.Millisecond
	p.ServeHTTP(answer, nil)
	wantStatus(t, answer, 503)
	wantHeaders(t, answer.Header(), "Retry-After", "2", "Content-Length", "106")
	want := `{"type":"urn:memwarden:problem:unavailable","title":"Service Unavailable","status":503,"detail":"not now"}`
	if answer.Body.String() != want {
		t.Errorf("wrote\n%s\nwant\n%s", answer.Body, want)
	}
}

// TestProblemTypes: each status that a route answers has a kind of its own, which does not change.
func TestProblemTypes(t *testing.T) {
	for status, want := range map[int]string{
		400: "bad-request", 401: "unauthorized", 403: "forbidden", 404: "not-found", 405: "method-not-allowed", 409: "conflict",
		412: "precondition-failed", 413: "body-too-large", 415: "unsupported-media-type", 422: "invalid", 429: "too-many-requests",
		500: "internal", 503: "unavailable", 418: "status-418",
	} {
		if got := NewProblem(status, "x"); got.Type != "urn:memwarden:problem:"+want || got.Title != http.StatusText(status) {
			t.Errorf("%d is %+v, want %s", status, got, want)
		}
	}
}

func TestWholeSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int64{0: 0, 1: 1, time.Second: 1, time.Second + 1: 2, time.Hour: 3600} {
		if got := wholeSeconds(d); got != want {
			t.Errorf("wholeSeconds(%v) = %d, want %d", d, got, want)
		}
	}
}
