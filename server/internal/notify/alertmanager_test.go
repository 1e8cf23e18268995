package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden"
)

// posted is what POST /api/v2/alerts takes, and nothing else.
type posted struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	GeneratorURL        string
}

func readAlerts(t *testing.T, body []byte) (list []posted) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&list); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	for _, a := range list {
		if a.Labels["alertname"] == "" || a.EndsAt.Before(a.StartsAt) || a.StartsAt.IsZero() {
			t.Errorf("an Alertmanager refuses %+v", a)
		}
	}
	return list
}

// alerts are those of a board.
func (b *board) list(t *testing.T, now time.Time) []posted {
	t.Helper()
	body, _, err := b.encode(now)
	if err != nil {
		t.Fatal(err)
	}
	return readAlerts(t, body)
}

func goesOn(*memwarden.Warden) (string, bool) { return "", false }

// reported is a note of a leak.
func reported(at time.Time, status, severity string) *note {
	l := memwarden.KeptLeak{ID: 7, LeakReport: memwarden.LeakReport{
		Kind: "heap", Owner: "cache", Sentence: "it grows", Type: "main.T", Path: []string{"main.x", "[…]"}, AllocStack: []string{"f", "g"}, Case: "heap-1",
	}}
	return &note{kind: "leak." + status, at: at, about: "leak heap-1", since: at.Add(-time.Minute), severity: severity, sentence: l.Sentence, alert: "MemwardenLeak", route: "/memory/leaks/7", leak: &l, ended: goesOn}
}

// TestAlertOfALeak goes on from posting to posting, is another one when it is worse, and ends.
func TestAlertOfALeak(t *testing.T) {
	b := &board{instance: "here:1", address: "http://here:1"}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if b.put(reported(at, "suspect", warning).end(at, "over")) {
		t.Error("what was never told of is over")
	}
	if !b.put(reported(at, "suspect", warning)) {
		t.Error("nothing has changed by a leak")
	}
	for _, now := range []time.Time{at, at.Add(time.Hour)} {
		list := b.list(t, now)
		if len(list) != 1 || fmt.Sprint(list[0].Labels) != "map[alertname:MemwardenLeak instance:here:1 kind:heap owner:cache severity:warning]" ||
			fmt.Sprintf("%q", list[0].Annotations) != `map["alloc_stack":"f\ng" "path":"main.x[…]" "report":"7" "summary":"it grows" "type":"main.T"]` ||
			!list[0].StartsAt.Equal(at.Add(-time.Minute)) || !list[0].EndsAt.Equal(now.Add(alertLease)) || list[0].GeneratorURL != "http://here:1/api/monitoring/memory/leaks/7" {
			t.Errorf("%+v", list)
		}
	}
	at = at.Add(time.Hour)
	b.put(reported(at, "confirmed", critical))
	if list := b.list(t, at); len(list) != 2 || list[0].Labels["severity"] != warning || !list[0].EndsAt.Equal(at) || list[1].Labels["severity"] != critical || !list[1].EndsAt.After(at) {
		t.Errorf("%+v", list)
	}
	over := reported(at, "confirmed", critical).end(at.Add(time.Minute), "the leak is over")
	if !b.put(over) || b.put(over) {
		t.Error("the end changes nothing, or changes twice")
	}
	list := b.list(t, at.Add(2*time.Minute))
	if len(list) != 2 || !list[1].EndsAt.Equal(at.Add(time.Minute)) || list[1].Annotations["summary"] != "the leak is over" || list[0].Annotations["summary"] != "it grows" {
		t.Errorf("%+v", list)
	}
	if !b.sweep(at.Add(alertEnded + 30*time.Second)) {
		t.Error("it is taken off too soon")
	}
	if list := b.list(t, at.Add(time.Hour)); len(list) != 1 || b.sweep(at.Add(alertEnded+2*time.Minute)) {
		t.Errorf("%+v", list)
	}
	if body, _, err := b.encode(at); err != nil || string(body) != "[]" {
		t.Errorf("%s, %v", body, err)
	}
}

// TestAlertsOfOneKind: two leaks of one kind and owner that go on at once are two alerts, which end each by itself.
func TestAlertsOfOneKind(t *testing.T) {
	b := &board{}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range []string{"one", "two"} {
		n := reported(at, "confirmed", critical)
		n.about, n.leak.Signature = "leak "+name, "retained cache main."+name
		b.put(n)
	}
	first := reported(at, "confirmed", critical)
	first.about = "leak one"
	b.put(first.end(at.Add(time.Minute), "over"))
	list := b.list(t, at.Add(time.Minute))
	if len(list) != 2 || list[0].Labels["signature"] != "retained cache main.one" || list[0].EndsAt.After(at.Add(time.Minute)) || !list[1].EndsAt.After(at.Add(time.Minute)) {
		t.Errorf("%+v", list)
	}
}

