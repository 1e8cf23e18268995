// Command watermill has a topic for each request, to which it subscribes for as long as the request takes: the lock of
// each topic, and its empty list of subscribers, were kept.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	_ "github.com/memwarden/memwarden/auto"
)

func main() {
	topics := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	n := 0
	for next := time.Now(); ; next = next.Add(5 * time.Millisecond) {
		time.Sleep(time.Until(next)) // none if it is late
		n++
		ctx, cancel := context.WithCancel(context.Background())
		answers, err := topics.Subscribe(ctx, fmt.Sprint("answers to request ", n))
		if err != nil {
			log.Fatal(err)
		}
		cancel()
		<-answers // it is closed once the subscription is over
	}
}
