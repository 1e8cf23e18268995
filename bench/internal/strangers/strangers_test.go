package strangers

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof" // what is asked to collect
	"os"
	"strings"
	"testing"
)

// serve has the address on which the test binary is to serve like a stranger, or what it is to say before it ends.
const serve = "BENCH_STRANGER_SERVE"

func TestMain(m *testing.M) {
	switch what := os.Getenv(serve); {
	case what == "":
		os.Exit(m.Run())
	case strings.Contains(what, ":"):
		_ = http.ListenAndServe(what, nil) // until it is interrupted
	default:
		fmt.Fprintln(os.Stderr, what)
		os.Exit(3)
	}
}

func TestName(t *testing.T) {
	for command, want := range map[string]string{
		CaddyPackage: "caddy", NATSPackage: "nats-server", "example.org/vital@v1.0.0": "vital", "example.org/v/v12@v12.0.0": "v",
	} {
		if got := name(command); got != want {
			t.Errorf("%s: %s, want %s", command, got, want)
		}
	}
}

func TestProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := freeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort(host, port)
	t.Setenv(serve, address)
	p, err := start(t.Context(), self, t.TempDir(), address)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Collect(); err != nil {
		t.Error(err)
	}
	c, r, err := p.connect(address)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET /nowhere HTTP/1.1\r\nHost: test\r\n\r\n")
	if line, err := await(r, "404"); err != nil || !strings.HasPrefix(line, "HTTP/1.1") {
		t.Errorf("%q, %v", line, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Collect(); err == nil {
		t.Error("after it has ended: want an error")
	}
}

// TestProgramEnds is told what a program says that ends at once.
func TestProgramEnds(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(serve, "out of luck")
	if _, err := Caddy(t.Context(), self, t.TempDir(), 1); err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("caddy: %v", err)
	}
	if _, err := NATS(t.Context(), self, t.TempDir(), 1, 1); err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("nats: %v", err)
	}
}

func TestAwait(t *testing.T) {
	r := bufio.NewReader(strings.NewReader("one\ntwo three\nfour"))
	if line, err := await(r, "three"); err != nil || line != "two three\n" {
		t.Errorf("%q, %v", line, err)
	}
	if _, err := await(r, "five"); err == nil {
		t.Error("the end of what is read: want an error")
	}
}

func TestInstallFails(t *testing.T) {
	t.Setenv("GOPROXY", "off")
	if _, err := Install(t.Context(), "example.org/nothing@v1.0.0", t.TempDir()); err == nil || !strings.Contains(err.Error(), "example.org/nothing") {
		t.Errorf("%v", err)
	}
}
