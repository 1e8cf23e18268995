package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// firstPause and longestPause bound the pauses between tries, which double and are spread by half.
	firstPause   = time.Second
	longestPause = time.Minute
	// longestRetryAfter is for how long a receiver can ask to be left alone.
	longestRetryAfter = 5 * time.Minute
	maxAnswer         = 4 << 10  // bytes of an answer that are read
	maxAnswerHeader   = 64 << 10 // bytes
)

// client posts to receivers.
type client struct {
	http.Client
	keys    Keys
	timeout time.Duration
	now     func() time.Time
}

// newClient returns a client that goes by the proxies of the environment, as http.DefaultTransport does, and follows no
// redirect: that would send a notification, signed, to somebody whom nobody has named.
func newClient(o Options) *client {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: o.Timeout}).DialContext,
		TLSClientConfig: &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: o.Timeout, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxAnswerHeader, DisableCompression: true,
	}
	return &client{
		Client: http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		keys: o.Keys, timeout: o.Timeout, now: o.Now,
	}
}

// post sends a body once. An error of type *backoff.PermanentError is for good. No error says more of the URL than its
// host.
func (c *client) post(ctx context.Context, to, id string, body []byte) error {
	within, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(within, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(errors.New("the URL cannot be used"))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "memwarden")
	if err := c.keys.sign(request.Header, id, c.now(), body); err != nil {
		return backoff.Permanent(err)
	}
	answer, err := c.Do(request)
	if err != nil {
		var detailed *url.Error // which has the URL with all that is secret in it
		if errors.As(err, &detailed) {
			err = detailed.Err
		}
		if within.Err() != nil && ctx.Err() == nil {
			return fmt.Errorf("there was no answer within %v", c.timeout)
		}
		return err
	}
	defer func() { _ = answer.Body.Close() }()                         // only read
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer)) // so that the connection can be used again
	return c.judge(answer)
}

// judge is what an answer means.
func (c *client) judge(answer *http.Response) error {
	status := strings.TrimSpace(strconv.Itoa(answer.StatusCode) + " " + http.StatusText(answer.StatusCode))
	switch {
	case answer.StatusCode >= 200 && answer.StatusCode < 300:
		return nil
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		return backoff.Permanent(fmt.Errorf("it answered %s: redirects are not followed", status))
	case answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode < 500:
		return backoff.Permanent(fmt.Errorf("it answered %s", status))
	}
	if pause, ok := retryAfter(answer.Header.Get("Retry-After"), c.now()); ok {
		return fmt.Errorf("it answered %s: %w", status, &backoff.RetryAfterError{Duration: pause})
	}
	return fmt.Errorf("it answered %s", status)
}

// retryAfter reads the header of that name (RFC 9110, section 10.2.3): seconds, or a date. It is never negative, and
// never more than longestRetryAfter.
func retryAfter(text string, now time.Time) (pause time.Duration, ok bool) {
	text = strings.TrimSpace(text)
	if text != "" && strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds > int64(longestRetryAfter/time.Second) {
			return longestRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return min(max(0, at.Sub(now)), longestRetryAfter), true
}

// receiver is one who is told. deliver is called by one goroutine at a time.
type receiver struct {
	name   string // its place among the receivers, from 1
	url    string // never shown
	host   string
	client *client
	board  *board          // nil: the format is JSON
	ending context.Context // done once nothing may wait any more
	retry  time.Duration
	log    *slog.Logger

	posted int64 // version of the board that it has
	ill    bool  // it did not take the last one

	sent, failed, dropped, retries atomic.Uint64
}

var errEnding = errors.New("the service ends")

// deliver sends a message, again and again if need be. When the service ends it tries once more, and no pause is made.
func (r *receiver) deliver(ctx context.Context, m message) {
	if m.body == nil && m.version <= r.posted {
		return // what was posted meanwhile had it
	}
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(r.ending, func() { stop(errEnding) })()
	last := false
	try := func() (struct{}, error) {
		last = r.ending.Err() != nil
		return struct{}{}, r.post(ctx, m)
	}
	options := []backoff.RetryOption{
		backoff.WithBackOff(&backoff.ExponentialBackOff{
			InitialInterval: firstPause, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: longestPause,
		}),
		backoff.WithMaxElapsedTime(r.retry), backoff.WithNotify(r.pause),
	}
	if r.retry == 0 {
		options = append(options, backoff.WithMaxTries(1))
	}
	_, err := backoff.Retry(waiting, try, options...)
	if errors.Is(err, errEnding) && !last {
		_, err = try()
	}
	if err != nil && ctx.Err() != nil {
		err = errEnding // there was no more time
	}
	r.note(err)
}

// post sends a message once.
func (r *receiver) post(ctx context.Context, m message) error {
	if m.body != nil {
		return r.client.post(ctx, r.url, m.id, m.body)
	}
	body, version, err := r.board.encode(r.client.now())
	if err != nil {
		return backoff.Permanent(err)
	}
	if err := r.client.post(ctx, r.url, m.id, body); err != nil {
		return err
	}
	r.posted = version
	return nil
}

// pause is told of each try that failed and is not the last.
func (r *receiver) pause(err error, next time.Duration) {
	r.retries.Add(1)
	if !r.ill {
		r.ill = true
		r.log.Warn("webhook: a notification was not taken and is tried again", "receiver", r.name, "host", r.host, "error", err, "next", next.Round(time.Millisecond))
	}
}

// note counts what became of a message.
func (r *receiver) note(err error) {
	if err != nil {
		r.ill = true
		r.failed.Add(1)
		r.log.Error("webhook: a notification was given up", "receiver", r.name, "host", r.host, "error", err)
		return
	}
	r.sent.Add(1)
	if r.ill {
		r.ill = false
		r.log.Info("webhook: notifications are taken again", "receiver", r.name, "host", r.host)
	}
}
