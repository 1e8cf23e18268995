package memwarden

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/leak"
	"github.com/memwarden/memwarden/leak/track"
)

// leakingSlowly begins a goroutine in each pause until it is stopped.
func leakingSlowly(pause time.Duration) (stop func()) {
	stopped, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-time.After(pause):
				go func() { <-stopped }()
			case <-stopped:
				return
			}
		}
	}()
	return func() { close(stopped); <-over }
}

// goroutineLeaks are the leaks of goroutines that are listed.
func goroutineLeaks(t *testing.T, w *Warden) (list []KeptLeak) {
	t.Helper()
	for _, l := range leaksOf(t, w, 0, 5000) {
		if l.Kind == leak.Goroutines.String() {
			list = append(list, l)
		}
	}
	return list
}

// TestALeakThatGoesOnStaysListed: for longer than reports are kept, with what is so now, at any time; somebody's word for it
// stays; it takes a report an hour, and nobody is told of these.
func TestALeakThatGoesOnStaysListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "max").options()
		c := DefaultConfig()
		c.Sampling.IntervalSeconds, c.Sampling.SlowIntervalSeconds = 60, 600
		c.Leaks.IntervalSeconds, c.Leaks.GoroutineProfile = 60, false
		o.Config = &c
		w := begin(t, o)
		stop := leakingSlowly(10 * time.Second)
		defer stop()
		began := time.Now()
		for len(goroutineLeaks(t, w)) == 0 || goroutineLeaks(t, w)[0].Status != "confirmed" {
			if time.Since(began) > 4*time.Hour {
				t.Fatalf("it is not confirmed: %+v", w.Leaks().Findings)
			}
			time.Sleep(time.Minute)
		}
		first := goroutineLeaks(t, w)[0]
		if _, err := w.SettleLeak(t.Context(), first.ID, LeakAcknowledged); err != nil {
			t.Fatal(err)
		}
		confirmed := time.Now()
		told := subscribe(t, w)
		defer told.Close()
		events, kept := 0, map[int64]bool{}
		for time.Since(confirmed) < 26*time.Hour {
			time.Sleep(7 * time.Minute)
			for _, e := range waiting(told) {
				l, report := e.Data.(KeptLeak)
				f, finding := e.Data.(LeakFinding)
				if report && l.Kind == first.Kind || finding && f.Kind == leak.Goroutines {
					events++
				}
			}
			list := goroutineLeaks(t, w)
			if len(list) != 1 {
				t.Fatalf("%d leaks of goroutines are listed after %v: %+v", len(list), time.Since(confirmed), list)
			}
			l := list[0]
			kept[l.ID] = true
			f := w.Leaks().Findings[leak.Goroutines]
			if since := time.Since(l.LastSeen); since > 2*time.Minute || l.GrowthPerSecond != f.PerSecond || !strings.HasPrefix(l.Sentence, "Goroutines rose from") ||
				!strings.Contains(l.Sentence, fmt.Sprintf(" to %.0f within", f.To)) || l.Status != LeakAcknowledged || l.Case != first.Case || !l.FirstSeen.Equal(first.FirstSeen) {
				t.Fatalf("after %v, last seen before %v: %+v\nwhat is found is %+v", time.Since(confirmed), since, l, f)
			}
			if one, err := w.LeakReport(t.Context(), l.ID); err != nil || !one.LastSeen.Equal(l.LastSeen) || one.Sentence != l.Sentence {
				t.Fatalf("alone it is %+v, %v", one, err)
			}
		}
		t.Log(goroutineLeaks(t, w)[0].Sentence)
		if events != 0 {
			t.Errorf("%d events are told of what has not changed", events)
		}
		if n := len(kept); n < 20 || n > 28 {
			t.Errorf("%d reports were kept in 26 hours, want one an hour", n)
		}
		usage := w.o.LeakReports.(leakMemory).own.Usage()
		if usage.PeakEntries > 40 {
			t.Errorf("%d reports were kept at once", usage.PeakEntries)
		}
	})
}

