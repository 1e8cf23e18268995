package memwarden

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/leak"
)

// TestADismissalLasts: beyond the age of reports and beyond their number, until it is taken back, and then is not known.
func TestADismissalLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "max").options()
		o.Config = notWatched()
		w := begin(t, o)
		i := &investigator{w: w}
		suspicion := func() (found int) {
			t.Helper()
			f := leak.Finding{Kind: leak.Threads, Verdict: leak.Suspect, Rule: leak.Fast, Since: time.Now(), Reason: "threads rose", PerSecond: 1}
			i.look(t.Context(), leakCase{finding: f})
			synctest.Wait()
			for _, l := range leaksOf(t, w, 0, 5000) {
				if l.Kind == leak.Threads.String() {
					found++
				}
			}
			return found
		}
		if n := suspicion(); n != 1 {
			t.Fatalf("%d suspicions are listed", n)
		}
		first, err := w.SettleLeak(t.Context(), leaksOf(t, w, 0, 1)[0].ID, LeakDismissed)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 1100 {
			if err := w.ReportLeak(t.Context(), found(n)); err != nil {
				t.Fatal(err)
			}
			if n%(leakQueue/2) == 0 {
				synctest.Wait()
			}
		}
		time.Sleep(time.Minute) // so that it is another case
		if n := suspicion(); n != 1 {
			t.Errorf("%d threads are listed after a thousand reports: want the dismissed one alone", n)
		}
		time.Sleep(72 * time.Hour)
		if n := suspicion(); n != 1 {
			t.Errorf("%d threads are listed after three days: want the dismissed one alone", n)
		}
		now, err := w.LeakReport(t.Context(), first.ID)
		if err != nil || now.Status != LeakDismissed {
			t.Fatalf("%+v, %v", now, err)
		}
		if now, err = w.SettleLeak(t.Context(), first.ID, LeakAcknowledged); err != nil || now.Status != LeakAcknowledged {
			t.Fatalf("%+v, %v", now, err)
		}
		if n := len(w.quietLeaks.list()); n != 0 {
			t.Errorf("%d cases are quiet: %+v", n, w.quietLeaks.list())
		}
		if n := suspicion(); n != 2 {
			t.Errorf("%d threads are listed: want the acknowledged one, and one that is suspected", n)
		}
		if n := suspicion(); n != 2 { // of the same moment, and so the same case
			t.Errorf("%d threads are listed", n)
		}
	})
}

