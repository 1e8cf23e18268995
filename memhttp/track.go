package memhttp

import (
	"net/http"

	"github.com/memwarden/memwarden"
)

// TrackRequests makes each request a scope: what a handler tracks with memwarden.TrackContext and the request's
// context, or one derived from it, is released when the handler returns or panics, and not already when its client
// goes. It costs a context and a copy of the request.
//
//	func buy(w http.ResponseWriter, r *http.Request) {
//		c := loadCart(r)
//		memwarden.TrackContext(r.Context(), warden, c, "carts") // nothing may hold the cart after the answer
//		…
//	}
//
//	http.Handle("POST /buy", memhttp.TrackRequests(http.HandlerFunc(buy)))
func TrackRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, end := memwarden.TrackScope(r.Context())
		defer end()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