// TestAnAcknowledgedLeakIsConfirmed: what somebody knows he still knows then; of another leak he does not.
func TestAnAcknowledgedLeakIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "max").options()
		o.Config = notWatched()
		o.Config.Leaks.Enabled, o.Config.Leaks.Paused = true, true // what is found is the test's
		w := begin(t, o)
		i := &investigator{w: w}
		look := func(v leak.Verdict, since time.Time) KeptLeak {
			f := leak.Finding{Kind: leak.Threads, Verdict: v, Since: since, Reason: "threads rose", PerSecond: 1, To: 10}
			w.openLeaks.watch(time.Now(), []isOpen{{f, 0}})
			i.look(t.Context(), leakCase{finding: f, told: true})
			synctest.Wait()
			return leaksOf(t, w, 0, 1)[0]
		}
		since := time.Now()
		first := look(leak.Suspect, since)
		if _, err := w.SettleLeak(t.Context(), first.ID, LeakAcknowledged); err != nil {
			t.Fatal(err)
		}
		if l := look(leak.Confirmed, since); l.ID <= first.ID+1 || l.Case != first.Case || l.Status != LeakAcknowledged {
			t.Errorf("confirmed it is %+v", l)
		}
		if l := look(leak.Suspect, since.Add(time.Hour)); l.Case == first.Case || l.Status != "suspect" {
			t.Errorf("the next is %+v", l)
		}
	})
}

// TestALeakIsListedAgainAfterOthers: a report that others have made room of is kept anew within ten minutes.
func TestALeakIsListedAgainAfterOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "max").options()
		o.Config, o.LeakReportsMaxAge = notWatched(), time.Hour
		o.Config.Leaks.Enabled, o.Config.Leaks.Paused = true, true // what is found is the test's
		w := begin(t, o)
		f := leak.Finding{Kind: leak.Threads, Verdict: leak.Suspect, Since: time.Now(), Reason: "threads rose", PerSecond: 1, To: 10}
		w.openLeaks.watch(time.Now(), []isOpen{{f, 7}})
		(&investigator{w: w}).look(t.Context(), leakCase{finding: f, told: true})
		synctest.Wait()
		if list := leaksOf(t, w, 0, 10); len(list) != 1 || list[0].TimeToLimitSeconds != 7 {
			t.Fatalf("%+v", list)
		}
		for n := range 1000 {
			if err := w.ReportLeak(t.Context(), found(n)); err != nil {
				t.Fatal(err)
			}
			if n%(leakQueue/2) == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if _, newest := leaksOf(t, w, 0, 1), leaksOf(t, w, 0, 5000); newest[len(newest)-1].Kind == f.Kind.String() {
			t.Fatal("it is still kept")
		}
		time.Sleep(refreshInterval + time.Minute)
		f.PerSecond, f.To = 3, 20
		w.openLeaks.watch(time.Now(), []isOpen{{f, 5}})
		l := leaksOf(t, w, 0, 1)[0]
		if l.Case != caseOf(f) || l.GrowthPerSecond != 3 || l.TimeToLimitSeconds != 5 || l.Status != "suspect" {
			t.Fatalf("%+v", l)
		}
		time.Sleep(15 * time.Minute)
		if now := leaksOf(t, w, 0, 1)[0].ID; now != l.ID {
			t.Errorf("while it was young it was kept anew: %d, %d", l.ID, now)
		}
		time.Sleep(25 * time.Minute) // more than half of the age of reports
		if now := leaksOf(t, w, 0, 1)[0]; now.ID == l.ID || now.Case != l.Case || now.GrowthPerSecond != 3 {
			t.Errorf("it was not kept anew: %+v", now)
		}
		w.openLeaks.watch(time.Now(), nil)
		if w.openLeaks.any() {
			t.Error("what is over goes on")
		}
	})
}

// refusing reports are kept only while they do not fail.
type refusing struct {
	Reports
	fail atomic.Bool
}

func (r *refusing) Add(ctx context.Context, data []byte) (int64, error) {
	if r.fail.Load() {
		return 0, errDown
	}
	return r.Reports.Add(ctx, data)
}