// TestDismissalsInMemoryAreBounded: those that were dismissed first go first, and each signature counts once.
func TestDismissalsInMemoryAreBounded(t *testing.T) {
	w := begin(t, Options{})
	kept := w.o.DismissedLeaks
	for n := range maxDismissed + 1 {
		for range 1 + n/maxDismissed { // the last twice
			if _, err := kept.Dismiss(t.Context(), fmt.Sprint("signature ", n), []byte(`{"kind":"threads"}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n, want := range map[int]bool{0: false, 1: true, maxDismissed: true} {
		if got, err := kept.Dismissed(t.Context(), fmt.Sprint("signature ", n)); got != want || err != nil {
			t.Errorf("signature %d is dismissed: %v, %v", n, got, err)
		}
	}
	list, err := w.o.LeakReports.List(t.Context(), 0, 5000)
	if err != nil || len(list) != maxDismissed+1 { // the one before of the last is an ordinary report
		t.Errorf("%d are listed, %v", len(list), err)
	}
	for i := range list[1:] {
		if list[i].ID <= list[i+1].ID {
			t.Errorf("number %d comes after %d", list[i].ID, list[i+1].ID)
		}
	}
}

// TestADismissedReportStaysQuiet: of leaks that parts of a program report, too, those of a signature that was dismissed are
// neither kept nor told of; others are, and these once it is taken back.
func TestADismissedReportStaysQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, Options{Config: notWatched(), Root: newContainer(t, "max").root})
		told := subscribe(t, w)
		defer told.Close()
		report := func(signature string) (listed, events int) {
			t.Helper()
			if err := w.ReportLeak(t.Context(), LeakReport{Kind: "connection_held", Sentence: "it is held", Signature: signature}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			for _, e := range waiting(told) {
				if e.Kind == EventLeakReport {
					events++
				}
			}
			return len(leaksOf(t, w, 0, 100)), events
		}
		if listed, events := report("held main.take"); listed != 1 || events != 1 {
			t.Fatalf("%d are listed, %d told of", listed, events)
		}
		first := leaksOf(t, w, 0, 1)[0]
		settle := func(status string) {
			t.Helper()
			if _, err := w.SettleLeak(t.Context(), first.ID, status); err != nil {
				t.Fatal(err)
			}
			waiting(told)
		}
		settle(LeakDismissed)
		if listed, events := report("held main.take"); listed != 1 || events != 0 {
			t.Errorf("of one that was dismissed %d are listed, %d told of", listed, events)
		}
		if listed, events := report("held main.other"); listed != 2 || events != 1 {
			t.Errorf("of another one %d are listed, %d told of", listed, events)
		}
		if listed, events := report(""); listed != 3 || events != 1 {
			t.Errorf("of one without a signature %d are listed, %d told of", listed, events)
		}
		settle(LeakAcknowledged)
		if listed, events := report("held main.take"); listed != 4 || events != 1 {
			t.Errorf("of one that was taken back %d are listed, %d told of", listed, events)
		}
	})
}

// TestADismissalIsTakenBackElsewhere: another process that keeps the same reports has done so, and a program's own leak is kept
// again, also where it has a case.
func TestADismissalIsTakenBackElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, Options{Config: notWatched(), Root: newContainer(t, "max").root})
		r := LeakReport{Kind: "connection_held", Sentence: "it is held", Case: "held-1", Signature: "held main.take"}
		report := func() []KeptLeak {
			t.Helper()
			if err := w.ReportLeak(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return leaksOf(t, w, 0, 10)
		}
		dismissed, err := w.SettleLeak(t.Context(), report()[0].ID, LeakDismissed)
		if err != nil {
			t.Fatal(err)
		}
		if list := report(); list[0].ID != dismissed.ID {
			t.Errorf("what was dismissed is listed as %+v", list)
		}
		readmitted := dismissed.LeakReport
		readmitted.Status = LeakAcknowledged
		id, err := w.o.DismissedLeaks.Readmit(t.Context(), r.Signature, mustEncode(t, readmitted))
		if err != nil {
			t.Fatal(err)
		}
		if list := report(); list[0].ID <= id || list[0].Status != "" {
			t.Errorf("what is no longer dismissed is listed as %+v", list)
		}
	})
}

// TestADismissedLeakIsNotTold: neither the log nor an event says that it is suspected or confirmed, it counts for no
// verdict, and once it is taken back it does.
func TestADismissedLeakIsNotTold(t *testing.T) {
	synctest.Test(t, testDismissedIsNotTold)
}

func testDismissedIsNotTold(t *testing.T) {
	log := &logBook{}
	w := begin(t, Options{Config: notWatched(), Logger: slog.New(slog.NewTextHandler(log, nil)), Root: newContainer(t, "max").root})
	dismiss, err := w.o.DismissedLeaks.Dismiss(t.Context(), "threads", mustEncode(t, LeakReport{
		Kind: "threads", Sentence: "threads rose", Case: "threads-1", Signature: "threads", Status: LeakDismissed,
	}))
	if err != nil {
		t.Fatal(err)
	}
	told := subscribe(t, w)
	defer told.Close()
	l := &leakWatch{w: w}
	f := leak.Finding{Kind: leak.Threads, Verdict: leak.Suspect, Since: time.Unix(1000, 0), Reason: "threads rose"}
	l.tell(t.Context(), LeakFinding{Finding: f}, leak.Finding{})
	f.Verdict = leak.Confirmed
	l.tell(t.Context(), LeakFinding{Finding: f}, f)
	if n := leakEvents(told); n != 0 || strings.Contains(log.String(), "memory leak suspect") || strings.Contains(log.String(), "memory leak confirmed") {
		t.Errorf("%d events, and the log:\n%s", n, log)
	}
	if !w.quietLeaks.has(caseOf(f)) || len(w.leakCases) != 0 {
		t.Error("it is looked into, or counts")
	}
	l.tell(t.Context(), LeakFinding{Finding: leak.Finding{Kind: leak.Threads, Verdict: leak.Healthy, Reason: "it fell"}}, f)
	if n := leakEvents(told); n != 1 || strings.Contains(log.String(), "memory leak is over") || w.quietLeaks.has(caseOf(f)) {
		t.Errorf("of its end %d events are told, want the verdict alone, and the log says:\n%s", n, log)
	}
	l.tell(t.Context(), LeakFinding{Finding: f}, leak.Finding{})
	other := f
	other.Kind = leak.Descriptors
	l.tell(t.Context(), LeakFinding{Finding: other}, leak.Finding{})
	if n := leakEvents(told); n != 1 || !strings.Contains(log.String(), "memory leak confirmed") {
		t.Errorf("of another leak %d events are told, and the log says:\n%s", n, log)
	}
	if _, err := w.SettleLeak(t.Context(), dismiss, LeakAcknowledged); err != nil {
		t.Fatal(err)
	}
	if w.quietLeaks.has(caseOf(f)) {
		t.Error("it is quiet although that was taken back")
	}
	l.tell(t.Context(), LeakFinding{Finding: f}, leak.Finding{})
	if n := leakEvents(told); n != 1 {
		t.Errorf("%d events are told once it was taken back, want 1", n)
	}
}

// TestAnUnknownSiteIsToldAfterItsSnapshot: a leak of the heap without a site, which a snapshot may show to be one that was
// dismissed, is told by who takes that, and only while it goes on.
func TestAnUnknownSiteIsToldAfterItsSnapshot(t *testing.T) {
	synctest.Test(t, testUnknownSite)
}

func testUnknownSite(t *testing.T) {
	w := begin(t, Options{Config: notWatched(), Root: newContainer(t, "max").root, Snapshot: SnapshotOptions{Disabled: true}})
	told := subscribe(t, w)
	defer told.Close()
	w.openLeaks.watch(time.Now(), []isOpen{{finding: heapLeak(leak.Suspect)}})
	i := &investigator{w: w}
	for want, goesOn := range map[int]bool{0: false, 1: true} {
		var open []isOpen
		if goesOn {
			open = []isOpen{{finding: heapLeak(leak.Suspect)}}
		}
		w.openLeaks.watch(time.Now(), open)
		i.look(t.Context(), leakCase{finding: heapLeak(leak.Suspect), snapshots: true})
		if n := leakEvents(told); n != want {
			t.Errorf("goes on %v: %d events are told", goesOn, n)
		}
	}
	i.look(t.Context(), leakCase{finding: heapLeak(leak.Suspect), snapshots: true, told: true})
	if n := leakEvents(told); n != 0 {
		t.Errorf("%d events of what was told are told again", n)
	}
}

// notWatched is a configuration with which only the test watches.
func notWatched() *Config {
	c := DefaultConfig()
	c.Sampling.IntervalSeconds, c.Sampling.SlowIntervalSeconds, c.Leaks.Enabled = 60, 600, false
	return &c
}

func mustEncode(t *testing.T, r LeakReport) []byte {
	t.Helper()
	data, err := r.encode(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// leakEvents are how many verdicts wait to be read.
func leakEvents(s *Subscription) (n int) {
	for _, e := range waiting(s) {
		if e.Kind == EventLeak {
			n++
		}
	}
	return n
}
