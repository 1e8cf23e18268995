// Command otel asks for the same counter at each request, and has no provider of metrics: the one that stands in for it
// kept every counter that it was asked for, to hand them over one day.
package main

import (
	"context"
	"log"
	"time"

	"go.opentelemetry.io/otel"

	_ "github.com/memwarden/memwarden/auto"
)

func main() {
	for next := time.Now(); ; next = next.Add(10 * time.Millisecond) {
		time.Sleep(time.Until(next)) // none if it is late
		for range 30 {
			requests, err := otel.Meter("shop").Int64Counter("requests")
			if err != nil {
				log.Fatal(err)
			}
			requests.Add(context.Background(), 1)
		}
	}
}