// TestAlertOnce ends by itself, a new one of the same labels takes its place, and clocks that jump do no harm.
func TestAlertOnce(t *testing.T) {
	b := &board{}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 2 {
		n := reported(at.Add(time.Duration(i)*time.Minute), "reported", warning)
		n.ended, n.leak.Case, n.about, n.since = nil, "", fmt.Sprint("leak report-", i), at.Add(time.Hour*24*365)
		b.put(n)
	}
	list := b.list(t, at)
	if len(list) != 1 || !list[0].StartsAt.Equal(at.Add(time.Minute)) || !list[0].EndsAt.Equal(at.Add(time.Minute+alertOnce)) || list[0].Labels["instance"] != "" || list[0].GeneratorURL != "" {
		t.Errorf("%+v", list)
	}
	back := reported(at.Add(-time.Hour), "reported", warning)
	back.about = "leak report-1"
	if b.put(back.end(back.at, "over")); !b.list(t, at)[0].EndsAt.Equal(at.Add(time.Minute)) {
		t.Errorf("%+v", b.list(t, at))
	}
}

// TestBoardIsBounded in alerts and in their texts.
func TestBoardIsBounded(t *testing.T) {
	b := &board{}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range maxAlerts + 5 {
		n := reported(at, "suspect", warning)
		n.about, n.leak.Owner = fmt.Sprint(i), fmt.Sprint(i)
		n.leak.Path = []string{strings.Repeat("é", 5000)}
		b.put(n)
	}
	list := b.list(t, at)
	if len(list) != maxAlerts || list[0].Labels["owner"] != "5" || len(list[0].Annotations["path"]) > maxAnnotation || !strings.HasSuffix(list[0].Annotations["path"], "é...") {
		t.Errorf("%d alerts, the first %+v", len(list), list[0])
	}
}

func TestAlertsURL(t *testing.T) {
	for from, want := range map[string]string{
		"http://h:9093": "http://h:9093/api/v2/alerts", "http://h/": "http://h/api/v2/alerts", "https://u:p@h/am/": "https://u:p@h/am/api/v2/alerts",
		"http://h/am/api/v2/alerts": "http://h/am/api/v2/alerts", "http://h/api/v2/alerts?x=y": "http://h/api/v2/alerts?x=y",
	} {
		if got := alertsURL(mustURLs(t, from)[0]); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
}

// TestAlertmanagerIsTold of pressure, and of leaks until they are dismissed.
func TestAlertmanagerIsTold(t *testing.T) {
	c := newContainer(t)
	w := startWarden(t, memwarden.Options{Root: c.root})
	in := newInbox(t, nil)
	n := start(t, Options{Warden: w, Receivers: mustURLs(t, in.URL+"/am"), Format: Alertmanager, Instance: "here:1", Address: "http://here:1"})
	until := func(what string, seen func([]posted) bool) {
		t.Helper()
		for {
			m := in.next(t)
			if m.path != "/am/api/v2/alerts" || m.header.Get("webhook-signature") != "" {
				t.Errorf("%s: %v", m.path, m.header)
			}
			list := readAlerts(t, m.body)
			if seen(list) {
				return
			}
			t.Logf("before %s: %+v", what, list)
		}
	}
	report(t, w, held)
	until("leak", func(list []posted) bool {
		return len(list) == 1 && list[0].EndsAt.After(time.Now()) && list[0].Labels["owner"] == "pool"
	})
	if _, err := w.SettleLeak(t.Context(), 1, memwarden.LeakDismissed); err != nil {
		t.Fatal(err)
	}
	until("dismissed", func(list []posted) bool { return len(list) == 1 && !list[0].EndsAt.After(time.Now()) })
	c.use("99614720")
	until("pressure", func(list []posted) bool {
		return len(list) == 2 && list[1].Labels["alertname"] == "MemwardenPressure" && list[1].EndsAt.After(time.Now()) &&
			list[1].GeneratorURL == "http://here:1/api/monitoring/memory/health"
	})
	c.use("20971520")
	until("no pressure", func(list []posted) bool { return len(list) == 2 && !list[1].EndsAt.After(time.Now()) })
	if u := n.Owner().Usage(); u.PeakBytes < 1 {
		t.Errorf("%+v", u)
	}
}

// TestAlertsArePostedAgain each minute, as long as there are any; of several wishes that wait one is enough.
func TestAlertsArePostedAgain(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	in := newInbox(t, nil)
	n := start(t, Options{Warden: w, Receivers: mustURLs(t, in.URL), Format: Alertmanager, checkInterval: 5 * time.Millisecond})
	report(t, w, held)
	for range 5 {
		if list := readAlerts(t, in.next(t).body); len(list) != 1 {
			t.Errorf("%+v", list)
		}
	}
	n.Close(t.Context())
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, "http://h", Options{Retry: time.Hour})
		r.board = &board{}
		r.board.put(reported(time.Now(), "suspect", warning))
		var at []time.Duration
		inMemory(t, r, script(time.Now(), &at, "300", http.StatusServiceUnavailable, 200))
		versions := []int64{r.board.next(), r.board.next(), r.board.next()}
		for _, version := range versions {
			r.deliver(t.Context(), message{id: "msg_1", version: version})
		}
		if len(at) != 2 || r.sent.Load() != 1 {
			t.Errorf("posted at %v, sent %d", at, r.sent.Load())
		}
		if r.deliver(t.Context(), message{id: "msg_2", version: r.board.next()}); len(at) != 3 {
			t.Errorf("posted at %v", at)
		}
	})
}
