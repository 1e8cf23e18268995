package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxAnswer bounds an answer with its headers.
const maxAnswer = 1 << 20

// Answer is an HTTP/1.1 answer with a Content-Length.
type Answer struct {
	Status int
	Close  bool   // the server closes the connection after it
	Body   []byte // valid until the next one is read
}

// reader reads answers from a connection on which one request is under way at a time. It keeps its buffer, of the
// longest answer so far.
type reader struct {
	in  io.Reader
	buf []byte
	// begun tells that a byte of the answer has come: the server has seen the request.
	begun bool
}

func newReader(in io.Reader) *reader { return &reader{in: in, buf: make([]byte, 8<<10)} }

// next reads one answer. The error is io.EOF when the connection ended before its first byte, io.ErrUnexpectedEOF when
// it ended later; what follows the answer is an error too, for nobody has asked for it.
func (r *reader) next() (Answer, error) {
	r.begun = false
	n, head := 0, -1
	var a Answer
	length := 0
	for head < 0 || n < head+length {
		if n == len(r.buf) {
			if n >= maxAnswer {
				return Answer{}, fmt.Errorf("answer of more than %d bytes", maxAnswer)
			}
			r.buf = append(r.buf, make([]byte, len(r.buf))...)
		}
		read, err := r.in.Read(r.buf[n:])
		n += read
		r.begun = n > 0
		if head < 0 {
			if end := bytes.Index(r.buf[:n], []byte("\r\n\r\n")); end >= 0 {
				head = end + 4
				var malformed error
				if a, length, malformed = parseHead(r.buf[:end]); malformed != nil {
					return Answer{}, malformed
				}
			}
		}
		if head >= 0 && n >= head+length {
			break // an error comes again with the next answer
		}
		if err == io.EOF && n > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return Answer{}, err
		}
	}
	if n > head+length {
		return Answer{}, fmt.Errorf("%d bytes follow the answer", n-head-length)
	}
	a.Body = r.buf[head:n]
	return a, nil
}

// parseHead reads a status line and the headers that matter here.
func parseHead(head []byte) (a Answer, length int, err error) {
	status, rest, _ := bytes.Cut(head, []byte("\r\n"))
	proto, code, ok := bytes.Cut(status, []byte(" "))
	if !ok || string(proto) != "HTTP/1.1" || len(code) < 3 || len(code) > 3 && code[3] != ' ' {
		return Answer{}, 0, fmt.Errorf("status line %.80q", status)
	}
	if a.Status, err = strconv.Atoi(string(code[:3])); err != nil || a.Status < 200 {
		return Answer{}, 0, fmt.Errorf("status line %.80q", status)
	}
	length = -1
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return Answer{}, 0, fmt.Errorf("header line %.80q", line)
		}
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = parseLength(value); err != nil {
				return Answer{}, 0, fmt.Errorf("content length %.80q: %w", value, err)
			}
		case bytes.EqualFold(name, []byte("Connection")):
			a.Close = bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return Answer{}, 0, fmt.Errorf("transfer encoding %.80q: only answers with a length are read", value)
		}
	}
	if length < 0 {
		return Answer{}, 0, errors.New("answer without a content length")
	}
	return a, length, nil
}

func parseLength(value []byte) (int, error) {
	length, err := strconv.ParseUint(string(value), 10, 31)
	if err == nil && length > maxAnswer {
		err = fmt.Errorf("answer of more than %d bytes", maxAnswer)
	}
	return int(length), err
}
