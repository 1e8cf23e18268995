package freeport

import (
	"fmt"
	"net"
	"testing"

	"github.com/memwarden/memwarden/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func TestPorts(t *testing.T) {
	listener, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().(*net.TCPAddr).Port
	if other, err := listen(taken, taken); err == nil {
		other.Close()
		t.Errorf("port %d is there twice", taken)
	}
	for range 100 {
		port, err := Find()
		if err != nil || port == taken || port < lowest || port > highest {
			t.Fatalf("port %d, %v; %d is taken", port, err, taken)
		}
	}
	port, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	again, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatalf("a port that is free is not: %v", err)
	}
	again.Close()
}
