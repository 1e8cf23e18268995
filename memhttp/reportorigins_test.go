package memhttp

import (
	"net/http"
	"strings"
	"testing"

	"github.com/memwarden/memwarden"
)

func TestParseOrigins(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "*": "*", " , ": "", "https://App.example.com": "https://app.example.com", "https://a.example:443/, http://b:80 ,http://[::1]:8080": "https://a.example http://b http://[::1]:8080",
	} {
		if got, err := ParseOrigins(text); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"app.example.com", "https://", "https://:443", "ftp://a.example", "https://a.example/path", "https://u@a.example", "https://a.example?q=1", "null", "https://*.example", "://", "https://bücher.example"} {
		got, err := ParseOrigins(text)
		if err == nil {
			_, err = newReportOrigins(got)
		}
		if err == nil && !strings.Contains(text, "*.") { // is an origin that no page has
			t.Errorf("%q is %q", text, got)
		}
	}
	if _, err := ParseOrigins("https://bücher.example"); err == nil || !strings.Contains(err.Error(), "as browsers send it") {
		t.Error(err)
	}
	if _, err := Handler(startWarden(t, memwarden.Options{}), Options{ReportOrigins: []string{"elsewhere"}}); err == nil || !strings.Contains(err.Error(), "ReportOrigins") {
		t.Error(err)
	}
}

// TestReportOrigins: whose pages may send, by what browsers of today and of yesterday say.
func TestReportOrigins(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	own := mustHandler(t, w, Options{ReportRateLimit: 1e6, Name: "own"})
	some := mustHandler(t, w, Options{ReportRateLimit: 1e6, Name: "some", ReportOrigins: []string{"https://app.example"}})
	all := mustHandler(t, w, Options{ReportRateLimit: 1e6, Name: "all", ReportOrigins: []string{AnyOrigin}})
	for _, c := range []struct {
		header         []string
		own, some, all bool
		shared         string // Access-Control-Allow-Origin of some
	}{
		{nil, true, true, true, ""},
		{[]string{"Sec-Fetch-Site", "same-origin", "Origin", "https://service.example"}, true, true, true, ""},
		{[]string{"Origin", "http://example.com"}, true, true, true, ""}, // the host that the request is for
		{[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example"}, false, true, true, "https://app.example"},
		{[]string{"Sec-Fetch-Site", "same-site", "Origin", "https://other.example"}, false, false, true, ""},
		{[]string{"Origin", "https://app.example"}, false, true, true, "https://app.example"},
		{[]string{"Origin", "http://app.example"}, false, false, true, ""},
		{[]string{"Origin", "null"}, false, false, true, ""},
		{[]string{"Sec-Fetch-Site", "cross-site"}, false, false, true, ""},
	} {
		for h, allowed := range map[*handler]bool{own: c.own, some: c.some, all: c.all} {
			answer := ask(h, "POST", reportsPath, report("x"), append([]string{"Authorization", "", "Content-Type", "text/plain"}, c.header...)...)
			if allowed {
				wantStatus(t, answer, http.StatusCreated)
			} else {
				wantProblem(t, answer, http.StatusForbidden, "MEMWARDEN_FRONTEND_ORIGINS")
			}
			if vary := answer.Header().Get("Vary"); (vary == "Origin") != (h != own) {
				t.Errorf("%v: Vary: %q", c.header, vary)
			}
			if got := answer.Header().Get("Access-Control-Allow-Origin"); h == some && got != c.shared || h == own && got != "" {
				t.Errorf("%v: the answer is for %q", c.header, got)
			}
		}
	}
	preflight := []string{"Authorization", "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type"}
	answer := ask(some, "OPTIONS", reportsPath, "", preflight...)
	wantStatus(t, answer, http.StatusNoContent)
	for name, want := range map[string]string{"Access-Control-Allow-Origin": "https://app.example", "Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "Content-Type"} {
		if got := answer.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	wantProblem(t, ask(own, "OPTIONS", reportsPath, "", preflight...), http.StatusForbidden, "MEMWARDEN_FRONTEND_ORIGINS")
	wantProblem(t, ask(some, "OPTIONS", reportsPath, "", "Origin", "https://other.example"), http.StatusForbidden, "origin")
	// The other routes are for pages of no other origin.
	if got := ask(all, "GET", reportsPath, "", "Origin", "https://app.example").Header().Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("what administrators read is for %q", got)
	}
	few := mustHandler(t, w, Options{ReportRateLimit: 0.01, Name: "few", ReportOrigins: []string{"https://app.example"}})
	for range 2 {
		answer = ask(few, "POST", reportsPath, report("x"), "Origin", "https://app.example")
	}
	if answer.Code != http.StatusTooManyRequests || answer.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("%d, which the page cannot read", answer.Code)
	}
}
