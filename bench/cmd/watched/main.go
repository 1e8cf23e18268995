// Command watched is the small service of package target with a warden of default settings in it, whose history is
// full from the start, and whose routes are served.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bench/internal/target"
	"github.com/memwarden/memwarden/memhttp"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() (err error) {
	size := target.Flags()
	flag.Parse()
	ctx := context.Background()
	warden, err := memwarden.Start(ctx, memwarden.Options{Store: fullStore{now: time.Now}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, warden.Close(ctx)) }()
	if use := warden.History().Usage(); use.Entries != use.MaxEntries {
		return fmt.Errorf("the history holds %d points of %d", use.Entries, use.MaxEntries)
	}
	handler, err := memhttp.Handler(warden, memhttp.Options{})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	for _, route := range memhttp.Routes() {
		mux.Handle(route.Method+" "+route.Path, handler)
	}
	return target.Serve(*size, mux, os.Stdout)
}
