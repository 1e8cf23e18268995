package memhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/pressure"
)

// ErrOverloaded is why a body could not be read further: with what had come, the requests under way would have held more
// than AdmissionOptions.MaxBytes. Its answer is 503.
var ErrOverloaded = errors.New("the requests under way hold as much memory as they may")

// Priority says whose requests are refused first.
type Priority uint8

// The priorities. Under pressure the limit of requests is lower besides, and among those that wait for a slot the higher
// priority comes first.
const (
	PriorityNormal Priority = iota // refused at critical pressure
	PriorityLow                    // refused from high pressure on
	PriorityHigh                   // refused only where there is no room
	NeverShed                      // always admitted and not counted: probes, metrics, whatever helps against the pressure
)

// String names the priority.
func (p Priority) String() string {
	return [...]string{"normal", "low", "high", "never shed"}[min(p, NeverShed)]
}

// rank orders the priorities that are counted.
func (p Priority) rank() int { return [...]int{1, 0, 2, 3}[min(p, NeverShed)] }

// RequestClass is what an Admission must know of a request.
type RequestClass struct {
	Priority Priority
	// MaxBodyBytes bounds the body; 0: AdmissionOptions.MaxBodyBytes.
	MaxBodyBytes int64
	// EstimateBytes is the memory that answering takes besides the body; 0: AdmissionOptions.EstimateBytes.
	EstimateBytes int64
	// Stream says that the answer goes on for as long as the client likes. A stream is refused like any other request,
	// but when it begins it gives back its slot and its bytes: how many there may be must be bounded elsewhere.
	Stream bool
}

// AdmissionOptions are the settings of an Admission. They are read once, by NewAdmission.
type AdmissionOptions struct {
	// Name identifies the admission as a bounded.Owner; default "requests".
	Name string
	// MaxConcurrent bounds the requests under way; default 256. At high pressure half as many are admitted, at critical
	// pressure a quarter, but always one.
	MaxConcurrent int
	// MaxBytes bounds the memory of all requests under way: their bodies, as far as they have come or are announced, and
	// the estimates; default 64 MiB.
	MaxBytes int64
	// MaxBodyBytes bounds a body, and EstimateBytes is what answering takes, where Classify does not say; default 1 MiB
	// and 64 KiB. Together they must be within MaxBytes.
	MaxBodyBytes, EstimateBytes int64
	// MaxWait is how long a request may wait for a slot, and MaxWaiting how many may; default 250 ms, and as many as
	// MaxConcurrent. A negative MaxWait lets none wait.
	MaxWait    time.Duration
	MaxWaiting int
	// RetryAfter is when a refused client is told to come back; default 5 s.
	RetryAfter time.Duration
	// Level tells the memory pressure, for each request; nil: it is always normal. It must not block.
	Level func() pressure.Level
	// Classify tells what a request is; nil: each has the zero RequestClass.
	Classify func(*http.Request) RequestClass
}

const (
	defaultMaxConcurrent = 256
	defaultMaxAdmitted   = 64 << 20
	defaultMaxBodyBytes  = 1 << 20
	defaultEstimateBytes = 64 << 10
	defaultMaxWait       = 250 * time.Millisecond
	defaultRetryAfter    = 5 * time.Second
)

// Admission admits requests as far as there is room for them: a number of requests, their memory by estimate, the size
// of each body. Under memory pressure it admits fewer and refuses the less important ones at once, with 503 and
// Retry-After, so that what is under way can end. It is safe for concurrent use, starts no goroutine and is a
// bounded.Owner: its entries are the requests under way.
type Admission struct {
	o      AdmissionOptions
	counts admissionCounters

	mu      sync.Mutex
	running int64        // <= MaxConcurrent
	bytes   int64        // <= MaxBytes
	waiting [3][]*waiter // by rank; at most MaxWaiting in all

	peakRunning, peakBytes int64
}

// waiter is a request that waits for a slot.
type waiter struct {
	class RequestClass
	bytes int64
	ready chan error // has room for one answer: nil, or why not
}

// AdmissionStatistics are what has become of requests since the start.
type AdmissionStatistics struct {
	Admitted, Waited int64 // Waited of the Admitted
	ShedByPressure   int64 // the priority was too low for the level
	ShedByLimit      int64 // there was no room, for a request more or for its memory
	TooLarge         int64 // answered with 413 before the body was read
}

type admissionCounters struct{ admitted, waited, byPressure, byLimit, tooLarge atomic.Int64 }

// NewAdmission returns an Admission, or an error that lists every mistake in the options.
func NewAdmission(o AdmissionOptions) (*Admission, error) {
	o = o.withDefaults()
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("memhttp: admission: "+format, args...))
	}
	if strings.Trim(o.Name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
		mistake("name %q: want lower-case letters, digits, '_', '.' and '-'", o.Name)
	}
	for _, count := range []struct {
		what  string
		value int64
	}{
		{"max concurrent", int64(o.MaxConcurrent)}, {"max bytes", o.MaxBytes}, {"max body bytes", o.MaxBodyBytes},
		{"estimate bytes", o.EstimateBytes}, {"max waiting", int64(o.MaxWaiting)},
	} {
		if count.value < 1 {
			mistake("%s %d: want 1 or more", count.what, count.value)
		}
	}
	if o.MaxBodyBytes > o.MaxBytes-o.EstimateBytes {
		mistake("max bytes %d: want at least %d: a request with the largest body would never be admitted", o.MaxBytes, o.MaxBodyBytes+o.EstimateBytes)
	}
	if o.RetryAfter < 0 {
		mistake("retry after %s: want above 0", o.RetryAfter)
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	return &Admission{o: o}, nil
}

