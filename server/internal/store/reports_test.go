package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bounded"
)

func testReports(t *testing.T, o Options) {
	s := open(t, o)
	now := noon
	options := ReportOptions{Kind: FrontendReports, MaxCount: 5, MaxAge: time.Hour, Now: func() time.Time { return now }}
	r := reports(t, s, options)
	var ids []int64
	add := func(text string) {
		t.Helper()
		id, err := r.Add(t.Context(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) > 0 && id <= ids[len(ids)-1] {
			t.Errorf("report %d came after %d", id, ids[len(ids)-1])
		}
		ids = append(ids, id)
	}
	for i := range 8 {
		add(fmt.Sprint("report ", i))
		now = now.Add(time.Minute)
	}
	wantReports(t, r, 0, 10, "report 7", "report 6", "report 5", "report 4", "report 3")
	wantReports(t, r, 0, 2, "report 7", "report 6")
	wantReports(t, r, ids[6], 2, "report 5", "report 4")
	wantReports(t, r, ids[3], 2)
	wantUsage(t, r, 5, 40)

	one, err := r.Get(t.Context(), ids[4])
	if at := noon.Add(4 * time.Minute); err != nil || string(one.Value) != "report 4" || !one.At.Equal(at) || one.At.Location() != time.UTC {
		t.Errorf("%+v, %v", one, err)
	}
	for _, id := range []int64{ids[2], ids[7] + 1, 0, -1} {
		if _, err := r.Get(t.Context(), id); !errors.Is(err, ErrNoReport) {
			t.Errorf("get %d: %v, want ErrNoReport", id, err)
		}
	}

	now = noon.Add(time.Hour + 5*time.Minute) // report 5 is as old as may be, and so too old
	wantReports(t, r, 0, 10, "report 7", "report 6")
	if _, err := r.Get(t.Context(), ids[5]); !errors.Is(err, ErrNoReport) {
		t.Errorf("one that is too old: %v, want ErrNoReport", err)
	}
	if freed, err := r.Trim(t.Context()); freed != 24 || err != nil {
		t.Errorf("%d bytes were trimmed, %v: want 24", freed, err)
	}
	wantUsage(t, r, 2, 16)

	// Other kinds are apart, and all of it outlives the store.
	leaks := reports(t, s, ReportOptions{Kind: LeakReports, Now: options.Now})
	wantReports(t, leaks, 0, 10)
	if _, err := leaks.Add(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	r = reports(t, s, options)
	wantReports(t, r, 0, 10, "report 7", "report 6")
	wantReports(t, reports(t, s, ReportOptions{Kind: LeakReports, Now: options.Now}), 0, 10, "")
	now = now.Add(24 * time.Hour)
	if freed, err := r.Trim(t.Context()); freed != 16 || err != nil {
		t.Errorf("%d bytes were trimmed, %v: want 16", freed, err)
	}
	add("the next") // its number is none that was there
	wantReports(t, r, 0, 10, "the next")
}

// testBrowserLeaks: leaks in pages stand among the others, by numbers of one series, and each kind has its own bounds.
func testBrowserLeaks(t *testing.T, o Options) {
	s := open(t, o)
	now := noon
	options := func(kind ReportKind, most int) ReportOptions {
		return ReportOptions{Kind: kind, MaxCount: most, MaxAge: time.Hour, Now: func() time.Time { return now }}
	}
	execute(t, s, `DELETE FROM memwarden_leak_reports`) // what other tests have left
	leaks, pages := reports(t, s, options(LeakReports, 3)), reports(t, s, options(BrowserLeaks, 2))
	add := func(r *Reports, text string) (id int64) {
		t.Helper()
		id, err := r.Add(t.Context(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := add(leaks, "heap")
	for i := range 20 {
		if id := add(pages, fmt.Sprint("page ", i)); id <= first {
			t.Errorf("number %d comes after %d", id, first)
		}
	}
	wantReports(t, leaks, 0, 10, "page 19", "page 18", "heap")
	wantReports(t, pages, 0, 10, "page 19", "page 18")
	for i := range 4 {
		add(leaks, fmt.Sprint("threads ", i))
	}
	wantReports(t, leaks, 0, 10, "threads 3", "threads 2", "threads 1", "page 19", "page 18")
	wantReports(t, leaks, 0, 4, "threads 3", "threads 2", "threads 1", "page 19")
	wantUsage(t, leaks, 3, 27)
	wantUsage(t, pages, 2, 14)
	if _, err := pages.Get(t.Context(), first); !errors.Is(err, ErrNoReport) {
		t.Errorf("a leak of the process is found among those of pages: %v", err)
	}
	if freed, err := leaks.Trim(t.Context()); freed != 0 || err != nil {
		t.Errorf("%d bytes were trimmed, %v", freed, err)
	}
	now = now.Add(2 * time.Hour)
	if freed, err := pages.Trim(t.Context()); freed != 14 || err != nil {
		t.Errorf("%d bytes of pages were trimmed, %v: want 14", freed, err)
	}
	wantUsage(t, reports(t, s, options(LeakReports, 3)), 0, 0)
}

func testReportMistakes(t *testing.T, o Options) {
	s := open(t, o)
	for want, options := range map[string]ReportOptions{
		`kind "" is not known`:                         {},
		`kind "memwarden_history" is not known`:        {Kind: "memwarden_history"},
		"maximal count: -1 is not between 0 and 10000": {Kind: LeakReports, MaxCount: -1},
		"maximal age: -1s is negative":                 {Kind: LeakReports, MaxAge: -time.Second},
	} {
		if _, err := s.Reports(t.Context(), options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	r := reports(t, s, ReportOptions{Kind: LeakReports})
	if _, err := r.Add(t.Context(), make([]byte, MaxReportBytes+1)); err == nil || !strings.Contains(err.Error(), "65537 bytes are more than 65536") {
		t.Error(err)
	}
	if _, err := r.Add(t.Context(), make([]byte, MaxReportBytes)); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		before int64
		limit  int
	}{{-1, 1}, {0, 0}} {
		if _, err := r.List(t.Context(), c.before, c.limit); err == nil {
			t.Errorf("list before %d, limit %d: no error", c.before, c.limit)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if u := r.Usage(); u.Entries > u.MaxEntries || r.Shrink(t.Context(), 1) != 0 {
		t.Errorf("usage %+v", u)
	}
}

// testReportsContended has several add at once: each is there, in the order of its number, within the bound.
func testReportsContended(t *testing.T, o Options) {
	const writers, each, most = 4, 25, 50
	s := open(t, o)
	r := reports(t, s, ReportOptions{Kind: FrontendReports, MaxCount: most})
	var mu sync.Mutex
	byID := map[int64][]byte{}
	var adding sync.WaitGroup
	for w := range writers {
		adding.Go(func() {
			for i := range each {
				data := fmt.Appendf(nil, "%d of %d", i, w)
				id, err := r.Add(t.Context(), data)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				byID[id] = data
				mu.Unlock()
			}
		})
	}
	added := make(chan struct{})
	go func() { adding.Wait(); close(added) }()
	for done := false; !done; { // what another process would see
		select {
		case <-added:
			done = true
		default:
		}
		if list, err := r.List(t.Context(), 0, 1000); err != nil || len(list) > most {
			t.Fatalf("%d reports, %v: want at most %d", len(list), err, most)
		}
	}
	if len(byID) != writers*each {
		t.Errorf("%d numbers for %d reports", len(byID), writers*each)
	}
	if _, err := r.Add(t.Context(), []byte("last")); err != nil {
		t.Fatal(err)
	}
	list, err := r.List(t.Context(), 0, 1000)
	if err != nil || len(list) != most || string(list[0].Value) != "last" {
		t.Fatalf("%d reports, %v: want %d", len(list), err, most)
	}
	held := int64(0)
	for _, one := range list {
		held += int64(len(one.Value))
	}
	wantUsage(t, r, most, held) // what was counted step by step
	for i, one := range list[1:] {
		if one.ID >= list[i].ID || !bytes.Equal(one.Value, byID[one.ID]) {
			t.Errorf("report %d is %q, want %q", one.ID, one.Value, byID[one.ID])
		}
	}
}

func reports(t *testing.T, s *Store, o ReportOptions) *Reports {
	t.Helper()
	r, err := s.Reports(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantReports(t *testing.T, r *Reports, before int64, limit int, want ...string) {
	t.Helper()
	list, err := r.List(t.Context(), before, limit)
	var got []string
	for _, one := range list {
		got = append(got, string(one.Value))
	}
	if err != nil || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("reports before %d: %q, %v: want %q", before, got, err, want)
	}
}

func wantUsage(t *testing.T, r *Reports, entries, bytes int64) {
	t.Helper()
	var owner bounded.Owner = r
	u := owner.Usage()
	if u.Entries != entries || u.Bytes != bytes || u.PeakEntries < entries || u.PeakBytes < bytes || u.MaxEntries != int64(r.o.MaxCount) {
		t.Errorf("usage %+v, want %d entries and %d bytes", u, entries, bytes)
	}
	if u.PeakEntries > u.MaxEntries {
		t.Errorf("the peak %d is above the bound %d", u.PeakEntries, u.MaxEntries)
	}
}
