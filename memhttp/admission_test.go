package memhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/pressure"
)

// dial is a pressure level that a test turns.
type dial struct{ level atomic.Int64 }

func (d *dial) read() pressure.Level      { return pressure.Level(d.level.Load()) }
func (d *dial) turn(level pressure.Level) { d.level.Store(int64(level)) }

func mustAdmission(t testing.TB, o AdmissionOptions) *Admission {
	t.Helper()
	a, err := NewAdmission(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if u := a.Usage(); u.Entries != 0 || u.Bytes != 0 {
			t.Errorf("at the end there are %d requests and %d bytes on the account", u.Entries, u.Bytes)
		}
	})
	return a
}

// byHeader classifies by what a test sends.
func byHeader(r *http.Request) (class RequestClass) {
	for p := PriorityNormal; p <= NeverShed; p++ {
		if r.Header.Get("Priority") == p.String() {
			class.Priority = p
		}
	}
	class.Stream = r.Header.Get("Stream") != ""
	return class
}

// TestPriorities asks at each level for each priority.
func TestPriorities(t *testing.T) {
	var level dial
	a := mustAdmission(t, AdmissionOptions{Level: level.read, Classify: byHeader, RetryAfter: 7 * time.Second})
	s := httptest.NewServer(a.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })))
	defer s.Close()
	for now, refused := range map[pressure.Level]Priority{pressure.Normal: NeverShed, pressure.Elevated: NeverShed, pressure.High: PriorityNormal, pressure.Critical: PriorityHigh} {
		level.turn(now)
		for p := PriorityNormal; p <= NeverShed; p++ {
			q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			q.Header.Set("Priority", p.String())
			response, err := s.Client().Do(q)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			shed := now >= pressure.High && p.rank() < refused.rank()
			switch {
			case !shed && response.StatusCode != http.StatusNoContent:
				t.Errorf("at %s a request of %s priority is answered with %d: %s", now, p, response.StatusCode, body)
			case shed && (response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") != "7" ||
				response.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(body), "pressure is "+now.String())):
				t.Errorf("at %s a request of %s priority is answered with %d: %v %s", now, p, response.StatusCode, response.Header, body)
			}
		}
	}
	if got := a.Statistics(); got.ShedByPressure != 3 || got.Admitted != 9 {
		t.Errorf("%+v", got)
	}
}

// hold takes room that release gives back.
func hold(t *testing.T, a *Admission, class RequestClass, bytes int64) *grant {
	t.Helper()
	g, err := a.admit(t.Context(), class, bytes)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestLimitFollowsTheLevel fills the room at each level.
func TestLimitFollowsTheLevel(t *testing.T) {
	for limit, want := range map[int][4]int{16: {16, 16, 8, 4}, 3: {3, 3, 1, 1}, 1: {1, 1, 1, 1}} {
		var level dial
		a := mustAdmission(t, AdmissionOptions{MaxConcurrent: limit, MaxWait: -1, Level: level.read})
		for now := pressure.Normal; now <= pressure.Critical; now++ {
			level.turn(now)
			var held []*grant
			for {
				g, err := a.admit(t.Context(), RequestClass{Priority: PriorityHigh}, 1)
				if errors.Is(err, errNoRoom) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				held = append(held, g)
			}
			if len(held) != want[now] {
				t.Errorf("of %d at %s there were %d, want %d", limit, now, len(held), want[now])
			}
			for _, g := range held {
				g.release()
				g.release() // which counts once
			}
		}
		if u := a.Usage(); u.PeakEntries != int64(limit) || u.MaxEntries != int64(limit) || a.Name() != "requests" || a.Shrink(t.Context(), 1) != 0 {
			t.Errorf("%s: %+v", a.Name(), u)
		}
	}
}

// TestWaiting: a slot goes to the highest priority, then to who came first; who has waited long enough is told on the dot.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := mustAdmission(t, AdmissionOptions{MaxConcurrent: 1, MaxWaiting: 4, MaxWait: time.Second})
		var mu sync.Mutex
		var order []string
		ask := func(name string, class RequestClass) {
			go func() {
				begin := time.Now()
				g, err := a.admit(t.Context(), class, 1)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					order = append(order, fmt.Sprintf("not %s after %v", name, time.Since(begin)))
					return
				}
				order = append(order, name)
				time.AfterFunc(300*time.Millisecond, g.release)
			}()
			synctest.Wait()
		}
		first := hold(t, a, RequestClass{}, 1)
		ask("low", RequestClass{Priority: PriorityLow})
		ask("normal 1", RequestClass{})
		ask("high", RequestClass{Priority: PriorityHigh})
		ask("normal 2", RequestClass{})
		ask("high 2", RequestClass{Priority: PriorityHigh}) // the queue is full: in the place of the low one
		ask("low 2", RequestClass{Priority: PriorityLow})   // there is no lower one
		first.release()
		time.Sleep(time.Minute)
		mu.Lock()
		const want = "[not low after 0s not low 2 after 0s high high 2 normal 1 normal 2]"
		if got := fmt.Sprint(order); got != want {
			t.Errorf("%s, want %s", got, want)
		}

		order = nil
		mu.Unlock()
		first = hold(t, a, RequestClass{}, 1)
		ask("patient", RequestClass{})
		time.Sleep(time.Minute)
		first.release()
		mu.Lock()
		defer mu.Unlock()
		if got := fmt.Sprint(order); got != "[not patient after 1s]" {
			t.Error(got)
		}
		if got := a.Statistics(); got.Waited != 4 || got.ShedByLimit != 3 || got.Admitted != 6 {
			t.Errorf("%+v", got)
		}
	})
}

