package apitest

import (
	"context"
	"strings"
	"testing"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/server/internal/store"
)

// testConfigOfOthers: two instances of a service change the same store.
func testConfigOfOthers(t *testing.T, b *book) {
	shared := openStore(t)
	o := administered(t)
	one, other := b.serveHTTP(t, startWarden(t, memwarden.Options{Store: shared}), o), b.serveHTTP(t, startWarden(t, memwarden.Options{Store: shared}), o)
	patch := request{operation: "PATCH " + memory + "/config", body: `{"gc":{"relief":false}}`, token: token}
	one.send(t, 200, patch)
	other.send(t, 409, patch)
	other.send(t, 200, patch)
}

func testStoreLost(t *testing.T, b *book) {
	lost := openStore(t)
	o := administered(t)
	o.Reports = openReports(t, lost, store.FrontendReports)
	s := b.serveHTTP(t, startWarden(t, memwarden.Options{Store: lost, LeakReports: openReports(t, lost, store.LeakReports)}), o)
	closeStore(t, lost)
	s.send(t, 503, request{operation: "POST " + frontend, body: report})
	s.send(t, 503, request{operation: "GET " + frontend, token: token})
	for _, what := range []string{"/components", "/releases", "/leaks"} {
		s.send(t, 503, request{operation: "GET " + pages + what, token: token})
	}
	s.send(t, 503, request{operation: "GET " + memory + "/leaks", path: memory + "/leaks?before=9"})
	s.send(t, 503, request{operation: "GET " + memory + "/leaks/{id}", path: memory + "/leaks/1"})
	for _, verdict := range []request{{operation: "GET " + memory + "/leaks"}, {operation: "POST " + memory + "/leaks/check", token: token}} {
		if got := s.send(t, 200, verdict); !strings.Contains(string(got.body), `"incomplete":"the leak reports cannot be read`) {
			t.Errorf("%s", got.body)
		}
	}
	for _, verb := range []string{"acknowledge", "dismiss"} {
		s.send(t, 503, request{operation: "POST " + memory + "/leaks/{id}/" + verb, path: memory + "/leaks/1/" + verb, token: token})
	}
	s.send(t, 503, request{operation: "PATCH " + memory + "/config", body: `{"gc":{"relief":false}}`, token: token})
	s.send(t, 503, request{operation: "GET " + memory + "/config/audit", token: token})
	closed := startWarden(t, memwarden.Options{})
	s = b.serveHTTP(t, closed, administered(t))
	if err := closed.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.send(t, 503, request{operation: "POST " + memory + "/leaks/check", token: token})
}

func closeStore(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
