package websocket

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// childMark in the environment makes the test program a server with a hub that tells of its memory.
const childMark = "WEBSOCKET_TEST_CHILD"

// footprint is what a process holds, in bytes.
type footprint struct{ resident, goRuntime int64 }

// serveAsChild prints its address, and for each line of its input broadcasts a message and prints its footprint.
func serveAsChild() {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var received atomic.Int64
	hub, err := New(Options{
		Name: "child", MaxClients: 20_000, PingInterval: time.Hour, Receive: func(*Client, []byte) { received.Add(1) },
	})
	if err != nil {
		fail(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	go func() { fail((&http.Server{Handler: hub}).Serve(listener)) }()
	fmt.Println(listener.Addr())
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		message, err := Text(make([]byte, 1000))
		if err != nil {
			fail(err)
		}
		// Those that were only just accepted do not listen yet.
		for want, before := hub.Usage().Entries, hub.Statistics().Sent; hub.Statistics().Sent < before+want; {
			before = hub.Statistics().Sent
			reached, err := hub.Broadcast(message)
			if err != nil {
				fail(err)
			}
			for hub.Statistics().Sent < before+int64(reached) {
				time.Sleep(time.Millisecond)
			}
		}
		// Each client has sent one message; while it is read the connection takes more.
		for received.Load() < hub.Usage().Entries {
			time.Sleep(time.Millisecond)
		}
		now, err := ownFootprint()
		if err != nil {
			fail(err)
		}
		fmt.Println(now.resident, now.goRuntime)
	}
}

func ownFootprint() (f footprint, err error) {
	// A collection makes each stack that is hardly used half as large, and one frees what finalizers of the one before let go.
	for before := int64(math.MaxInt64); ; before = f.goRuntime {
		debug.FreeOSMemory() // collects, too
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if f.goRuntime = int64(m.HeapInuse + m.StackInuse); f.goRuntime >= before {
			break
		}
	}
	text, err := os.ReadFile("/proc/self/statm")
	if errors.Is(err, os.ErrNotExist) {
		return f, nil // not on Linux
	}
	if fields := strings.Fields(string(text)); err == nil && len(fields) > 1 {
		f.resident, err = strconv.ParseInt(fields[1], 10, 64)
	}
	f.resident *= int64(os.Getpagesize())
	return f, err
}

// child is such a server.
type child struct {
	address string
	in      io.WriteCloser
	out     *bufio.Reader
	command *exec.Cmd
}

func startChild(t testing.TB) *child {
	t.Helper()
	// Of its own, whatever this one was built for: the race detector doubles stacks and brings memory of its own.
	program := filepath.Join(t.TempDir(), "child")
	if text, err := exec.Command("go", "test", "-c", "-race=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the child: %v\n%s", err, text)
	}
	c := &child{command: exec.Command(program)}
	c.command.Env = append(os.Environ(), childMark+"=1")
	c.command.Stderr = os.Stderr
	in, err := c.command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewReader(out)
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.in.Close()
		if err := c.command.Wait(); err != nil {
			t.Error(err)
		}
	})
	if _, err := fmt.Fscanln(c.out, &c.address); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *child) measure(t testing.TB) (f footprint) {
	t.Helper()
	if _, err := fmt.Fprintln(c.in); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(c.out, &f.resident, &f.goRuntime); err != nil {
		t.Fatal(err)
	}
	return f
}

// idle measures what a connection takes that has sent and received something and does nothing now.
func (c *child) idle(t testing.TB, connections int) (each footprint) {
	t.Helper()
	dialer := websocket.Dialer{ReadBufferSize: 256, WriteBufferSize: 256}
	open := func(count int) {
		for range count {
			conn, _, err := dialer.Dial("ws://"+c.address+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if err := conn.WriteMessage(websocket.TextMessage, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	open(100) // so that what all share is there
	before := c.measure(t)
	open(connections)
	after := c.measure(t)
	return footprint{(after.resident - before.resident) / int64(connections), (after.goRuntime - before.goRuntime) / int64(connections)}
}

// TestIdleConnection: what is accounted for a connection is what it takes, and no less.
func TestIdleConnection(t *testing.T) {
	t.Parallel()
	each := startChild(t).idle(t, 1000)
	t.Logf("a connection takes %d bytes of the Go runtime's, %d resident", each.goRuntime, each.resident)
	if each.goRuntime > ConnectionBytes || each.goRuntime < 1<<10 {
		t.Errorf("a connection takes %d bytes, %d are accounted for it", each.goRuntime, ConnectionBytes)
	}
}

// BenchmarkIdleConnection opens 5,000 connections to a process of its own and reports what one of them takes there.
func BenchmarkIdleConnection(b *testing.B) {
	const connections = 5000
	var each footprint
	for b.Loop() {
		each = startChild(b).idle(b, connections)
	}
	b.ReportMetric(float64(each.resident), "RSS-B/conn")
	b.ReportMetric(float64(each.goRuntime), "go-B/conn")
	b.ReportMetric(0, "ns/op")
}
