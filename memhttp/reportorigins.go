package memhttp

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// AnyOrigin in Options.ReportOrigins lets the pages of all origins send reports.
const AnyOrigin = "*"

// ParseOrigins reads a list of origins, such as https://app.example.com, with commas between them; or AnyOrigin. They are
// returned as browsers write them.
func ParseOrigins(text string) ([]string, error) {
	var origins []string
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		origin, err := normalOrigin(one)
		if err != nil {
			return nil, err
		}
		origins = append(origins, origin)
	}
	return origins, nil
}

func normalOrigin(text string) (string, error) {
	if text == AnyOrigin {
		return text, nil
	}
	u, err := url.Parse(strings.ToLower(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%.80q: want an origin such as https://app.example.com, or * for all", text)
	}
	host := u.Host
	if strings.ContainsFunc(host, func(c rune) bool { return c > unicode.MaxASCII }) {
		return "", fmt.Errorf("%.80q: want the host as browsers send it, such as xn--bcher-kva.example", text)
	}
	if u.Scheme == "http" {
		host = strings.TrimSuffix(host, ":80")
	} else {
		host = strings.TrimSuffix(host, ":443")
	}
	return u.Scheme + "://" + host, nil
}

// reportOrigins decides whose pages may send reports: those of the service's own origin, and of the origins that are named.
// It relies on what browsers say; another program may say what it likes.
type reportOrigins struct {
	named []string
	check *http.CrossOriginProtection
}

func newReportOrigins(origins []string) (reportOrigins, error) {
	o := reportOrigins{check: http.NewCrossOriginProtection()}
	var mistakes []error
	for _, one := range origins {
		origin, err := normalOrigin(one)
		if err == nil && origin != AnyOrigin {
			err = o.check.AddTrustedOrigin(origin)
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("memhttp: ReportOrigins: %w", err))
		}
		o.named = append(o.named, origin)
	}
	return o, errors.Join(mistakes...)
}

// allows reports whether a page may send a report.
func (o reportOrigins) allows(r *http.Request) bool {
	return slices.Contains(o.named, AnyOrigin) || o.check.Check(r) == nil
}

// names reports whether the origin of a request is among those that are named.
func (o reportOrigins) names(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin != "" && (slices.Contains(o.named, AnyOrigin) || slices.Contains(o.named, origin))
}

// share lets a page of an origin that is named read the answer, which browsers keep from pages of other origins.
func (o reportOrigins) share(w http.ResponseWriter, r *http.Request) {
	if len(o.named) == 0 {
		return
	}
	w.Header().Set("Vary", "Origin")
	if o.names(r) {
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset")
	}
}

// servePreflight answers a browser that asks whether a page of another origin may send JSON. Text may be sent unasked.
func (h *handler) servePreflight(w http.ResponseWriter, r *http.Request) {
	if !h.reportOrigins.names(r) {
		foreignOrigin().ServeHTTP(w, r)
		return
	}
	w.Header().Set("Access-Control-Allow-Methods", http.MethodPost)
	w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
	w.Header().Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

func foreignOrigin() Problem {
	return NewProblem(http.StatusForbidden, "reports are taken from pages of this service's own origin, and of those that MEMWARDEN_FRONTEND_ORIGINS names")
}
