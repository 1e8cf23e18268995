package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/leak"
	"github.com/memwarden/memwarden/memhttp"
)

// told is a notification as a receiver reads it.
type told struct {
	Type      string
	Timestamp time.Time
	Data      struct {
		Instance, Severity, Sentence string
		Leak                         *memwarden.KeptLeak
		Pressure                     *struct{ Level, Reason string }
	}
}

// open verifies a signature as a receiver does, and reads what is signed.
func open(t *testing.T, m mail) (got told) {
	t.Helper()
	key, err := standardwebhooks.NewWebhook(keyText)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Verify(m.body, m.header); err != nil {
		t.Errorf("the signature: %v of %v", err, m.header)
	}
	if err := key.Verify(append(m.body, ' '), m.header); err == nil {
		t.Error("the signature is good for another body")
	}
	decoder := json.NewDecoder(strings.NewReader(string(m.body)))
	if err := decoder.Decode(&got); err != nil {
		t.Fatalf("%v: %s", err, m.body)
	}
	return got
}

func report(t *testing.T, w *memwarden.Warden, r memwarden.LeakReport) {
	t.Helper()
	if err := w.ReportLeak(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

var held = memwarden.LeakReport{
	Kind: "connection_held", Owner: "pool", Sentence: `"it" is held <long>`, AllocStack: []string{"main.take a.go:7"}, Path: []string{"main.pool", "[…]"}, Type: "main.conn",
}

// TestLeaksAreTold: to each receiver, signed, with the sentence and the number; what was dismissed or acknowledged is not.
func TestLeaksAreTold(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	one, two := newInbox(t, nil), newInbox(t, nil)
	n := start(t, Options{Warden: w, Receivers: mustURLs(t, one.URL+"/x", two.URL), Keys: mustKeys(t, keyText), Instance: "here:1", Events: []string{"leaks"}})
	report(t, w, held)
	ids := map[string]bool{}
	for _, in := range []*inbox{one, two} {
		m := in.next(t)
		got := open(t, m)
		if got.Type != "leak.reported" || got.Data.Severity != "warning" || got.Data.Sentence != held.Sentence || got.Data.Instance != "here:1" ||
			got.Data.Leak.ID != 1 || got.Data.Leak.Type != "main.conn" || len(got.Data.Leak.Path) != 2 || got.Timestamp.IsZero() {
			t.Errorf("%s", m.body)
		}
		ids[m.header.Get("webhook-id")] = true
	}
	if len(ids) != 1 {
		t.Errorf("one notification has the ids %v", ids)
	}
	for _, status := range []string{memwarden.LeakAcknowledged, memwarden.LeakDismissed} {
		if _, err := w.SettleLeak(t.Context(), 1, status); err != nil {
			t.Fatal(err)
		}
	}
	other := held
	other.Sentence = "another"
	report(t, w, other)
	if got := open(t, one.next(t)); got.Data.Sentence != "another" || got.Data.Leak.ID != 4 {
		t.Errorf("after two that nobody need hear of: %+v", got)
	}
	two.next(t)
	if u := n.Owner().Usage(); n.Owner().Name() != "webhook_queue" || u.MaxEntries != 2*(1+queueLength) || u.PeakEntries < 3 || n.Owner().Shrink(t.Context(), 1) != 0 {
		t.Errorf("%s: %+v", n.Owner().Name(), u)
	}
	n.Close(t.Context())
	if got := figures(n); got != "sent 2 2 failed 0 0 dropped 0 0 retries 0 0" {
		t.Error(got)
	}
}

// figures are the metrics in short.
func figures(n *Notifier) string {
	var parts []string
	for _, source := range n.Metrics() {
		parts = append(parts, strings.TrimSuffix(strings.TrimPrefix(source.Name, "memwarden_webhook_"), "_total"))
		for _, f := range source.Figures() {
			parts = append(parts, fmt.Sprint(f.Value))
		}
	}
	return strings.Join(parts, " ")
}

// TestMetricsAreExposed by a handler, and listed in the document.
func TestMetricsAreExposed(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	n := start(t, Options{Warden: w, Receivers: mustURLs(t, newInbox(t, nil).URL)})
	if _, err := memhttp.Handler(w, memhttp.Options{Metrics: n.Metrics()}); err != nil {
		t.Error(err)
	}
	text := readDocument(t)
	for _, source := range n.Metrics() {
		if !strings.Contains(text, "| `"+source.Name+"` |") {
			t.Errorf("the document lacks %s", source.Name)
		}
	}
	for _, kind := range []string{"leak.suspect", "leak.confirmed", "leak.reported", "leak.over", "pressure.critical", "pressure.over"} {
		if !strings.Contains(text, "| `"+kind+"` |") {
			t.Errorf("the document lacks %s", kind)
		}
	}
}

// TestPressureIsTold: also of a process that was under it before there was a Notifier, and that it is over.
func TestPressureIsTold(t *testing.T) {
	c := newContainer(t)
	c.use("99614720")
	w := startWarden(t, memwarden.Options{Root: c.root})
	in := newInbox(t, nil)
	start(t, Options{Warden: w, Receivers: mustURLs(t, in.URL), Keys: mustKeys(t, keyText), Events: []string{"pressure"}})
	report(t, w, held) // which is not told
	for range 2 {
		if got := open(t, in.next(t)); got.Type != "pressure.critical" || got.Data.Severity != "critical" || got.Data.Pressure.Level != "critical" ||
			!strings.HasPrefix(got.Data.Sentence, "memory pressure is critical: ") {
			t.Errorf("%+v", got)
		}
		c.use("20971520")
		if got := open(t, in.next(t)); got.Type != "pressure.over" || got.Data.Pressure.Level == "critical" || !strings.HasPrefix(got.Data.Sentence, "memory pressure is ") {
			t.Errorf("%+v", got)
		}
		c.use("99614720")
	}
}

// leakGoroutines begins 500 of them in a second, evenly as the clock goes, 10,000 at most, until all of them are let go.
func leakGoroutines(t *testing.T) (letGo func()) {
	t.Helper()
	release, stop, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for begun, at := 0, time.Now(); ; {
			select {
			case <-ticker.C:
			case <-stop:
				return
			}
			for due := min(10_000, int(500*time.Since(at).Seconds())); begun < due; begun++ {
				go func() { <-release }()
			}
		}
	}()
	over := false
	letGo = func() {
		if !over {
			over = true
			close(stop)
			<-ended
			close(release)
		}
	}
	t.Cleanup(letGo)
	return letGo
}

// ofGoroutines is the next that an inbox gets of a kind about goroutines.
func ofGoroutines(t *testing.T, in *inbox, kind string) told {
	t.Helper()
	for {
		if got := open(t, in.next(t)); got.Type == kind && got.Data.Leak.Kind == "goroutines" {
			return got
		}
	}
}

// TestRealLeak is found by the warden, and told of: that it is suspected, and that it is over once it has ended.
func TestRealLeak(t *testing.T) {
	config := memwarden.DefaultConfig()
	config.Leaks = memwarden.LeakConfig{Enabled: true, IntervalSeconds: 0.1, WindowSeconds: 1, MinRiseRatio: 0.1}
	w := startWarden(t, memwarden.Options{Config: &config})
	in := newInbox(t, nil)
	start(t, Options{Warden: w, Receivers: mustURLs(t, in.URL), Keys: mustKeys(t, keyText), checkInterval: 20 * time.Millisecond})
	letGo := leakGoroutines(t)
	suspect := ofGoroutines(t, in, "leak.suspect")
	if suspect.Data.Severity != "warning" || !strings.Contains(suspect.Data.Sentence, "leakGoroutines") {
		t.Errorf("%+v", suspect)
	}
	letGo()
	over := ofGoroutines(t, in, "leak.over")
	if over.Data.Leak.Case != suspect.Data.Leak.Case || !strings.HasPrefix(over.Data.Sentence, "the leak of goroutines is over: ") {
		t.Errorf("%+v", over)
	}
}

// TestALeakOutlivesItsWindow: that a leak which goes on is over is not told when its window is changed, but when it has ended.
func TestALeakOutlivesItsWindow(t *testing.T) {
	config := memwarden.DefaultConfig()
	config.Leaks = memwarden.LeakConfig{Enabled: true, IntervalSeconds: 0.1, WindowSeconds: 2, MinRiseRatio: 0.1}
	w := startWarden(t, memwarden.Options{Config: &config})
	in := newInbox(t, nil)
	start(t, Options{Warden: w, Receivers: mustURLs(t, in.URL), Keys: mustKeys(t, keyText), checkInterval: 20 * time.Millisecond})
	letGo := leakGoroutines(t)
	suspect := ofGoroutines(t, in, "leak.suspect")
	if _, err := w.PatchConfig(t.Context(), memwarden.ConfigPatch{Patch: []byte(`{"leaks":{"window_seconds":1}}`)}); err != nil {
		t.Fatal(err)
	}
	seen := func(f leak.Finding) bool { return f.Kind == leak.Heap && f.Verdict > leak.Insufficient }
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		status := w.Leaks()
		if i := slices.IndexFunc(status.Findings, seen); i >= 0 && status.Inputs[i].Window == time.Second {
			break // the shortest of the windows anew is over
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", status)
		}
	}
	ended := time.Now()
	letGo()
	if over := ofGoroutines(t, in, "leak.over"); over.Timestamp.Before(ended) || over.Data.Leak.Case != suspect.Data.Leak.Case {
		t.Errorf("at %s ends %+v, and it is told %+v", ended, suspect.Data.Leak, over)
	}
}

