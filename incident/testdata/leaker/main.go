// Command leaker leaks until the kernel kills it, with a warden in it that writes incident bundles. It is what the tests
// and the benchmarks of bundles run in a memory cgroup.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/memwarden/memwarden"
)

// held is what is never given back.
var (
	chunks  [][]byte
	objects *object
	forever = make(chan struct{})
)

type object struct {
	data [15]int64
	next *object
}

const (
	tick       = 5 * time.Millisecond
	chunkBytes = 256 << 10
)

func main() {
	dir := flag.String("dir", "", "directory of the bundles")
	rate := flag.Float64("rate", 200, "bytes a second, in millions; 0: it waits to be killed")
	shape := flag.String("shape", "chunks", "what leaks: chunks, objects, goroutines")
	base := flag.Int("base", 0, "MiB that are held before the leak begins")
	rest := flag.Duration("rest", 0, "how long it rests before that")
	flag.Parse()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	w, err := memwarden.Start(context.Background(), memwarden.Options{Incidents: memwarden.IncidentOptions{Dir: *dir}, Logger: logger})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for range *base * 4 {
		leakChunk()
	}
	time.Sleep(*rest)
	fmt.Println("leaking")
	leak(*shape, *rate*1e6)
	if err := w.Close(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// leak keeps pace with the clock; what the process was too slow for it does not make up for.
func leak(shape string, bytesPerSecond float64) {
	for last, owed := time.Now(), 0.0; bytesPerSecond > 0; time.Sleep(tick) {
		now := time.Now()
		owed = min(owed+bytesPerSecond*now.Sub(last).Seconds(), bytesPerSecond/2)
		last = now
		for owed > 0 {
			switch shape {
			case "objects":
				leakObject()
				owed -= 128
			case "goroutines":
				go leakGoroutine()
				owed -= 2500 // a stack of 2 KiB and what goes with it
			default:
				leakChunk()
				owed -= chunkBytes
			}
		}
	}
	<-forever
}

//go:noinline
func leakChunk() {
	c := make([]byte, chunkBytes)
	for i := 0; i < len(c); i += 4096 {
		c[i] = 1
	}
	chunks = append(chunks, c)
}

//go:noinline
func leakObject() { objects = &object{next: objects} }

func leakGoroutine() { <-forever }