// TestALeakIsToldOfOnceItsStoreIsBack: of a report that the store refuses those who listen are told when it is kept, once, and
// as it is then; of one that is over by then they are not, nor of what a program has reported itself, which is not kept at all.
func TestALeakIsToldOfOnceItsStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "max").options()
		o.Config = notWatched()
		o.Config.Leaks.Enabled, o.Config.Leaks.Paused = true, true // what is found is the test's
		kept, err := NewMemoryReports("kept", nil)
		if err != nil {
			t.Fatal(err)
		}
		store := &refusing{Reports: kept}
		o.LeakReports = store
		w := begin(t, o)
		told := subscribe(t, w)
		defer told.Close()
		reports := func() (all []KeptLeak) {
			for _, e := range waiting(told) {
				if l, ok := e.Data.(KeptLeak); ok {
					all = append(all, l)
				}
			}
			return all
		}
		i := &investigator{w: w}
		f := leak.Finding{Kind: leak.Threads, Verdict: leak.Suspect, Since: time.Now(), Reason: "threads rose", PerSecond: 1, To: 10}
		other := f
		other.Kind = leak.Descriptors
		look := func(f leak.Finding) {
			i.look(t.Context(), leakCase{finding: f, told: true})
			synctest.Wait()
		}
		w.openLeaks.watch(time.Now(), []isOpen{{f, 0}, {other, 0}})
		look(f)
		if all := reports(); len(all) != 1 || all[0].Status != "suspect" {
			t.Fatalf("%+v", all)
		}
		store.fail.Store(true)
		f.Verdict = leak.Confirmed
		look(f)
		look(other)
		if err := w.ReportLeak(t.Context(), LeakReport{Kind: "timer", Sentence: "a timer is forgotten", Signature: "timer main.forget"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		w.openLeaks.watch(time.Now(), []isOpen{{f, 0}})
		if all := reports(); len(all) != 0 {
			t.Errorf("while nothing is kept it tells of %+v", all)
		}
		store.fail.Store(false)
		time.Sleep(2 * untoldInterval)
		synctest.Wait()
		newest := leaksOf(t, w, 0, 10)
		if all := reports(); len(all) != 1 || all[0].ID != newest[0].ID || all[0].Case != caseOf(f) || all[0].Status != "confirmed" {
			t.Errorf("it tells of %+v; kept are %+v", all, newest)
		}
		time.Sleep(2 * refreshAge)
		synctest.Wait()
		if all := reports(); len(all) != 0 {
			t.Errorf("it tells again of %+v", all)
		}
	})
}

// TestTrackedLeaksGoOn: objects that are still held are listed as seen now, and over when they are gone.
func TestTrackedLeaksGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "max").options()
		o.Config = notWatched()
		w := begin(t, o)
		i := &investigator{w: w, tracked: map[trackKey]*toldTracked{}}
		held := new([100]int64)
		h, err := Track(w, held, "parts")
		if err != nil {
			t.Fatal(err)
		}
		overdue := trackCase{patience: track.Patience{Collections: 3, Age: time.Second}, overdue: []track.Overdue{{
			Owner: "parts", Type: "[100]int64", Count: 1, Collections: 9, Age: time.Hour, Since: time.Now(), Objects: []*track.Handle{h},
		}}}
		i.lookTracked(t.Context(), overdue)
		synctest.Wait()
		time.Sleep(50 * time.Minute)
		i.lookTracked(t.Context(), overdue)
		synctest.Wait()
		list := leaksOf(t, w, 0, 10)
		if len(list) != 1 || !list[0].LastSeen.Equal(time.Now()) || list[0].Status != "confirmed" {
			t.Fatalf("%+v", list)
		}
		if _, err := w.SettleLeak(t.Context(), list[0].ID, LeakAcknowledged); err != nil {
			t.Fatal(err)
		}
		overdue.overdue[0].Count = 2
		i.lookTracked(t.Context(), overdue)
		synctest.Wait()
		if twice := leaksOf(t, w, 0, 10); len(twice) != 1 || twice[0].ID == list[0].ID || twice[0].Status != LeakAcknowledged {
			t.Errorf("twice as many of what was acknowledged are reported as %+v", twice)
		}
		i.lookTracked(t.Context(), trackCase{patience: overdue.patience})
		if w.openLeaks.any() {
			t.Error("what is gone goes on")
		}
		h.Release()
		_ = held[0]
	})
}