// TestLeakEnds where it is not watched any more, and not before it was looked.
func TestLeakEnds(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	own := held
	own.Kind, own.Status = "heap", "suspect"
	in := newInbox(t, nil)
	start(t, Options{Warden: w, Receivers: mustURLs(t, in.URL), Keys: mustKeys(t, keyText), checkInterval: 20 * time.Millisecond})
	report(t, w, own)
	if got := open(t, in.next(t)); got.Type != "leak.suspect" {
		t.Errorf("%+v", got)
	}
	if _, err := w.CheckLeaks(t.Context()); err != nil { // it finds nothing of the kind
		t.Fatal(err)
	}
	if got := open(t, in.next(t)); got.Type != "leak.over" || !strings.HasPrefix(got.Data.Sentence, "the leak of heap is over") {
		t.Errorf("%+v", got)
	}
	if _, err := w.PatchConfig(t.Context(), memwarden.ConfigPatch{Patch: []byte(`{"leaks":{"enabled":false}}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CheckLeaks(t.Context()); err != memwarden.ErrLeaksOff {
		t.Fatal(err)
	}
	own.Status = "confirmed"
	report(t, w, own)
	if got := open(t, in.next(t)); got.Type != "leak.confirmed" || got.Data.Severity != "critical" {
		t.Errorf("%+v", got)
	}
	if got := open(t, in.next(t)); got.Type != "leak.over" || got.Data.Sentence != "leak detection was switched off" {
		t.Errorf("%+v", got)
	}
}

// keptAlive is what a program has forgotten to let go.
var keptAlive []*[1000]int

// TestRetainedLeakEnds: that objects are held which should have gone goes on until they are gone.
func TestRetainedLeakEnds(t *testing.T) {
	c := memwarden.DefaultConfig()
	c.Leaks.TrackCollections, c.Leaks.WindowSeconds = 2, 2
	w := startWarden(t, memwarden.Options{Config: &c})
	in := newInbox(t, nil)
	start(t, Options{Warden: w, Receivers: mustURLs(t, in.URL), Keys: mustKeys(t, keyText), checkInterval: 20 * time.Millisecond})
	for range 3 {
		one := new([1000]int)
		keptAlive = append(keptAlive, one)
		h, err := memwarden.Track(w, one, "pool")
		if err != nil {
			t.Fatal(err)
		}
		h.Release()
	}
	collected := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(collected)
		for pause := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				pause.Stop()
				return
			case <-pause.C:
				runtime.GC()
			}
		}
	}()
	defer func() { stop(); <-collected }()
	found := open(t, in.next(t))
	if found.Data.Leak.Kind != memwarden.KindRetained || found.Data.Leak.Owner != "pool" {
		t.Fatalf("%+v", found)
	}
	for found.Type != "leak.confirmed" {
		if found.Type != "leak.suspect" {
			t.Fatalf("%+v", found)
		}
		found = open(t, in.next(t))
	}
	clear(keptAlive)
	if got := open(t, in.next(t)); got.Type != "leak.over" || got.Data.Leak.Case != found.Data.Leak.Case || !strings.Contains(got.Data.Sentence, "nothing of it is left") {
		t.Errorf("%+v", got)
	}
}

// TestHangingReceiver holds up nobody: the other receiver is told, the warden goes on, the queue drops what is oldest and
// says so, and the end comes in time.
func TestHangingReceiver(t *testing.T) {
	release := make(chan struct{})
	hangs := newInbox(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) }) // before the server is closed
	well := newInbox(t, nil)
	w := startWarden(t, memwarden.Options{})
	log := &logBook{}
	n, err := New(Options{Warden: w, Receivers: mustURLs(t, hangs.URL, well.URL), Timeout: time.Hour, checkInterval: 20 * time.Millisecond, Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	const reports = 2 + queueLength + 5
	for i := range reports {
		own := held
		own.Sentence = fmt.Sprint(i)
		report(t, w, own)
		well.next(t)
		if i == 0 {
			hangs.next(t) // the others wait behind it
		}
	}
	for deadline := time.Now().Add(patience); !strings.Contains(log.String(), "dropped"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log is %s", log)
		}
	}
	if got := n.receivers[0].dropped.Load(); got != reports-1-queueLength {
		t.Errorf("%d were dropped", got)
	}
	before := w.State().Sequence
	for deadline := time.Now().Add(patience); w.State().Sequence < before+3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the warden does not go on")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	n.Close(ctx)
	if !strings.Contains(log.String(), fmt.Sprintf("not delivered before the end\" notifications=%d", queueLength)) {
		t.Errorf("the log is %s", log)
	}
	if got := figures(n); got != fmt.Sprintf("sent 0 %d failed 1 0 dropped %d 0 retries 0 0", reports, reports-1) {
		t.Error(got)
	}
	well.empty(t)
}

// TestMistakes are all told at once.
func TestMistakes(t *testing.T) {
	_, err := New(Options{Format: "xml", Events: []string{"all"}, Timeout: -1, Receivers: append(mustURLs(t, "http://h"), nil)})
	for _, want := range []string{"no warden", `"xml"`, `"all"`, "negative", "receiver 2"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	w := startWarden(t, memwarden.Options{})
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Warden: w, Receivers: mustURLs(t, "http://h")}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("of a warden that is closed: %v", err)
	}
}