// TestWaitingMeetsPressure: who waits while the level rises is refused when it is its turn; one whose client leaves makes
// room for those behind it.
func TestWaitingMeetsPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var level dial
		a := mustAdmission(t, AdmissionOptions{MaxConcurrent: 4, MaxBytes: 1 << 21, MaxWait: time.Hour, Level: level.read})
		ask := func(ctx context.Context, class RequestClass, bytes int64) chan error {
			answer := make(chan error, 1)
			go func() {
				g, err := a.admit(ctx, class, bytes)
				if err == nil {
					g.release()
				}
				answer <- err
			}()
			synctest.Wait()
			return answer
		}
		most := hold(t, a, RequestClass{}, 1<<21-10)
		low := ask(t.Context(), RequestClass{Priority: PriorityLow}, 100)
		level.turn(pressure.High)
		high := ask(t.Context(), RequestClass{Priority: PriorityHigh}, 100)
		most.release()
		if err := <-low; err == nil || !strings.Contains(err.Error(), "pressure is high") {
			t.Errorf("low: %v", err)
		}
		if err := <-high; err != nil {
			t.Errorf("high: %v", err)
		}

		level.turn(pressure.Normal)
		most = hold(t, a, RequestClass{}, 1<<21-10)
		ctx, leave := context.WithCancel(t.Context())
		large, small := ask(ctx, RequestClass{}, 100), ask(t.Context(), RequestClass{}, 5)
		leave()
		if err := <-large; !errors.Is(err, errNoRoom) {
			t.Errorf("large: %v", err)
		}
		if err := <-small; err != nil {
			t.Errorf("small: %v", err)
		}
		most.release()
	})
}

// readAll answers with the length of the body, or why it could not be read.
func readAll(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fmt.Fprint(w, len(body), " ", err)
}

// post sends a body, of a length that is announced or not.
func post(t *testing.T, s *httptest.Server, body io.Reader, announced bool) (status int, answer string) {
	t.Helper()
	if !announced {
		body = io.MultiReader(body)
	}
	response, err := s.Client().Post(s.URL, "text/plain", body)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestBodies: what is too large is refused before it is read where that can be, and cut off where not; what has come
// and what is announced is on the account until the end of the request.
func TestBodies(t *testing.T) {
	var during atomic.Int64
	var a *Admission
	a = mustAdmission(t, AdmissionOptions{MaxBytes: 3000, MaxBodyBytes: 1000, EstimateBytes: 100})
	s := httptest.NewServer(a.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		readAll(w, r)
		during.Store(a.Usage().Bytes)
	})))
	defer s.Close()
	for _, c := range []struct {
		size      int
		announced bool
		status    int
		says      string
		account   int64
	}{
		{0, true, 200, "0 <nil>", 100}, {1000, true, 200, "1000 <nil>", 1100}, {1000, false, 200, "1000 <nil>", 1100},
		{1001, true, 413, "larger than 1000 bytes", 0}, {1001, false, 200, "1000 http: request body too large", 1100},
	} {
		during.Store(0)
		status, answer := post(t, s, strings.NewReader(strings.Repeat("x", c.size)), c.announced)
		if status != c.status || !strings.Contains(answer, c.says) || during.Load() != c.account {
			t.Errorf("%d bytes, announced %v: status %d, %s, %d bytes on the account, want %d, %s, %d", c.size, c.announced, status, answer, during.Load(), c.status, c.says, c.account)
		}
	}
	if got := a.Statistics(); got.TooLarge != 1 || got.Admitted != 4 {
		t.Errorf("%+v", got)
	}

	most := hold(t, a, RequestClass{}, 2500)
	if status, answer := post(t, s, strings.NewReader(strings.Repeat("x", 1000)), false); status != 200 || !strings.Contains(answer, ErrOverloaded.Error()) {
		t.Errorf("a body for which there is no room: status %d, %s", status, answer)
	}
	most.release()
}

