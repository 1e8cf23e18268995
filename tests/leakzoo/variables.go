package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bounded"
)

// heldByVariables are leaks that a variable of the program leads to.
func heldByVariables() []exhibit {
	return []exhibit{
		{name: "global_map", run: openSessions, want: []leak{{
			kind: "heap", typ: "main.session", path: "main.sessions.open[…]", function: "main.openSession", says: "main.session", perSecond: 100 * 4300,
		}}},
		{name: "cache_without_eviction", run: cacheAnswers, want: []leak{{
			kind: "heap", typ: "main.answer", path: "main.answers.byQuery", function: "main.(*answerCache).get", says: "main.answers.byQuery", perSecond: 100 * 4300,
		}}},
		{name: "closures", run: registerCleanups, want: []leak{{
			kind: "heap", typ: "registerCleanup.1", path: "main.atExit[…]", function: "main.newUpload", says: "main.atExit", perSecond: 50 * 8300,
		}}},
		{name: "listeners", run: subscribeForever, want: []leak{{
			kind: "heap", typ: "main.(*subscriber).told", path: "main.prices.listeners", function: "main.subscribe", says: "main.prices.listeners", perSecond: 100 * 4300,
		}}},
		{name: "sub_slices", run: keepIdentifiers, want: []leak{{
			kind: "heap", path: "main.seen", function: "main.readMessage", says: "main.seen[key], of which strings and slices use", perSecond: 16 * 32768,
		}}},
		{name: "owner_past_its_bound", run: overfill, want: []leak{{
			kind: "heap", typ: "main.page", path: "main.history.pages", function: "main.(*pageStore).add", owner: "pages",
			says: "owner pages holds", perSecond: 100 * 4300,
		}}},
		{name: "linked_list", run: logForever, want: []leak{{
			kind: "heap", typ: "main.entry", path: "main.audit", function: "main.appendEntry", says: "main.audit", perSecond: 200 * 2100,
		}}},
	}
}

// session is what a service holds of a visitor.
type session struct {
	visitor string
	cart    []byte
}

// sessions are all there ever were: nobody takes one out again.
var sessions struct {
	sync.Mutex
	open map[string]*session
}

func openSessions(ctx context.Context, _ *memwarden.Warden) error {
	sessions.open = map[string]*session{}
	return every(ctx, 100, func(n int) error {
		openSession(fmt.Sprint("visitor ", n))
		return nil
	})
}

func openSession(visitor string) {
	sessions.Lock()
	defer sessions.Unlock()
	sessions.open[visitor] = &session{visitor: visitor, cart: make([]byte, 4096)}
}

// answer is what a service has computed.
type answer struct {
	rows [500]float64
}

// answers remembers every answer by its query, and has no bound; queries have parameters, so that hardly any comes twice.
var answers = &answerCache{byQuery: map[string]answer{}}

type answerCache struct {
	mu      sync.RWMutex
	byQuery map[string]answer
}

// get finds an answer or computes it.
func (c *answerCache) get(query string) answer {
	c.mu.RLock()
	found, ok := c.byQuery[query]
	c.mu.RUnlock()
	if !ok {
		found = *compute(query)
		c.mu.Lock()
		c.byQuery[query] = found
		c.mu.Unlock()
	}
	return found
}

func compute(query string) *answer {
	a := &answer{}
	for i := range a.rows {
		a.rows[i] = float64(len(query) * i)
	}
	return a
}

func cacheAnswers(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, 100, func(n int) error {
		answers.get(fmt.Sprint("select * from orders where id = ", n))
		return nil
	})
}

// upload is a request's file.
type upload struct {
	name    string
	content []byte
}

func newUpload(n int) *upload {
	return &upload{name: fmt.Sprint("upload ", n), content: make([]byte, 8192)}
}

func (u *upload) remove() { u.content = nil }

// atExit is called when the service ends: it was meant for a handful of things.
var atExit []func()

// registerCleanup has an upload removed at the end, if nobody has by then; and nobody takes it off the list when it is.
func registerCleanup(u *upload) {
	atExit = append(atExit, func() { u.remove() })
}

func registerCleanups(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, 50, func(n int) error {
		registerCleanup(newUpload(n))
		return nil
	})
}

// topic tells its listeners of prices.
type topic struct {
	mu        sync.Mutex
	listeners []func(price float64)
}

func (t *topic) listen(do func(price float64)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listeners = append(t.listeners, do)
}

func (t *topic) publish(price float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, listener := range t.listeners {
		listener(price)
	}
}

var prices topic

// subscriber is a client's connection, which wants to hear of prices.
type subscriber struct {
	last   float64
	buffer [4096]byte
}

func (s *subscriber) told(price float64) { s.last = price }

// subscribe does what a handler does at the beginning of a stream; at its end it forgets to take the listener out.
func subscribe() {
	s := &subscriber{}
	prices.listen(s.told)
}

func subscribeForever(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, 100, func(n int) error {
		subscribe()
		prices.publish(float64(n))
		return nil
	})
}

// seen are the identifiers of messages that have come; each is a piece of the message's text, which is kept for it.
var seen = map[string]struct{}{}

func readMessage(n int) string {
	return fmt.Sprintf("%012d", n) + strings.Repeat(" and what else a message has to say", 900)
}

func keepIdentifiers(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, 16, func(n int) error {
		message := readMessage(n)
		identifier := message[:12]
		seen[identifier] = struct{}{}
		return nil
	})
}

// entry is of a list that is never cut.
type entry struct {
	text [2000]byte
	next *entry
}

// audit is the newest entry.
var audit *entry

func appendEntry() { audit = &entry{next: audit} }

func logForever(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, 200, func(int) error {
		appendEntry()
		return nil
	})
}

// page is what a store keeps.
type page struct{ text [4096]byte }

// pageStore says what it holds and what it may hold; but a test for one too many is never true.
type pageStore struct {
	mu    sync.Mutex
	pages map[int]*page
}

// maxPages is the bound of a pageStore.
const maxPages = 256

var history = &pageStore{pages: map[int]*page{}}

func (s *pageStore) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[n] = &page{}
	if len(s.pages) == -maxPages {
		delete(s.pages, n-maxPages)
	}
}

// Name identifies the owner in reports.
func (s *pageStore) Name() string { return "pages" }

// Usage tells what is held now, and the bound.
func (s *pageStore) Usage() bounded.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := int64(len(s.pages))
	return bounded.Usage{
		Entries: entries, MaxEntries: maxPages, PeakEntries: entries,
		Bytes: entries * 4096, MaxBytes: maxPages * 4096, PeakBytes: entries * 4096,
	}
}

// Shrink gives nothing back.
func (s *pageStore) Shrink(context.Context, int64) int64 { return 0 }

func overfill(ctx context.Context, warden *memwarden.Warden) error {
	if _, err := warden.Register(history); err != nil {
		return err
	}
	return every(ctx, 100, func(n int) error {
		history.add(n)
		return nil
	})
}
