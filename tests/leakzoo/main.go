// Command leakzoo is a service with a mistake: one of many by which real services lose memory, goroutines or descriptors,
// or one of those habits that only look like it. Each is small, but does it in the way in which it is done by accident, in
// the libraries with which it happens.
//
// What is watching is the library, as anybody would use it: the environment configures it, and it answers over HTTP. What
// must be found stands beside each program; the tests start them, one process each, and ask.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/settings"
)

// exhibit is a program of the zoo.
type exhibit struct {
	name string
	// run does it until ctx ends.
	run func(ctx context.Context, warden *memwarden.Warden) error
	// want is what must be found, each in a report of its own; none: it is healthy, and nothing must be.
	want []leak
}

// leak is what a report must say. What is empty is not looked at.
type leak struct {
	kind string
	// typ is the type of what is held, path the way to it from what holds it: parts of them.
	typ, path string
	// function is among those that allocated it, or in which the goroutines are.
	function string
	// owner is the registered owner that it belongs to.
	owner string
	// says is a part of the sentence.
	says string
	// perSecond is how fast it grows; what is found may be half or twice of it.
	perSecond float64
	// also lists kinds that may be found beside it, because they go with it.
	also []string
}

// exhibits are all there are.
func exhibits() []exhibit {
	return slices.Concat(heldByVariables(), heldByContexts(), heldByRuntime(), heldByLibraries(), heldByGoroutines(),
		heldByClients(), heldByKernel(), nativeLeaks(), lookAlikes())
}

func main() {
	var names []string
	for _, e := range exhibits() {
		names = append(names, e.name)
	}
	name := flag.String("leak", "", "one of "+strings.Join(names, ", "))
	addr := flag.String("addr", "127.0.0.1:0", "where to ask what was found; port 0 takes a free one")
	flag.Parse()
	i := slices.Index(names, *name)
	if i < 0 {
		log.Fatalf("-leak %q: want one of %s", *name, strings.Join(names, ", "))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *addr, exhibits()[i]); err != nil {
		log.Fatal(err)
	}
}

// serve runs an exhibit, and answers what is thought of it, until ctx ends.
func serve(ctx context.Context, addr string, e exhibit) (err error) {
	table := slices.Concat(memwarden.ConfigSettings(), memwarden.SnapshotSettings())
	values, err := settings.Resolve(table, settings.Layer{Source: "environment", Lookup: os.LookupEnv})
	if err != nil {
		return err
	}
	config, err := memwarden.ConfigFrom(values)
	if err != nil {
		return err
	}
	warden, err := memwarden.Start(ctx, memwarden.Options{Config: &config, Snapshot: memwarden.SnapshotOptionsFrom(values)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, warden.Close(context.WithoutCancel(ctx))) }()
	handler, err := memhttp.Handler(warden, memhttp.Options{})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	serving, end := context.WithCancelCause(ctx)
	go func() { end(server.Serve(listener)) }()
	err = e.run(serving, warden)
	return errors.Join(err, server.Close())
}

// every calls do so many times a second, with numbers from 0, until ctx ends or do fails.
func every(ctx context.Context, perSecond int, do func(n int) error) error {
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
			if err := do(n); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}