func (o AdmissionOptions) withDefaults() AdmissionOptions {
	if o.Name == "" {
		o.Name = "requests"
	}
	orDefault(&o.MaxConcurrent, defaultMaxConcurrent)
	orDefault(&o.MaxBytes, defaultMaxAdmitted)
	orDefault(&o.MaxBodyBytes, defaultMaxBodyBytes)
	orDefault(&o.EstimateBytes, defaultEstimateBytes)
	orDefault(&o.MaxWait, defaultMaxWait)
	orDefault(&o.MaxWaiting, o.MaxConcurrent)
	orDefault(&o.RetryAfter, defaultRetryAfter)
	if o.Level == nil {
		o.Level = func() pressure.Level { return pressure.Normal }
	}
	if o.Classify == nil {
		o.Classify = func(*http.Request) RequestClass { return RequestClass{} }
	}
	return o
}

func orDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Wrap admits requests to next, each as Classify says. A body that is announced as too large is refused with 413; one
// that turns out to be cannot be read beyond its bound (http.MaxBytesError).
func (a *Admission) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, a.o.Classify(r), next.ServeHTTP) })
}

// serve answers a request of a class by next, or refuses it.
func (a *Admission) serve(w http.ResponseWriter, r *http.Request, class RequestClass, next http.HandlerFunc) {
	orDefault(&class.MaxBodyBytes, a.o.MaxBodyBytes)
	orDefault(&class.EstimateBytes, a.o.EstimateBytes)
	if r.ContentLength > class.MaxBodyBytes {
		a.counts.tooLarge.Add(1)
		bodyTooLarge(class.MaxBodyBytes).ServeHTTP(w, r)
		return
	}
	if r.Body != nil {
		r.Body = http.MaxBytesReader(w, r.Body, class.MaxBodyBytes)
	}
	if class.Priority == NeverShed {
		next(w, r)
		return
	}
	announced := max(0, r.ContentLength)
	g, err := a.admit(r.Context(), class, class.EstimateBytes+announced)
	if err != nil {
		p := NewProblem(http.StatusServiceUnavailable, err.Error())
		p.RetryAfter = a.o.RetryAfter
		p.ServeHTTP(w, r)
		return
	}
	defer g.release() // after a panic, too
	if class.Stream {
		g.release()
	} else if r.Body != nil {
		r.Body = &countedBody{body: r.Body, grant: g, accounted: announced}
	}
	next(w, r)
}

func bodyTooLarge(limit int64) Problem {
	return NewProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", limit))
}

// grant is the room that a request was given.
type grant struct {
	a     *Admission
	bytes int64
	over  bool
}

// admit takes room for a request, for which it waits as long as it may.
func (a *Admission) admit(ctx context.Context, class RequestClass, bytes int64) (*grant, error) {
	level := a.o.Level()
	if err := shedAt(level, class.Priority); err != nil {
		a.counts.byPressure.Add(1)
		return nil, err
	}
	w, err := a.enter(level, class, bytes)
	if err == nil && w != nil {
		if err = a.wait(ctx, w); err == nil {
			a.counts.waited.Add(1)
		}
	}
	switch {
	case errors.Is(err, errNoRoom):
		a.counts.byLimit.Add(1)
	case err != nil:
		a.counts.byPressure.Add(1)
	default:
		a.counts.admitted.Add(1)
		return &grant{a: a, bytes: bytes}, nil
	}
	return nil, err
}

var errNoRoom = errors.New("there are as many requests under way as there may be at the moment")

// shedAt says why a request is refused at a level whatever room there is, or nil.
func shedAt(level pressure.Level, priority Priority) error {
	if level >= pressure.Critical && priority.rank() <= PriorityNormal.rank() || level >= pressure.High && priority == PriorityLow {
		return fmt.Errorf("memory pressure is %s: requests of %s priority are refused", level, priority)
	}
	return nil
}

// limitAt is how many requests may be under way at a level.
func (a *Admission) limitAt(level pressure.Level) int64 {
	limit := int64(a.o.MaxConcurrent)
	switch {
	case level >= pressure.Critical:
		limit /= 4
	case level >= pressure.High:
		limit /= 2
	}
	return max(1, limit)
}

// enter takes the room if it is there, and returns a waiter if the request has to wait for it.
func (a *Admission) enter(level pressure.Level, class RequestClass, bytes int64) (*waiter, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	rank := class.Priority.rank()
	ahead := 0
	for _, queue := range a.waiting[rank:] {
		ahead += len(queue)
	}
	if ahead == 0 && a.take(level, bytes) {
		return nil, nil
	}
	if a.o.MaxWait < 0 || bytes > a.o.MaxBytes || !a.makeQueueRoom(rank) {
		return nil, errNoRoom
	}
	w := &waiter{class: class, bytes: bytes, ready: make(chan error, 1)}
	a.waiting[rank] = append(a.waiting[rank], w)
	return w, nil
}

