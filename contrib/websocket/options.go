package websocket

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Overflow says what becomes of a client whose queue is full when another message comes.
type Overflow uint8

// The policies.
const (
	Disconnect Overflow = iota // it is closed with code 1013: for streams of which nothing may be missing
	DropOldest                 // it loses its oldest messages: for streams of which the newest counts
)

// Options are the settings of a Hub. They are read once, by New.
//
// The callbacks run in the client's own goroutine, in the order Authenticate, Join, Receive…, Leave; while one runs the
// client is not read. They may call every method of the Client and of the Hub but Hub.Close. One that panics costs its
// client the connection (code 1011), and is the reason that Leave is told.
type Options struct {
	// Name identifies the hub as a bounded.Owner: lower-case letters, digits, '_', '.' and '-'. Required.
	Name string
	// MaxClients bounds the connections, those that are being opened or closed included; default 1,000.
	MaxClients int
	// QueueMessages and QueueBytes bound what waits for one client, the message that is being written apart; default 16
	// and 256 KiB. A message above QueueBytes is refused.
	QueueMessages int
	QueueBytes    int64
	// MaxQueuedBytes bounds what waits for all clients together, where a broadcast message counts once; default 64 MiB.
	// A message beyond it makes the clients with the longest queues lose them, as Overflow says.
	MaxQueuedBytes int64
	// Overflow is what becomes of a client that does not keep up; default Disconnect.
	Overflow Overflow
	// MaxMessage bounds a message of a client, in bytes; default 4 KiB. A larger one ends the connection with code 1009.
	MaxMessage int64
	// Origins are those of browsers' pages that may connect besides pages of the host itself: "https://app.example.com".
	// A request without an Origin comes from no page, and is not refused for it.
	Origins []string

	// PingInterval is the time between two pings of a client; default 30 s. One that shows no sign of life for
	// PongTimeout (default 10 s) after a ping was due is dropped.
	PingInterval, PongTimeout time.Duration
	// WriteTimeout is how long a message may take until the system has it; default 10 s. Then the client is dropped: what
	// was written of a message cannot be taken back, so that it cannot be told why. It bounds the handshake as well.
	WriteTimeout time.Duration
	// CloseGrace is how long a client may take to answer a close message, its sending included; default 5 s.
	CloseGrace time.Duration

	// Authenticate judges a client's first message, which must come within AuthTimeout (default 5 s); an error ends the
	// connection with code 1008 and the error's text (123 bytes at most) as the reason. Nil: nothing is asked for.
	Authenticate func(c *Client, first []byte) error
	AuthTimeout  time.Duration
	// Join is called when a client is in. Broadcasts reach it from its call of Listen on, so that Join can send
	// first what went before; nil: at once.
	Join func(c *Client)
	// Receive is called for each message of a client, one at a time; nil: they are dropped unread.
	Receive func(c *Client, message []byte)
	// Leave is called when a connection that was opened has ended, in or not, with the reason: see Client.Reason.
	Leave func(c *Client, reason error)
	// Refuse answers a request that does not become a connection: with 503 for ErrFull and ErrClosed, 403 for ErrOrigin,
	// 400, 405 or 500 for a handshake that cannot be. Default: the reason as plain text, with Retry-After at 503.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, reason error)
}

const (
	defaultMaxClients     = 1000
	defaultQueueMessages  = 16
	defaultQueueBytes     = 256 << 10
	defaultMaxQueuedBytes = 64 << 20
	defaultMaxMessage     = 4 << 10
	defaultPingInterval   = 30 * time.Second
	defaultPongTimeout    = 10 * time.Second
	defaultWriteTimeout   = 10 * time.Second
	defaultCloseGrace     = 5 * time.Second
	defaultAuthTimeout    = 5 * time.Second
	// retryAfter is what a client is told that found no place.
	retryAfter = "10"
)

// withDefaults fills what is zero.
func (o Options) withDefaults() Options {
	set(&o.MaxClients, defaultMaxClients)
	set(&o.QueueMessages, defaultQueueMessages)
	set(&o.QueueBytes, defaultQueueBytes)
	set(&o.MaxQueuedBytes, max(defaultMaxQueuedBytes, o.QueueBytes))
	set(&o.MaxMessage, defaultMaxMessage)
	set(&o.PingInterval, defaultPingInterval)
	set(&o.PongTimeout, defaultPongTimeout)
	set(&o.WriteTimeout, defaultWriteTimeout)
	set(&o.CloseGrace, defaultCloseGrace)
	set(&o.AuthTimeout, defaultAuthTimeout)
	if o.Join == nil {
		o.Join = (*Client).Listen
	}
	if o.Leave == nil {
		o.Leave = func(*Client, error) {}
	}
	if o.Refuse == nil {
		o.Refuse = refuse
	}
	return o
}

func set[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// refuse is the default of Options.Refuse.
func refuse(w http.ResponseWriter, _ *http.Request, status int, reason error) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	http.Error(w, reason.Error(), status)
}

// check returns every mistake in the options, which have their defaults.
func (o Options) check() error {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("websocket: hub: "+format, args...))
	}
	if o.Name == "" || strings.Trim(o.Name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
		mistake("name %q: want lower-case letters, digits, '_', '.' and '-'", o.Name)
	}
	for _, count := range []struct {
		what  string
		value int64
	}{
		{"max clients", int64(o.MaxClients)}, {"queue messages", int64(o.QueueMessages)}, {"queue bytes", o.QueueBytes},
		{"max message", o.MaxMessage},
	} {
		if count.value < 1 {
			mistake("%s %d: want 1 or more", count.what, count.value)
		}
	}
	if o.MaxQueuedBytes < o.QueueBytes {
		mistake("max queued bytes %d: want at least queue bytes, %d: one client's queue must have room", o.MaxQueuedBytes, o.QueueBytes)
	}
	if o.Overflow > DropOldest {
		mistake("overflow %d: want Disconnect or DropOldest", o.Overflow)
	}
	for _, time := range []struct {
		what  string
		value time.Duration
	}{
		{"ping interval", o.PingInterval}, {"pong timeout", o.PongTimeout}, {"write timeout", o.WriteTimeout},
		{"close grace", o.CloseGrace}, {"authentication timeout", o.AuthTimeout},
	} {
		if time.value < 0 {
			mistake("%s %s: want above 0", time.what, time.value)
		}
	}
	for _, origin := range o.Origins {
		if _, err := normalOrigin(origin); err != nil {
			mistakes = append(mistakes, err)
		}
	}
	return errors.Join(mistakes...)
}

// normalOrigin writes an origin as browsers do (RFC 6454, section 6.1), but for a default port, which they leave out.
func normalOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || strings.TrimPrefix(text, u.Scheme+"://"+u.Host) != "" {
		return "", fmt.Errorf("websocket: hub: origin %q: want scheme://host or scheme://host:port", text)
	}
	return strings.ToLower(text), nil
}

// allowed reports whether a request comes from no browser's page, from one of the host that it is for, or from one of
// the origins.
func allowed(r *http.Request, origins map[string]bool) bool {
	header := r.Header["Origin"]
	if len(header) == 0 {
		return true
	}
	if len(header) > 1 {
		return false
	}
	u, err := url.Parse(header[0])
	if err != nil || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, r.Host) || origins[strings.ToLower(header[0])]
}
