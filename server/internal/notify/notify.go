// Package notify tells other systems what a warden has found: leaks by the sentence of their report, pressure that is
// critical, and that it is over. It posts signed JSON to webhooks, or alerts to Alertmanagers.
//
// It knows a warden's events, the two formats, and how to be patient with receivers: each has a bounded queue and a
// goroutine of its own, so that one which hangs delays neither the others nor the warden. It reads no settings; package
// serve stands above, and package config uses its parsers.
package notify

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/memhttp"
)

// Options of a Notifier.
type Options struct {
	Warden *memwarden.Warden // whose events are told; required
	// Receivers are the URLs that are posted to, see ParseReceivers; 1 to 10.
	Receivers []*url.URL
	Format    Format   // default JSON
	Events    []string // the kinds that are told of, see ParseEvents; none: all
	// Keys sign what is sent, see ParseKeys; none: it is not signed.
	Keys Keys
	// Timeout is how long a receiver may take for one answer, default 10 s; Retry how long one notification is tried
	// again where it was not taken, 0: not at all.
	Timeout, Retry time.Duration
	// Instance tells this process from others like it. Address is the URL under which it serves its API, without a path;
	// empty: alerts have no link.
	Instance, Address string
	// RootCAs are trusted for https; nil: those of the system.
	RootCAs *x509.CertPool
	Logger  *slog.Logger     // default slog.Default()
	Now     func() time.Time // default time.Now

	checkInterval time.Duration // default checkInterval; tests do not wait so long
}

// Format is how notifications are written.
type Format string

// The formats.
const (
	// JSON is one object a notification, with headers as in Standard Webhooks 1.0.
	JSON Format = "json"
	// Alertmanager is what POST /api/v2/alerts takes.
	Alertmanager Format = "alertmanager"
)

const (
	maxReceivers   = 10
	queueLength    = 100
	maxOngoing     = 100
	messageBytes   = 64 << 10 // as large as a leak report is
	defaultTimeout = 10 * time.Second
	// checkInterval is how often it is looked whether what was told of is over, where no event says so.
	checkInterval = 15 * time.Second
	// checksPerSync is how many of these looks lie between two postings of all alerts.
	checksPerSync = 4
)

// Notifier follows a warden from New to Close.
type Notifier struct {
	o         Options
	kinds     []kind
	topic     *bounded.Topic[message]
	receivers []*receiver
	board     *board // nil: the format is JSON
	client    *client
	events    *memwarden.Subscription
	end       context.CancelFunc
	followed  chan struct{} // closed once there is nothing more to tell

	// Only the goroutine of follow touches these.
	ongoing []*note
	logged  uint64 // dropped notifications that the log knows of
}

// message is what waits for a receiver.
type message struct {
	id      string // the same however often it is sent
	body    []byte // nil: the board as it is then
	version int64  // of the board, to which a posting must be up
}

// New begins to follow the warden; close the Notifier. The error lists every mistake in the options.
func New(o Options) (*Notifier, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	n := &Notifier{o: o, followed: make(chan struct{}), client: newClient(o)}
	for _, k := range kinds() {
		if len(o.Events) == 0 || slices.Contains(o.Events, k.name) {
			n.kinds = append(n.kinds, k)
		}
	}
	if o.Format == Alertmanager {
		n.board = &board{instance: o.Instance, address: o.Address}
	}
	ending, end := context.WithCancel(context.Background())
	n.end = end
	err := n.subscribe(ending)
	if err == nil {
		n.events, err = o.Warden.Subscribe()
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("notify: %w", err)
	}
	go n.follow()
	return n, nil
}

