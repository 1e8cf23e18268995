package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// serve runs a handler for a test and returns where it listens.
func serve(t *testing.T, handler http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestRun(t *testing.T) {
	var asked, checked atomic.Int64
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		fmt.Fprint(w, r.URL.Path)
	})
	const requests = 5000
	result, err := Run(t.Context(), Options{
		Address: address, Request: Get(address, "/a"), Connections: 3, Requests: requests,
		Check: func(a Answer) error {
			checked.Add(1)
			if string(a.Body) != "/a" {
				return errors.New("another body")
			}
			return nil
		},
	})
	if err != nil || asked.Load() != requests || result.Latency.Count() != requests {
		t.Errorf("asked %d, counted %d, %v: want %d", asked.Load(), result.Latency.Count(), err, requests)
	}
	if result.PerSecond() <= 0 || checked.Load() < 3 {
		t.Errorf("%v a second, %d checked", result.PerSecond(), checked.Load())
	}
}

func TestRunStopsAtTheFirstWrongAnswer(t *testing.T) {
	for want, handler := range map[string]http.HandlerFunc{
		"status 500":           func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"closes the connecti":  func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") },
		"EOF":                  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"not what was checked": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "?") },
	} {
		address := serve(t, handler)
		_, err := Run(t.Context(), Options{
			Address: address, Request: Get(address, "/"), Connections: 2, Requests: 1 << 40,
			Check: func(Answer) error { return errors.New("not what was checked") },
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	if _, err := Run(t.Context(), Options{Address: freePort(t), Connections: 1, Requests: 1}); err == nil {
		t.Error("nobody listens: want an error")
	}
}

// freePort is an address on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// script is what a server does with the requests of one connection, in their order.
type script []func(net.Conn)

func answer(text string) func(net.Conn) {
	return func(c net.Conn) { fmt.Fprint(c, text) }
}

func reset(c net.Conn) {
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		panic(err)
	}
}

// perform runs a script for each connection, closes it, and listens no more after the last.
func perform(t *testing.T, scripts ...script) (address string) {
	t.Helper()
	listener := listen(t)
	go func() {
		defer listener.Close()
		for i, s := range scripts {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			if i == len(scripts)-1 {
				listener.Close() // before an answer can send the client to connect again
			}
			requests := bufio.NewReader(connection)
			for _, act := range s {
				request, err := http.ReadRequest(requests)
				if err != nil {
					break
				}
				if _, err := io.Copy(io.Discard, request.Body); err != nil {
					break
				}
				act(connection)
			}
			connection.Close()
		}
	}()
	return listener.Addr().String()
}

func TestDrain(t *testing.T) {
	const (
		ok     = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		last   = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
		failed = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
		half   = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"
	)
	silent := func(net.Conn) {}
	for name, c := range map[string]struct {
		scripts []script
		want    Tally
		example string
	}{
		"a drain in order":         {[]script{{answer(ok), answer(last)}, {answer(last)}}, Tally{Answered: 3, Turned: 2, Refused: 1}, ""},
		"closed without an answer": {[]script{{silent}}, Tally{Lost: 1, Refused: 1}, "first request of its connection: closed without an answer"},
		"closed as it was asked":   {[]script{{answer(ok), silent}}, Tally{Answered: 1, Lost: 1, Refused: 1}, "later request of its connection: closed without an answer"},
		"half an answer":           {[]script{{answer(half)}}, Tally{Lost: 1, Refused: 1}, "closed within the answer"},
		"an error":                 {[]script{{answer(failed), answer(last)}}, Tally{Answered: 1, Turned: 1, Lost: 1, Refused: 1}, "status 503"},
		"a reset at once":          {[]script{{reset}}, Tally{Unaccepted: 1, Refused: 1}, ""},
		"a reset later":            {[]script{{answer(ok), reset}}, Tally{Answered: 1, Lost: 1, Refused: 1}, "later request"},
	} {
		t.Run(name, func(t *testing.T) {
			address := perform(t, c.scripts...)
			got := Drain(t.Context(), address, Get(address, "/"), 1)
			examples := got.Examples
			if got.Examples = nil; fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%+v, want %+v: %v", got, c.want, examples)
			}
			if c.example != "" && (len(examples) != 1 || !strings.Contains(examples[0].Error(), c.example)) {
				t.Errorf("examples %v, want %q", examples, c.example)
			}
		})
	}
}

func TestDrainOnSeveralConnections(t *testing.T) {
	got := Drain(t.Context(), freePort(t), nil, 4)
	if want := (Tally{Refused: 4}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	var all Tally
	for range 10 {
		one := Tally{Answered: 1, Unsent: 2}
		one.lose(errors.New("why"))
		all.add(one)
	}
	if all.Answered != 10 || all.Unsent != 20 || all.Lost != 10 || len(all.Examples) != maxExamples {
		t.Errorf("%+v", all)
	}
}