// TestPanicGivesBack: what a request held is free after a panic, too.
func TestPanicGivesBack(t *testing.T) {
	a := mustAdmission(t, AdmissionOptions{})
	handler := a.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if u := a.Usage(); u.Entries != 1 || u.Bytes != defaultEstimateBytes+3 {
			t.Errorf("under way: %+v", u)
		}
		panic(http.ErrAbortHandler)
	}))
	defer func() {
		if recover() == nil {
			t.Error("the panic went no further")
		}
	}()
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader("abc")))
}

// TestStreamsHoldNoSlot: they are judged at the door and take no room after it.
func TestStreamsHoldNoSlot(t *testing.T) {
	a := mustAdmission(t, AdmissionOptions{MaxConcurrent: 1, MaxWait: -1, Classify: byHeader})
	handler := a.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u := a.Usage(); u.Entries != 0 || u.Bytes != 0 {
			t.Errorf("the stream holds %+v", u)
		}
		readAll(w, r)
	}))
	ask := func() int {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("abc"))
		r.Header.Set("Stream", "yes")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	if status := ask(); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	only := hold(t, a, RequestClass{}, 1)
	if status := ask(); status != http.StatusServiceUnavailable {
		t.Errorf("without a slot: status %d", status)
	}
	only.release()
}