// complete fills in what is missing and lists what is wrong.
func (o *Options) complete() error {
	var mistakes []error
	mistake := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf("notify: "+format, args...)) }
	if o.Warden == nil {
		mistake("there is no warden")
	}
	if len(o.Receivers) == 0 || len(o.Receivers) > maxReceivers {
		mistake("%d receivers: want 1 to %d", len(o.Receivers), maxReceivers)
	}
	for i, u := range o.Receivers {
		if err := checkReceiver(u); err != nil {
			mistake("receiver %d: %w", i+1, err)
		}
	}
	if o.Format == "" {
		o.Format = JSON
	}
	if o.Format != JSON && o.Format != Alertmanager {
		mistake("format %q: want %s or %s", o.Format, JSON, Alertmanager)
	}
	for _, name := range o.Events {
		if !slices.Contains(EventNames(), name) {
			mistake("events %q: want some of %v", name, EventNames())
		}
	}
	if o.Timeout < 0 || o.Retry < 0 {
		mistake("timeout %v and retry %v must not be negative", o.Timeout, o.Retry)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.checkInterval == 0 {
		o.checkInterval = checkInterval
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return errors.Join(mistakes...)
}

// subscribe makes the queues, one a receiver.
func (n *Notifier) subscribe(ending context.Context) (err error) {
	bytes := int64(messageBytes)
	if n.board != nil {
		bytes = 0 // what waits is the wish that the board be posted
	}
	n.topic, err = bounded.NewTopic[message](bounded.TopicOptions{
		Name: "webhook_queue", MaxListeners: len(n.o.Receivers), MaxQueue: queueLength, EventBytes: bytes,
		OnPanic: func(p bounded.ListenerPanic) {
			n.o.Logger.Error("webhook: sending panicked", "reason", fmt.Sprint(p.Value), "stack", string(p.Stack))
		},
	})
	if err != nil {
		return err
	}
	for i, u := range n.o.Receivers {
		r := &receiver{
			name: strconv.Itoa(i + 1), url: u.String(), host: u.Host, client: n.client, board: n.board, ending: ending, retry: n.o.Retry, log: n.o.Logger,
		}
		if n.board != nil {
			r.url = alertsURL(u)
		}
		n.receivers = append(n.receivers, r)
		if _, err := n.topic.Subscribe(bounded.ListenerOptions{
			Queue: queueLength, Overflow: bounded.DropOldest, Dropped: &r.dropped,
		}, r.deliver); err != nil {
			return err
		}
	}
	return nil
}

// Owner is the queues, to be shown among the limits. Memory pressure does not shrink them: that is what they tell of.
func (n *Notifier) Owner() bounded.Owner { return queues{n.topic} }

type queues struct{ *bounded.Topic[message] }

func (queues) Shrink(context.Context, int64) int64 { return 0 }

// Close hears of no more events, and tries once more, until ctx is done, to deliver what waits. What cannot be delivered
// by then is logged and counted as dropped, and is no error: receivers that are gone must not make the end of a service a
// failure. It returns soon after ctx is done, and waits for all goroutines.
func (n *Notifier) Close(ctx context.Context) {
	n.events.Close()
	<-n.followed
	n.end()
	before := n.dropped()
	if n.topic.Close(ctx) != nil {
		_ = n.topic.Close(context.Background()) // what was under way is broken off: it waits for nobody
	}
	n.client.CloseIdleConnections()
	if lost := n.dropped() - before; lost > 0 {
		n.o.Logger.Warn("webhook: notifications were not delivered before the end", "notifications", lost)
	}
}

func (n *Notifier) dropped() (all uint64) {
	for _, r := range n.receivers {
		all += r.dropped.Load()
	}
	return all
}

// follow hears events, and looks from time to time whether what goes on is over.
func (n *Notifier) follow() {
	defer close(n.followed)
	ticker := time.NewTicker(n.o.checkInterval)
	defer ticker.Stop()
	// What was so before there was anybody to tell it.
	state := n.o.Warden.State()
	n.hear(memwarden.Event{Kind: memwarden.EventPressure, At: state.Sample.At, Data: state.Pressure})
	for checks := 1; ; {
		select {
		case e, open := <-n.events.Events:
			if !open {
				return
			}
			n.hear(e)
		case <-ticker.C:
			n.check()
			if n.board != nil && checks%checksPerSync == 0 && n.board.sweep(n.o.Now()) {
				n.sync()
			}
			checks++
		}
	}
}

// hear tells what an event says.
func (n *Notifier) hear(e memwarden.Event) {
	for _, k := range n.kinds {
		if one := k.of(e); one != nil {
			n.tell(one)
		}
	}
}

// check tells what is over, and logs what was dropped.
func (n *Notifier) check() {
	for _, one := range slices.Clone(n.ongoing) {
		if reason, over := one.ended(n.o.Warden); over {
			n.tell(one.end(n.o.Now(), reason))
		}
	}
	if all := n.dropped(); all > n.logged {
		n.o.Logger.Warn("webhook: the queue of a receiver was full: its oldest notifications were dropped", "notifications", all-n.logged)
		n.logged = all
	}
}

// tell queues a note for every receiver. What is said to be over must have been told of.
func (n *Notifier) tell(one *note) {
	known := len(n.ongoing)
	n.ongoing = slices.DeleteFunc(n.ongoing, func(other *note) bool { return other.about == one.about })
	was := len(n.ongoing) < known
	if !one.over && one.ended != nil {
		if len(n.ongoing) == maxOngoing {
			n.ongoing = slices.Delete(n.ongoing, 0, 1)
		}
		n.ongoing = append(n.ongoing, one)
	}
	if n.board != nil {
		if n.board.put(one) {
			n.sync()
		}
		return
	}
	if one.quiet || one.over && !was {
		return
	}
	body, err := one.document(n.o.Instance)
	if err != nil {
		n.o.Logger.Error("webhook: a notification cannot be written", "type", one.kind, "error", err)
		return
	}
	n.publish(message{body: body})
}

// sync has the board posted.
func (n *Notifier) sync() { n.publish(message{version: n.board.next()}) }

// publish fails only once the topic is closed, after which nothing is told.
func (n *Notifier) publish(m message) {
	m.id = "msg_" + rand.Text()
	_ = n.topic.Publish(context.Background(), m)
}

// Metrics are the families that tell what became of notifications. Their label is a receiver's place among the URLs.
func (n *Notifier) Metrics() []memhttp.MetricSource {
	source := func(name, help string, of func(*receiver) *atomic.Uint64) memhttp.MetricSource {
		return memhttp.MetricSource{
			Metric: memhttp.Metric{Name: name, Label: "receiver", Help: help},
			Figures: func() (list []memhttp.Figure) {
				for _, r := range n.receivers {
					list = append(list, memhttp.Figure{Label: r.name, Value: float64(of(r).Load())})
				}
				return list
			},
		}
	}
	return []memhttp.MetricSource{
		source("memwarden_webhook_sent_total", "Notifications that a receiver has taken.", func(r *receiver) *atomic.Uint64 { return &r.sent }),
		source("memwarden_webhook_failed_total", "Notifications that a receiver has refused, or has not taken for so long that they were given up.", func(r *receiver) *atomic.Uint64 { return &r.failed }),
		source("memwarden_webhook_dropped_total", "Notifications for which there was no room in a receiver's queue, or no time at the end.", func(r *receiver) *atomic.Uint64 { return &r.dropped }),
		source("memwarden_webhook_retries_total", "Times that a notification was tried again.", func(r *receiver) *atomic.Uint64 { return &r.retries }),
	}
}
