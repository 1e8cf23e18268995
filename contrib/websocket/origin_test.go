package websocket

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// authority is the twin of url.Parse: what a browser would connect to for an origin.
func authority(origin string) string {
	_, rest, _ := strings.Cut(origin, "//")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest[strings.LastIndex(rest, "@")+1:]
}

// FuzzOrigin: a page gets in that is of the host itself or of an origin in the options, whatever the header looks like.
func FuzzOrigin(f *testing.F) {
	for _, origin := range []string{
		"https://hub.test", "http://hub.test:80", "null", "", "https://hub.test.evil.net", "https://evil.net/hub.test", "https://hub.test@evil.net",
		"https://evil.net#hub.test", "https://evil.net?//hub.test", "//hub.test", `https://evil.net\hub.test`, "https://[::1]:80", "https://%68ub.test",
	} {
		f.Add(origin, "hub.test", "https://App.example.com")
		f.Add(origin, authority(origin), origin)
	}
	f.Fuzz(func(t *testing.T, origin, host, listed string) {
		origins := map[string]bool{}
		if normal, err := normalOrigin(listed); err == nil {
			origins[normal] = true
			if !allowed(&http.Request{Host: host, Header: http.Header{"Origin": {listed}}}, origins) {
				t.Errorf("%q is in the options and does not get in", listed)
			}
		}
		r := &http.Request{Host: host, Header: http.Header{"Origin": {origin}}}
		if allowed(r, origins) && !origins[strings.ToLower(origin)] {
			same := authority(origin)
			plain, err := url.PathUnescape(same)
			if host == "" || !strings.EqualFold(same, host) && (err != nil || !strings.EqualFold(plain, host)) {
				t.Errorf("a page of %q gets in at %q", origin, host)
			}
		}
		r.Header["Origin"] = []string{origin, origin}
		if allowed(r, origins) {
			t.Errorf("%q gets in twice", origin)
		}
		if r.Header = nil; !allowed(r, origins) {
			t.Error("who comes from no page does not get in")
		}
	})
}