// TestAdmissionUnderLoad has clients of all kinds, bodies of all sizes and a level that changes all the time, over real
// connections. The handler counts by itself what the bounds are held against.
func TestAdmissionUnderLoad(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const most = 8
	var level dial
	a := mustAdmission(t, AdmissionOptions{
		MaxConcurrent: most, MaxBytes: 20_000, MaxBodyBytes: 5000, EstimateBytes: 1000, MaxWait: 5 * time.Millisecond, MaxWaiting: 4,
		Level: level.read, Classify: byHeader,
	})
	var inside, highest atomic.Int64
	s := httptest.NewServer(a.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Priority") != NeverShed.String() {
			now := inside.Add(1)
			defer inside.Add(-1)
			for was := highest.Load(); now > was && !highest.CompareAndSwap(was, now); was = highest.Load() {
			}
		}
		readAll(w, r)
		time.Sleep(time.Millisecond) // so that others come meanwhile
		if r.Header.Get("Panic") != "" {
			panic(http.ErrAbortHandler)
		}
	})))
	defer s.Close()
	s.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 30
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var clients sync.WaitGroup
	for i := range 30 {
		clients.Go(func() { askAtRandom(ctx, t, s, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	random := rand.New(rand.NewPCG(seed, 1000))
	for enough := time.Now().Add(time.Second / 2); ctx.Err() == nil; {
		if got := a.Statistics(); time.Now().After(enough) && got.Waited > 0 && got.ShedByLimit > 0 && got.ShedByPressure > 0 && got.TooLarge > 0 {
			cancel()
		}
		level.turn(pressure.Level(random.IntN(4)))
		u := a.Usage()
		if u.Entries > most || u.Entries < 0 || u.Bytes > u.MaxBytes || u.Bytes < 0 || u.PeakBytes > u.MaxBytes {
			t.Errorf("the bounds are passed: %+v", u)
		}
		a.mu.Lock()
		if n := len(a.waiting[0]) + len(a.waiting[1]) + len(a.waiting[2]); n > 4 {
			t.Errorf("%d wait", n)
		}
		a.mu.Unlock()
		time.Sleep(100 * time.Microsecond)
	}
	clients.Wait()
	await(t, func() bool { return a.Usage().Entries == 0 })
	t.Logf("%+v, %+v", a.Statistics(), a.Usage())
	if got := highest.Load(); got > most {
		t.Errorf("%d requests were under way at one time, want at most %d", got, most)
	}
	if got := a.Statistics(); got.Waited == 0 || got.ShedByLimit == 0 || got.ShedByPressure == 0 || got.TooLarge == 0 {
		t.Errorf("%+v: the load was none", got)
	}
}

// await polls until something is so that is on its way.
func await(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

func askAtRandom(ctx context.Context, t *testing.T, s *httptest.Server, random *rand.Rand) {
	for ctx.Err() == nil {
		var body io.Reader = strings.NewReader(strings.Repeat("x", random.IntN(6000)))
		if random.IntN(2) == 0 {
			body = io.MultiReader(body) // of no announced length
		}
		q, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, body)
		if err != nil {
			t.Error(err)
			return
		}
		q.Header.Set("Priority", Priority(random.IntN(4)).String())
		if random.IntN(10) == 0 {
			q.Header.Set("Panic", "yes")
		}
		response, err := s.Client().Do(q)
		if err != nil {
			continue // a panic, or a body that was refused while it was sent
		}
		_, _ = io.Copy(io.Discard, response.Body) // what it says does not matter here
		response.Body.Close()
		if code := response.StatusCode; code != 200 && code != 413 && code != 503 {
			t.Errorf("status %d", code)
		}
	}
}

func TestAdmissionOptions(t *testing.T) {
	_, err := NewAdmission(AdmissionOptions{Name: "My Requests", MaxConcurrent: -1, MaxBytes: -1, MaxBodyBytes: -1, EstimateBytes: -1, MaxWaiting: -1, RetryAfter: -1})
	for _, part := range []string{`name "My Requests"`, "max concurrent -1", "max bytes -1", "max body bytes -1", "estimate bytes -1", "max waiting -1", "retry after"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error is %v, want %q in it", err, part)
		}
	}
	if _, err := NewAdmission(AdmissionOptions{MaxBytes: 1 << 20}); err == nil || !strings.Contains(err.Error(), "would never be admitted") {
		t.Errorf("the error is %v", err)
	}
	if got := Priority(200).String(); got != "never shed" {
		t.Error(got)
	}
}

// TestHandlerSheds: reads, but neither probes, metrics nor admin routes, whatever the room and the level.
func TestHandlerSheds(t *testing.T) {
	var level dial
	a := mustAdmission(t, AdmissionOptions{MaxConcurrent: 1, MaxBytes: 10 << 20, MaxWait: -1, Level: level.read})
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{Admission: a})
	const stats = "/api/monitoring/memory/stats"
	wantStatus(t, ask(h, "GET", stats, ""), http.StatusOK)
	wantStatus(t, ask(h, "GET", stats+"?history=1m", ""), http.StatusOK)
	if got := a.Usage().PeakBytes; got != historyBytes {
		t.Errorf("a history is %d bytes on the account, want %d", got, historyBytes)
	}
	wantProblem(t, ask(h, "GET", stats, strings.Repeat("x", maxBodyBytes+1)), http.StatusRequestEntityTooLarge, "65536 bytes")

	level.turn(pressure.High)
	wantStatus(t, ask(h, "GET", stats, ""), http.StatusOK)
	wantProblem(t, ask(h, "GET", openAPIPath, ""), http.StatusServiceUnavailable, "requests of low priority")

	only := hold(t, a, RequestClass{}, 1)
	defer only.release()
	level.turn(pressure.Critical)
	for _, r := range (&handler{}).routes() {
		if r.Path == "/debug/pprof/profile" || r.Path == "/debug/pprof/trace" {
			continue // seconds long; they are admin routes like the others
		}
		answer := ask(h, r.Method, strings.NewReplacer("{name}", "x", "{id}", "x", "{profile}", "heap").Replace(r.Path), "")
		shed := r.Access == Read && r.Path != metricsPath || r.Access == Public
		if got := strings.Contains(answer.Body.String(), "memory pressure is critical: requests of"); got != shed || shed && answer.Code != 503 {
			t.Errorf("%s %s: status %d: %.200s", r.Method, r.Path, answer.Code, answer.Body)
		}
	}
}
