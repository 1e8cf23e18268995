// Command nethttp computes primes over net/http with its memory watched: it registers an owner of memory and a cleanup
// task, serves the warden's routes beside its own, and shuts down in order.
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
	"strconv"
	"syscall"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/pressure"
	"github.com/memwarden/memwarden/shutdown"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8081", "address to listen on; port 0 takes a free one")
	flag.Parse()
	code, err := run(*addr, os.Getenv("MEMWARDEN_ADMIN_TOKEN"))
	if err != nil {
		log.Print(err)
	}
	os.Exit(code)
}

// run serves until SIGTERM or an interrupt and returns the exit code.
func run(addr, adminToken string) (code int, err error) {
	ctx := context.Background()
	warden, err := memwarden.Start(ctx, memwarden.Options{})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, warden.Close(ctx)) }() // the shutdown does it too, but there may be none

	known := newAnswers()
	if err := join(warden, known); err != nil {
		return 1, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /primes/{n}", known.servePrime)
	token, err := memhttp.ParseToken(adminToken)
	if err != nil {
		return 1, err
	}
	handler, err := memhttp.Handler(warden, memhttp.Options{AdminToken: token})
	if err != nil {
		return 1, err
	}
	for _, route := range memhttp.Routes() {
		mux.Handle(route.Method+" "+route.Path, handler)
	}
	return serve(ctx, warden, addr, mux)
}

// join shows the warden what holds memory, and gives it a task to run each hour, when pressure is high, and by hand.
func join(warden *memwarden.Warden, known *answers) error {
	if _, err := warden.Register(known); err != nil {
		return err
	}
	_, err := warden.Cleanup().Add(cleanup.Task{
		Name: "forget_answers", Interval: time.Hour, AtLevel: pressure.High,
		Run: func(context.Context, cleanup.Trigger) (int64, error) { return known.forget(), nil },
	})
	return err
}

// serve runs the server until it is told to end, and takes it down in the warden's order.
func serve(ctx context.Context, warden *memwarden.Warden, addr string, handler http.Handler) (int, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return 1, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	if _, err := warden.Shutdown().Add(shutdown.Servers, "http", server.Shutdown); err != nil {
		return 1, errors.Join(err, listener.Close())
	}
	ended, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt) // before it says that it listens
	defer stop()
	fmt.Printf("listening on http://%s\n", listener.Addr())

	served := make(chan error, 1)
	go func() {
		served <- server.Serve(listener)
		stop()
	}()
	report := warden.RunUntilSignal(ended)
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return 1, err
	}
	return report.ExitCode(), report.Err()
}

// maxN bounds the work of one request.
const maxN = 10_000

func (a *answers) servePrime(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 1 || n > maxN {
		http.Error(w, fmt.Sprintf("want a whole number from 1 to %d", maxN), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, a.find(n))
}
