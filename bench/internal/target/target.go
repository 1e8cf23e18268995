// Package target is a small service as there are many: it answers over net/http, holds a little memory, and waits. It
// is what the cost of being watched is measured on.
//
// It knows nothing of memwarden: cmd/plain runs it as it is, cmd/watched with a warden in it.
package target

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// Size is what a service holds.
type Size struct {
	Bytes      int           // of its heap
	Goroutines int           // that wait
	Every      time.Duration // how often it wakes and does nothing; 0: never
}

// Flags defines the command line of a program with such a service: by itself it is a small one.
func Flags() *Size {
	s := &Size{}
	flag.IntVar(&s.Bytes, "bytes", 1<<20, "bytes of the heap")
	flag.IntVar(&s.Goroutines, "goroutines", 8, "goroutines that wait")
	flag.DurationVar(&s.Every, "every", 0, "how often it wakes and does nothing; 0: never")
	return s
}

const recordBytes = 256

// record is what the heap is made of, with a pointer as most things have.
type record struct {
	next *record
	text [recordBytes - 8]byte
}

// hold makes a list of so many bytes.
func hold(bytes int) (all *record) {
	for range bytes / recordBytes {
		all = &record{next: all}
		all.text[0] = 1
	}
	return all
}

// wake is what looks at something now and then, and finds nothing to do.
func wake(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Listening begins the line that tells where the service listens.
const Listening = "listening on "

// Serve answers GET / and what mux has besides, on a free port of the loopback interface that it writes to out, until
// SIGTERM.
func Serve(size Size, mux *http.ServeMux, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	held := hold(size.Bytes)
	for range size.Goroutines {
		go func() { <-ctx.Done() }()
	}
	if size.Every > 0 {
		go wake(ctx, size.Every)
	}
	runtime.GC() // a program that has done something has collected, and keeps what that takes
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })

	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if _, err := fmt.Fprintf(out, "%shttp://%s\n", Listening, listener.Addr()); err != nil {
		return errors.Join(err, server.Close())
	}
	select {
	case <-ctx.Done():
		err = server.Shutdown(context.WithoutCancel(ctx))
	case err = <-served:
	}
	runtime.KeepAlive(held)
	return err
}
