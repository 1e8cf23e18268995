package faultproxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// patience is for what must come; impatience for what must not.
const (
	patience   = 10 * time.Second
	impatience = 30 * time.Millisecond
)

// echo is a server that sends every line back.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			work.Go(func() { io.Copy(conn, conn); conn.Close() })
		}
	})
	t.Cleanup(func() { listener.Close(); work.Wait() })
	return listener.Addr().String()
}

// client is a connection through the proxy.
type client struct {
	net.Conn
	lines *bufio.Reader
}

func dial(t *testing.T, p *Proxy) *client {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{conn, bufio.NewReader(conn)}
}

// say sends a line and returns what comes back within a time.
func (c *client) say(line string, within time.Duration) (string, error) {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	answer, err := c.lines.ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}

func (c *client) wantEcho(t *testing.T, line string) {
	t.Helper()
	if got, err := c.say(line, patience); got != line || err != nil {
		t.Errorf("%q comes back as %q, %v", line, got, err)
	}
}

func (c *client) wantReset(t *testing.T) {
	t.Helper()
	if got, err := c.say("anyone?", patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a cut connection answers %q, %v", got, err)
	}
}

func (c *client) wantSilence(t *testing.T) {
	t.Helper()
	if got, err := c.say("hello", impatience); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent connection answers %q, %v", got, err)
	}
}

func TestCutAndRefuse(t *testing.T) {
	p := Start(t, echo(t))
	address := p.Addr()
	a, b := dial(t, p), dial(t, p)
	a.wantEcho(t, "one")
	b.wantEcho(t, "two")
	if p.Open() != 2 || p.Accepted() != 2 {
		t.Errorf("%d of %d connections are open, want 2 of 2", p.Open(), p.Accepted())
	}
	p.Cut()
	a.wantReset(t)
	b.wantReset(t)
	c := dial(t, p)
	c.wantEcho(t, "three")
	p.Refuse()
	c.wantReset(t)
	if conn, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("while it refuses: %v, %v", conn, err)
	}
	p.Accept(t)
	p.Accept(t) // once is enough
	dial(t, p).wantEcho(t, "four")
	if p.Addr() != address {
		t.Errorf("it is at %s, was at %s", p.Addr(), address)
	}
}

func TestSwallow(t *testing.T) {
	for _, direction := range []Direction{ToServer, ToClient, Both} {
		p := Start(t, echo(t))
		before, quiet := dial(t, p), dial(t, p)
		before.wantEcho(t, "one")
		quiet.wantEcho(t, "one")
		p.Swallow(direction)
		before.wantSilence(t)
		dial(t, p).wantSilence(t) // accepted, and never answered
		p.Swallow(Nowhere)
		before.wantReset(t)
		quiet.wantEcho(t, "nothing of mine was lost")
		dial(t, p).wantEcho(t, "two")
	}
}

func TestCutAfter(t *testing.T) {
	p := Start(t, echo(t))
	c := dial(t, p)
	p.CutAfter("commit")
	c.wantEcho(t, "begin")
	if got, err := c.say("commit", patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the answer is %q, %v", got, err)
	}
	p.CutAfter("")
	dial(t, p).wantEcho(t, "commit")
}

// TestSlow has bounds that only a proxy that does not slow down, or stops, can miss.
func TestSlow(t *testing.T) {
	p := Start(t, echo(t))
	c := dial(t, p)
	p.Slow(1000)
	start := time.Now()
	c.wantEcho(t, strings.Repeat("x", 99)) // 100 bytes there and, overlapping, back
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("100 bytes took %v at 1000 bytes a second", took)
	}
	p.Slow(1)
	c.wantSilence(t)
	p.Cut() // which does not wait for the slow
	p.Slow(0)
	dial(t, p).wantEcho(t, "fast")
}

func TestServerThatIsAway(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	p := Start(t, address)
	dial(t, p).wantReset(t)
	if p.Accepted() != 0 {
		t.Errorf("%d connections were forwarded to nobody", p.Accepted())
	}
}
