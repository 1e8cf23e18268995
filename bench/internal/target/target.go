// Package target is a small service as there are many: it answers over net/http, holds a little memory, and waits. It
// is what the cost of being watched is measured on.
//
// It knows nothing of memwarden: cmd/plain runs it as it is, cmd/watched with a warden in it.
package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

const (
	waiting  = 8       // goroutines
	heldSize = 1 << 20 // bytes
)

// Listening begins the line that tells where the service listens.
const Listening = "listening on "

// Serve answers GET / and what mux has besides, on a free port of the loopback interface that it writes to out, until
// SIGTERM.
func Serve(mux *http.ServeMux, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	held := make([]byte, heldSize)
	for i := range held {
		held[i] = byte(i)
	}
	for range waiting {
		go func() { <-ctx.Done() }()
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
