package strangers

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

const (
	messageBytes = 128
	subjects     = 1000
	batch        = 10_000 // messages: of more that it has not yet stored, the server drops some
)

// NATS runs a NATS server with so many subscribers that stay, and so many messages of 128 bytes that it keeps in memory.
// Its data are in dir.
func NATS(ctx context.Context, file, dir string, subscribers, messages int) (*Program, error) {
	host, port, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	_, profilePort, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, file, dir, net.JoinHostPort(host, profilePort),
		"--addr", host, "--port", port, "--profile", profilePort, "--jetstream", "--store_dir", dir)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(host, port)
	for i := range subscribers {
		c, r, err := p.connect(address)
		if err != nil {
			return nil, p.fail(err)
		}
		if _, err := fmt.Fprintf(c, "CONNECT {}\r\nSUB subject.%d 1\r\nPING\r\n", i); err != nil {
			return nil, p.fail(err)
		}
		if _, err := await(r, "PONG"); err != nil {
			return nil, p.fail(err)
		}
	}
	if err := p.publish(address, messages); err != nil {
		return nil, p.fail(err)
	}
	return p, nil
}

// publish has the server keep messages, and waits until it has them all.
func (p *Program) publish(address string, messages int) error {
	c, r, err := p.connect(address)
	if err != nil {
		return err
	}
	if err := c.SetDeadline(time.Now().Add(loadTimeout)); err != nil {
		return err
	}
	const stream = `{"name":"KEPT","subjects":["kept.>"],"storage":"memory"}`
	if _, err := fmt.Fprintf(c, "CONNECT {}\r\nSUB answer 1\r\nPUB $JS.API.STREAM.CREATE.KEPT answer %d\r\n%s\r\n", len(stream), stream); err != nil {
		return err
	}
	if _, err := await(r, `"name":"KEPT"`); err != nil {
		return err
	}
	w := bufio.NewWriterSize(c, 1<<20)
	for i := range messages {
		fmt.Fprintf(w, "PUB kept.%d %d\r\n%0*d\r\n", i%subjects, messageBytes, messageBytes, i) // Flush tells
		if kept := i + 1; kept%batch == 0 || kept == messages {
			if err := p.awaitKept(w, r, kept); err != nil {
				return err
			}
		}
	}
	return nil
}

// awaitKept asks the server until it has so many messages.
func (p *Program) awaitKept(w *bufio.Writer, r *bufio.Reader, messages int) error {
	ctx, cancel := context.WithTimeout(p.alive, exchangeTimeout)
	defer cancel()
	kept := fmt.Sprintf(`"messages":%d,`, messages)
	return poll(ctx, func() error {
		fmt.Fprint(w, "PUB $JS.API.STREAM.INFO.KEPT answer 0\r\n\r\n") // Flush tells
		if err := w.Flush(); err != nil {
			return err
		}
		line, err := await(r, "stream_info_response")
		if err == nil && !strings.Contains(line, kept) {
			err = fmt.Errorf("want %s: %s", kept, line)
		}
		return err
	})
}
