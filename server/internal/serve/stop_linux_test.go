package serve

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/memwarden/memwarden/server/internal/servicetest"
	"github.com/memwarden/memwarden/shutdown"
)

// TestServerStops has the listening socket fail while the service runs: that ends it in order, with the reason.
func TestServerStops(t *testing.T) {
	s := &service{
		o:      Options{Config: load(t, nil), Banner: &servicetest.Text{}, Logger: slog.New(slog.DiscardHandler)},
		failed: make(chan error, 1),
	}
	if err := s.start(t.Context()); err != nil {
		t.Fatal(errors.Join(err, s.abandon(t.Context())))
	}
	socket, err := s.listener.Listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.Control(func(fd uintptr) { err = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	report, err := s.wait(t.Context(), nil)
	if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "the HTTP server stopped") {
		t.Errorf("the error is %v", err)
	}
	if report.ExitCode() != shutdown.ExitClean || report.Reason != "the HTTP server stopped" {
		t.Errorf("the shutdown did not go well: %s: %v", report.Reason, report.Err())
	}
}