// makeQueueRoom reports whether one more may wait: where the queue is full, in the place of the last of a lower rank. mu
// is held.
func (a *Admission) makeQueueRoom(rank int) bool {
	if len(a.waiting[0])+len(a.waiting[1])+len(a.waiting[2]) < a.o.MaxWaiting {
		return true
	}
	for lower := range rank {
		if queue := a.waiting[lower]; len(queue) > 0 {
			last := queue[len(queue)-1]
			a.waiting[lower] = queue[:len(queue)-1]
			last.ready <- errNoRoom
			return true
		}
	}
	return false
}

// take takes a slot and bytes, if both are there. mu is held.
func (a *Admission) take(level pressure.Level, bytes int64) bool {
	if a.running >= a.limitAt(level) || bytes > a.o.MaxBytes-a.bytes {
		return false
	}
	a.running++
	a.bytes += bytes
	a.peakRunning, a.peakBytes = max(a.peakRunning, a.running), max(a.peakBytes, a.bytes)
	return true
}

// wait waits until there is room, or it has taken too long.
func (a *Admission) wait(ctx context.Context, w *waiter) error {
	timer := time.NewTimer(a.o.MaxWait)
	defer timer.Stop()
	select {
	case err := <-w.ready:
		return err
	case <-timer.C:
	case <-ctx.Done():
	}
	level := a.o.Level()
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case err := <-w.ready: // just now
		return err
	default:
	}
	queue := &a.waiting[w.class.Priority.rank()]
	*queue = slices.DeleteFunc(*queue, func(one *waiter) bool { return one == w })
	a.letIn(level) // those who waited behind it may need less
	return errNoRoom
}

// release gives the room back, once, and lets in those who wait.
func (g *grant) release() {
	a, level := g.a, g.a.o.Level()
	a.mu.Lock()
	defer a.mu.Unlock()
	if g.over {
		return
	}
	g.over = true
	a.running--
	a.bytes -= g.bytes
	a.letIn(level)
}

// letIn gives what room there is to those who wait. mu is held.
func (a *Admission) letIn(level pressure.Level) {
	for rank := len(a.waiting) - 1; rank >= 0; rank-- {
		for len(a.waiting[rank]) > 0 {
			first := a.waiting[rank][0]
			err := shedAt(level, first.class.Priority) // the level may have risen
			if err == nil && !a.take(level, first.bytes) {
				return // nobody overtakes it: a request that needs much would never come in
			}
			a.waiting[rank] = a.waiting[rank][1:]
			first.ready <- err
		}
	}
}

// more takes bytes for a body that turns out larger than announced.
func (g *grant) more(bytes int64) bool {
	a := g.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if g.over {
		return true // a stream, or a body that outlives its request
	}
	if bytes > a.o.MaxBytes-a.bytes {
		return false
	}
	g.bytes += bytes
	a.bytes += bytes
	a.peakBytes = max(a.peakBytes, a.bytes)
	return true
}

// countedBody puts on the account what comes beyond what was announced, as it does where a body has no length.
type countedBody struct {
	body interface {
		Read([]byte) (int, error)
		Close() error
	}
	grant           *grant
	read, accounted int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.read += int64(n)
	if b.read > b.accounted {
		if !b.grant.more(b.read - b.accounted) {
			b.grant.a.counts.byLimit.Add(1)
			return 0, ErrOverloaded
		}
		b.accounted = b.read
	}
	return n, err
}

func (b *countedBody) Close() error { return b.body.Close() }

// Name returns the name from the options.
func (a *Admission) Name() string { return a.o.Name }

// Usage returns the requests under way and their memory by estimate; those of NeverShed and streams are not among them.
func (a *Admission) Usage() bounded.Usage {
	a.mu.Lock()
	defer a.mu.Unlock()
	return bounded.Usage{
		Entries: a.running, MaxEntries: int64(a.o.MaxConcurrent), PeakEntries: a.peakRunning,
		Bytes: a.bytes, MaxBytes: a.o.MaxBytes, PeakBytes: a.peakBytes,
	}
}

// OutsideHeap says that the bytes are room that is kept for requests, by estimate and by what bodies announce: not what they
// hold of the heap, which is less.
func (a *Admission) OutsideHeap() {}

// Shrink frees nothing: requests end by themselves, and the level decides on new ones.
func (a *Admission) Shrink(context.Context, int64) int64 { return 0 }

// Statistics returns the counts so far.
func (a *Admission) Statistics() AdmissionStatistics {
	c := &a.counts
	return AdmissionStatistics{
		Admitted: c.admitted.Load(), Waited: c.waited.Load(), ShedByPressure: c.byPressure.Load(),
		ShedByLimit: c.byLimit.Load(), TooLarge: c.tooLarge.Load(),
	}
}