// TestCurrentFigures: what was held by a snapshot grows as the heap does, and a report without a case is left alone.
func TestCurrentFigures(t *testing.T) {
	var o openLeaks
	f := heapLeak(leak.Confirmed)
	f.To = 100 << 20
	name := caseOf(f)
	r := LeakReport{Kind: "heap", Case: name, Sentence: "it grows", RetainedBytes: 10 << 20, LastSeen: time.Unix(1000, 0)}
	o.watch(time.Unix(1000, 0), []isOpen{{f, 0}})
	o.found(r, f, "a list holds it")
	f.To, f.PerSecond = 130<<20, 5
	o.watch(time.Unix(2000, 0), []isOpen{{f, 60}})
	now := o.current(r)
	if now.RetainedBytes != 40<<20 || now.GrowthPerSecond != 5 || now.TimeToLimitSeconds != 60 || now.LastSeen.Unix() != 2000 ||
		now.Sentence != "The heap rose; a list holds it; at this pace the limit is reached in 1m0s" {
		t.Errorf("%+v", now)
	}
	if again := o.current(now); again.RetainedBytes != now.RetainedBytes {
		t.Errorf("%d bytes become %d", now.RetainedBytes, again.RetainedBytes)
	}
	r.Case = ""
	if same := o.current(r); same.RetainedBytes != r.RetainedBytes || same.Sentence != r.Sentence {
		t.Errorf("%+v", same)
	}
}

// TestOpenLeaksAreBounded: more of them are not known.
func TestOpenLeaksAreBounded(t *testing.T) {
	var o openLeaks
	for n := range 2 * maxOpenLeaks {
		o.reported(LeakReport{Case: fmt.Sprint(n)}, time.Unix(1, 0))
	}
	if n := len(o.names()); n != maxOpenLeaks {
		t.Errorf("%d are known, want %d", n, maxOpenLeaks)
	}
	open := isOpen{finding: heapLeak(leak.Suspect)}
	if o.watch(time.Unix(1, 0), []isOpen{open}); !o.has(caseOf(open.finding)) {
		t.Error("there is no room for what a finding tells of")
	}
	o.watch(time.Unix(2, 0), nil)
	o.over("0")
	o.reported(LeakReport{Case: "next"}, time.Unix(1, 0))
	if !o.has("next") {
		t.Error("there is no room after one is over")
	}
}

// TestWhatIsUntold: where the store has refused the newer report of a leak, that it takes an older one changes nothing.
func TestWhatIsUntold(t *testing.T) {
	o := &openLeaks{}
	at := time.Unix(1000, 0)
	suspected := LeakReport{Kind: "heap", Case: "heap-1", Status: "suspect", LastSeen: at}
	confirmed := suspected
	confirmed.Status, confirmed.LastSeen = "confirmed", at.Add(time.Minute)
	cleaned := confirmed
	cleaned.Actions, cleaned.LastSeen = []string{"a collection: 1 MiB"}, at.Add(2*time.Minute)

	o.reported(suspected, suspected.LastSeen)
	o.reported(confirmed, confirmed.LastSeen)
	o.lost(confirmed.Case)
	if o.told(KeptLeak{1, suspected}); !o.isUntold("heap-1") {
		t.Error("that it is confirmed is not told any more")
	}
	o.keep(KeptLeak{LeakReport: cleaned}, cleaned.LastSeen)
	if o.told(KeptLeak{2, confirmed}); !o.isUntold("heap-1") {
		t.Error("what was done about it is not told any more")
	}
	if o.told(KeptLeak{3, cleaned}); o.isUntold("heap-1") {
		t.Error("it is told twice")
	}
}

// TestWhatIsAcknowledgedStaysSo: in a report that waited in the queue meanwhile too, and in another process of the program.
func TestWhatIsAcknowledgedStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "max").options()
		o.Config = notWatched()
		kept, err := NewMemoryReports("kept", nil)
		if err != nil {
			t.Fatal(err)
		}
		o.LeakReports = kept
		w := begin(t, o)
		r := LeakReport{Kind: KindAbandoned, Status: "confirmed", Sentence: "ten goroutines wait", Case: abandonedCase("a stack"), LastSeen: time.Now()}
		w.reportHeld(t.Context(), r)
		synctest.Wait()
		first := leaksOf(t, w, 0, 1)[0]
		if _, err := w.SettleLeak(t.Context(), first.ID, LeakAcknowledged); err != nil || first.Status != "confirmed" {
			t.Fatalf("%+v, %v", first, err)
		}
		w.keepLeak(t.Context(), mustEncode(t, r))
		if l := leaksOf(t, w, 0, 1)[0]; l.ID <= first.ID+1 || l.Status != LeakAcknowledged {
			t.Errorf("what was in the queue is listed as %+v", l)
		}
		other := begin(t, o)
		other.reportHeld(t.Context(), r)
		synctest.Wait()
		if l := leaksOf(t, w, 0, 1)[0]; l.ID <= first.ID+2 || l.Status != LeakAcknowledged {
			t.Errorf("in another process it is listed as %+v", l)
		}
	})
}
