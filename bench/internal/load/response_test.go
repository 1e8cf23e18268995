package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReaderReadsWhatNetHTTPWrites(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var stream bytes.Buffer
	var want []Answer
	for range 50 {
		body := make([]byte, random.IntN(20_000))
		for i := range body {
			body[i] = byte(random.Uint32())
		}
		status := []int{200, 404, 503}[random.IntN(3)]
		response := http.Response{
			StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
			Header: http.Header{"Content-Type": {"text/plain"}, "X-Empty": {""}}, Close: random.IntN(2) == 0,
		}
		if err := response.Write(&stream); err != nil {
			t.Fatal(err)
		}
		want = append(want, Answer{status, response.Close, body})
	}
	for name, in := range map[string]io.Reader{
		"one byte at a time": iotest.OneByteReader(bytes.NewReader(stream.Bytes())),
		"error with data":    iotest.DataErrReader(iotest.OneByteReader(bytes.NewReader(stream.Bytes()))),
	} {
		answers := newReader(in)
		for i, w := range want {
			a, err := answers.next()
			if err != nil || a.Status != w.Status || a.Close != w.Close || !bytes.Equal(a.Body, w.Body) {
				t.Fatalf("seed %d, %s, answer %d: status %d, close %v, %d bytes, %v: want %d, %v, %d bytes",
					seed, name, i, a.Status, a.Close, len(a.Body), err, w.Status, w.Close, len(w.Body))
			}
		}
		if _, err := answers.next(); !errors.Is(err, io.EOF) || answers.begun {
			t.Errorf("%s: after the last answer: %v, begun %v: want EOF before anything", name, err, answers.begun)
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab":                                      "unexpected EOF",
		"HTTP/1.1 200 OK\r\nContent-Le":                                                       "unexpected EOF",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd":                                    "1 bytes follow",
		"HTTP/1.1 200 OK\r\n\r\n":                                                             "without a content length",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n":                               "transfer encoding",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n":                                       "content length",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n":                                 "more than",
		"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 0\r\n\r\n":                           "header line",
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n":                                        "status line",
		"HTTP/1.1 2000\r\nContent-Length: 0\r\n\r\n":                                          "status line",
		"HTTP/1.1 100 Continue\r\n\r\n":                                                       "status line",
		"GET / HTTP/1.1\r\n\r\n":                                                              "status line",
		fmt.Sprintf("HTTP/1.1 200 OK\r\nX: %s\r\n\r\n", strings.Repeat("x", maxAnswer+8<<10)): "more than",
	} {
		a, err := newReader(strings.NewReader(in)).next()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %+v, %v: want an error with %q", in, a, err, want)
		}
	}
}

// FuzzReader compares with net/http where that reads an answer too.
func FuzzReader(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"))
	f.Add([]byte("HTTP/1.1 503 Service Unavailable\r\ncontent-length:0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := newReader(bytes.NewReader(in)).next()
		if err != nil {
			return
		}
		other, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(in)), nil)
		if err != nil || other.StatusCode != http.StatusOK || other.ContentLength < 0 {
			return // net/http is stricter about headers, and knows statuses that have no body
		}
		defer other.Body.Close()
		body, err := io.ReadAll(other.Body)
		if err != nil || a.Status != other.StatusCode || !bytes.Equal(a.Body, body) {
			t.Errorf("%d %q, want %d %q, %v", a.Status, a.Body, other.StatusCode, body, err)
		}
	})
}
