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
	for range time.Tick(10 * time.Millisecond) {
		for range 30 {
			requests, err := otel.Meter("shop").Int64Counter("requests")
			if err != nil {
				log.Fatal(err)
			}
			requests.Add(context.Background(), 1)
		}
	}
}
