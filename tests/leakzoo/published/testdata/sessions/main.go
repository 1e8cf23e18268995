// Command sessions answers requests, each with a session. The sessions of a request were kept in a global map, by the
// request, until somebody cleared them, which a handler without gorilla/mux around it had to do by itself.
package main

import (
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gorilla/sessions"

	_ "github.com/memwarden/memwarden/auto"
)

func main() {
	store := sessions.NewCookieStore([]byte("a key of the thirty-two bytes it needs"))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := store.Get(r, "visitor")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		session.Values["seen"] = true
		if err := session.Save(r, w); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	for next := time.Now(); ; next = next.Add(5 * time.Millisecond) {
		time.Sleep(time.Until(next)) // none if it is late
		answer := httptest.NewRecorder()
		if handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil)); answer.Code != http.StatusOK {
			log.Fatal(answer.Code, answer.Body)
		}
	}
}
