package memhttp

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/leak/track"
)

// cart is what a request is for.
type cart struct{ items [20]string }

// carts are all there ever were: the leak of the tests.
var carts struct {
	sync.Mutex
	list []*cart
}

// TestRetainedObjectsOverHTTP: what handlers track is released when they return, and is listed if it stays; healthy
// requests are not.
func TestRetainedObjectsOverHTTP(t *testing.T) {
	c := memwarden.DefaultConfig()
	c.Leaks = memwarden.LeakConfig{Enabled: true, IntervalSeconds: 0.1, WindowSeconds: 2, MinRiseRatio: 0.2, TrackCollections: 3}
	w := startWarden(t, memwarden.Options{Config: &c})
	h := mustHandler(t, w, Options{})
	t.Cleanup(func() { carts.list = nil })
	buy := func(owner string, keep bool) http.Handler {
		return TrackRequests(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
			one := &cart{}
			if keep {
				carts.Lock()
				carts.list = append(carts.list, one)
				carts.Unlock()
			}
			if _, err := memwarden.TrackContext(r.Context(), w, one, owner); err != nil {
				t.Error(err)
			}
			answer.WriteHeader(http.StatusNoContent)
		}))
	}
	server := http.NewServeMux()
	server.Handle("POST /buy/leaky", buy("leaky_carts", true))
	server.Handle("POST /buy/healthy", buy("healthy_carts", false))
	served := httptest.NewServer(server)
	defer served.Close()
	for range 7 {
		for _, path := range []string{"/buy/leaky", "/buy/healthy"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, served.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := served.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusNoContent {
				t.Fatalf("%v, %v", answer.Status, err)
			}
		}
	}
	var leaks []memwarden.KeptLeak
	for deadline := time.Now().Add(2 * time.Minute); len(leaks) == 0 || leaks[0].Status != "confirmed"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the leak is not listed: %+v, tracked are %+v", leaks, w.Tracked())
		}
		runtime.GC()
		var document struct{ Leaks []memwarden.KeptLeak }
		answer := ask(h, "GET", memoryPath+"/leaks", "", "Authorization", "")
		wantStatus(t, answer, http.StatusOK)
		decodeInto(t, answer, &document)
		leaks = document.Leaks
	}
	if len(leaks) != 1 || leaks[0].Owner != "leaky_carts" || leaks[0].Kind != memwarden.KindRetained || leaks[0].Type != "memhttp.cart" {
		t.Errorf("%+v", leaks)
	}
}

// TestTrackRequests: a scope ends with its handler, however that ends, and not with its client.
func TestTrackRequests(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	var kept []*cart
	follow := func(r *http.Request, owner string) {
		one := &cart{}
		kept = append(kept, one)
		if _, err := memwarden.TrackContext(r.Context(), w, one, owner); err != nil {
			t.Error(err)
		}
	}
	releasedOf := func(owner string) bool {
		return slices.ContainsFunc(w.Tracked(), func(g track.Tracked) bool { return g.Owner == owner && g.Released == 1 })
	}
	await := func(owner string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !releasedOf(owner); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not released: %+v", owner, w.Tracked())
			}
		}
	}
	client, leave := context.WithCancel(t.Context())
	r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(client)
	TrackRequests(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		follow(r, "busy")
		leave()
		<-r.Context().Done()
		// What is released when its own context is done shows that this one, which was tracked before, would have been.
		own, cancel := context.WithCancel(context.Background())
		one := &cart{}
		kept = append(kept, one)
		if _, err := memwarden.TrackContext(own, w, one, "own"); err != nil {
			t.Error(err)
		}
		cancel()
		await("own")
		if releasedOf("busy") {
			t.Error("it is released although the handler is still at work")
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
	await("busy")

	failed := errors.New("the handler fails")
	func() {
		defer func() {
			if reason := recover(); reason != failed {
				t.Errorf("the handler panicked with %v", reason)
			}
		}()
		TrackRequests(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			follow(r, "panicking")
			panic(failed)
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}()
	await("panicking")
	runtime.KeepAlive(kept)
}
