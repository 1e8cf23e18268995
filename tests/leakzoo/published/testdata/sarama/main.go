// Command sarama looks every now and then whether a broker is there: it opens a connection and closes it. The meters of
// the connection were held by the metrics library's ticker for ever.
package main

import (
	"io"
	"log"
	"net"
	"time"

	"github.com/Shopify/sarama"

	_ "github.com/memwarden/memwarden/auto"
)

// accept answers for a broker that is asked nothing.
func accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}()
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go accept(listener)
	for next := time.Now(); ; next = next.Add(20 * time.Millisecond) {
		time.Sleep(time.Until(next)) // none if it is late
		broker := sarama.NewBroker(listener.Addr().String())
		if err := broker.Open(sarama.NewConfig()); err != nil {
			log.Fatal(err)
		}
		if connected, err := broker.Connected(); err != nil || !connected {
			log.Fatal(connected, err)
		}
		if err := broker.Close(); err != nil {
			log.Fatal(err)
		}
	}
}
