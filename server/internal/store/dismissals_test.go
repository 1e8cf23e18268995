package store

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// testDismissals: what is dismissed stays so, and listed, beyond the age and the count of reports and over a restart, until
// it is readmitted; the signatures that were dismissed last are known.
func testDismissals(t *testing.T, o Options) {
	s := open(t, o)
	execute(t, s, `DELETE FROM memwarden_leak_reports`) // what other tests have left
	now := noon
	options := ReportOptions{Kind: LeakReports, MaxCount: 3, MaxAge: time.Hour, Now: func() time.Time { return now }}
	leaks := reports(t, s, options)
	dismissals := func(r *Reports) *Dismissals {
		t.Helper()
		d, err := r.Dismissals(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	quiet := dismissals(leaks)
	var last int64
	above := func(id int64, err error) {
		t.Helper()
		if err != nil || id <= last {
			t.Fatalf("number %d comes after %d, %v", id, last, err)
		}
		last = id
	}
	want := func(signature string, dismissed bool) {
		t.Helper()
		if got, err := quiet.Dismissed(t.Context(), signature); got != dismissed || err != nil {
			t.Errorf("%s: dismissed %v, %v", signature, got, err)
		}
	}
	want("heap a", false)
	above(quiet.Dismiss(t.Context(), "heap a", []byte("a is dismissed")))
	for i := range 5 {
		above(leaks.Add(t.Context(), fmt.Append(nil, "other ", i)))
	}
	wantReports(t, leaks, 0, 10, "other 4", "other 3", "other 2", "a is dismissed")
	wantUsage(t, leaks, 3, 21)
	now = now.Add(1000 * time.Hour)
	above(leaks.Add(t.Context(), []byte("later")))
	if _, err := leaks.Trim(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, o)
	leaks = reports(t, s, options)
	quiet = dismissals(leaks)
	wantReports(t, leaks, 0, 10, "later", "a is dismissed")
	want("heap a", true)
	want("heap b", false)
	list, err := leaks.List(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if one, err := leaks.Get(t.Context(), list[1].ID); err != nil || string(one.Value) != "a is dismissed" {
		t.Errorf("%+v, %v", one, err)
	}

	above(quiet.Dismiss(t.Context(), "heap a", []byte("a again"))) // and the one before is as old as it is
	wantReports(t, leaks, 0, 10, "a again", "later")
	want("heap a", true)
	above(quiet.Readmit(t.Context(), "heap a", []byte("a is back")))
	want("heap a", false)
	wantReports(t, leaks, 0, 10, "a is back", "a again", "later")
	wantUsage(t, leaks, 3, 21)
	above(quiet.Readmit(t.Context(), "heap a", []byte("a is here"))) // of what is not dismissed it is one more report
	wantReports(t, leaks, 0, 10, "a is here", "a is back", "a again")
	now = now.Add(2 * time.Hour)
	wantReports(t, leaks, 0, 10)

	above(quiet.Dismiss(t.Context(), "first", []byte("first")))
	above(quiet.Dismiss(t.Context(), "second", []byte("second")))
	execute(t, s, fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO memwarden_leak_reports (at_us, data, dismissed) SELECT 1, %s, 'more ' || i FROM n`,
		MaxDismissals-2, map[string]string{"sqlite": "x'61'", "postgres": `'\x61'::bytea`}[s.db.kind()]))
	want("first", true)
	above(quiet.Dismiss(t.Context(), "last", []byte("last")))
	want("first", false)
	want("second", true)
	want("last", true)
	if u := quiet.Usage(); u.Entries != MaxDismissals || u.MaxEntries != MaxDismissals || quiet.Name() != "dismissed_leaks" || quiet.Shrink(t.Context(), 1) != 0 {
		t.Errorf("%s: %+v", quiet.Name(), u)
	}

	for _, refused := range []struct {
		signature string
		bytes     int
		want      string
	}{{"", 1, "want a signature"}, {"large", MaxReportBytes + 1, "at most 65536 bytes"}} {
		if _, err := quiet.Dismiss(t.Context(), refused.signature, make([]byte, refused.bytes)); err == nil || !strings.Contains(err.Error(), refused.want) {
			t.Errorf("%v, want %q", err, refused.want)
		}
	}
	if _, err := reports(t, s, ReportOptions{Kind: FrontendReports}).Dismissals(t.Context()); err == nil {
		t.Error("reports of pages have dismissals")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := quiet.Dismissed(t.Context(), "last"); err == nil {
		t.Error("a closed store knows what is dismissed")
	}
}
