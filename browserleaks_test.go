package memwarden

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inPage is a leak in a page as memhttp reports it.
func inPage(n int) LeakReport {
	return LeakReport{
		Kind: "whatever", Status: "confirmed", Sentence: fmt.Sprintf("component %d is still there", n),
		Case: fmt.Sprint("browser-", n), Signature: fmt.Sprint("browser component ", n),
	}
}

// TestLeaksInPagesMakeNoRoom: however many pages report, the leaks of the process stay, and so does the verdict; and the
// other way round.
func TestLeaksInPagesMakeNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "max").options()
		w := begin(t, o)
		told := subscribe(t, w)
		defer told.Close()
		verdict := w.Leaks().Verdict
		if err := w.ReportLeak(t.Context(), found(1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for n := range 1500 { // without a look at those before, which takes its time
			r := inPage(n)
			r.Kind, r.Status = KindBrowser, ""
			data, err := r.encode(time.Now())
			if err == nil {
				_, err = w.o.BrowserLeaks.Add(t.Context(), data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.ReportBrowserLeak(t.Context(), inPage(1500)); err != nil {
			t.Fatal(err)
		}
		both := leaksOf(t, w, 0, 5000)
		if last := both[len(both)-1]; len(both) != 1001 || last.Kind != found(1).Kind {
			t.Errorf("%d leaks are kept, the oldest is %+v", len(both), last)
		}
		for i, l := range both[:1000] {
			if l.Kind != KindBrowser || l.Status != "" || l.ID <= both[i+1].ID {
				t.Fatalf("%+v before %+v", l, both[i+1])
			}
		}
		if page := leaksOf(t, w, both[3].ID, 2); len(page) != 2 || page[0].ID != both[4].ID {
			t.Errorf("the page is %+v", page)
		}
		yes, no := true, false
		pages, err := w.LeakReports(t.Context(), LeakQuery{Limit: 5000, Browser: &yes})
		own, ownErr := w.LeakReports(t.Context(), LeakQuery{Limit: 5000, Browser: &no})
		if len(pages) != 1000 || len(own) != 1 || err != nil || ownErr != nil {
			t.Errorf("%d leaks in pages, %d others, %v, %v", len(pages), len(own), err, ownErr)
		}
		if now := w.Leaks().Verdict; now != verdict {
			t.Errorf("the verdict was %v and is %v", verdict, now)
		}
		for n := range 1500 {
			if err := w.ReportLeak(t.Context(), found(n)); err != nil {
				t.Fatal(err)
			}
			if n%(leakQueue/2) == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if both = leaksOf(t, w, 0, 5000); len(both) != 2000 {
			t.Errorf("%d leaks are kept, want 1000 of each", len(both))
		}
		for _, e := range waiting(told) {
			if l, ok := e.Data.(KeptLeak); ok && l.Kind == KindBrowser {
				t.Errorf("somebody is told of %+v", l)
			}
		}
	})
}

// TestLeaksInPagesAreSettled: one that was dismissed is not kept again, one that was acknowledged stays so, with the time
// since when it leaks.
func TestLeaksInPagesAreSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "max").options()
		w := begin(t, o)
		report := func(n int) {
			t.Helper()
			if err := w.ReportBrowserLeak(t.Context(), inPage(n)); err != nil {
				t.Fatal(err)
			}
		}
		report(0)
		report(1)
		began := time.Now()
		list := leaksOf(t, w, 0, 10)
		for i, status := range []string{LeakAcknowledged, LeakDismissed} {
			if _, err := w.SettleLeak(t.Context(), list[i].ID, status); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		report(0)
		report(1)
		list = leaksOf(t, w, 0, 10)
		if len(list) != 2 || list[0].Case != "browser-1" || list[0].Status != LeakAcknowledged || !list[0].FirstSeen.Equal(began) ||
			list[1].Case != "browser-0" || list[1].Status != LeakDismissed {
			t.Errorf("%+v", list)
		}
	})
}

func TestLeaksInPagesThatCannotBeKept(t *testing.T) {
	w := begin(t, Options{})
	if err := w.ReportBrowserLeak(t.Context(), LeakReport{Sentence: "a\nb"}); err == nil || !strings.Contains(err.Error(), "in a page: sentence") {
		t.Error(err)
	}
	if err := w.ReportLeak(t.Context(), LeakReport{Kind: KindBrowser, Sentence: "x"}); err == nil || !strings.Contains(err.Error(), "ReportBrowserLeak") {
		t.Error(err)
	}
	kept, err := NewMemoryReports("kept", nil)
	if err != nil {
		t.Fatal(err)
	}
	w = begin(t, Options{LeakReports: kept})
	if err := w.ReportBrowserLeak(t.Context(), inPage(1)); err != nil || len(leaksOf(t, w, 0, 10)) != 0 {
		t.Errorf("%v: where nothing keeps them they are left out", err)
	}
	w = begin(t, Options{LeakReports: kept, BrowserLeaks: failingReports{kept}})
	if err := w.ReportBrowserLeak(t.Context(), inPage(1)); !errors.Is(err, errDown) {
		t.Error(err)
	}
}

// failingReports take nothing.
type failingReports struct{ MemoryReports }

func (failingReports) Add(context.Context, []byte) (int64, error) { return 0, errDown }
