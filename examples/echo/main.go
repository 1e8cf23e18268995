// Command echo greets over echo with its memory watched: the warden's routes are mounted under /internal, and the program
// shuts down in order.
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
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/shutdown"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8084", "address to listen on; port 0 takes a free one")
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

	if _, err := warden.Cleanup().Add(cleanup.Task{
		Name: "idle_connections", Interval: time.Hour,
		Run: func(context.Context, cleanup.Trigger) (int64, error) {
			http.DefaultClient.CloseIdleConnections()
			return 0, nil
		},
	}); err != nil {
		return 1, err
	}
	token, err := memhttp.ParseToken(adminToken)
	if err != nil {
		return 1, err
	}
	handler, err := memhttp.Handler(warden, memhttp.Options{AdminToken: token})
	if err != nil {
		return 1, err
	}
	return serve(ctx, warden, addr, routes(handler))
}

// routes builds the program's own routes with the warden's beside them.
func routes(memory http.Handler) http.Handler {
	router := echo.New()
	router.Use(middleware.RequestLogger(), middleware.Recover())
	router.GET("/hello/:name", func(c echo.Context) error {
		return c.String(http.StatusOK, "hello, "+c.Param("name")+"\n")
	})
	router.Any("/internal/*", echo.WrapHandler(http.StripPrefix("/internal", memory)))
	return router
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
