// Command clientgolang counts requests by their method, of which a client may make up as many as it likes.
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	_ "github.com/memwarden/memwarden/auto"
)

func main() {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total", Help: "Requests."}, []string{"code", "method"})
	prometheus.MustRegister(requests)
	handler := promhttp.InstrumentHandlerCounter(requests, http.NotFoundHandler())
	n := 0
	for next := time.Now(); ; next = next.Add(10 * time.Millisecond) {
		time.Sleep(time.Until(next)) // none if it is late
		for range 5 {
			n++
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(fmt.Sprint("M", n), "/", nil))
		}
	}
}
