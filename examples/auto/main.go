// Command auto counts, a number a second, with its memory watched: the blank import does it, configured by the
// environment alone.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "github.com/memwarden/memwarden/auto"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Println("counting until SIGTERM or Ctrl-C")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
			fmt.Println(n)
		case <-ctx.Done():
			return
		}
	}
}
