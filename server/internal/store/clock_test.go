package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/scratch"
)

// TestReportsWhileTheClockJumps sets the clock back and forth by hours, within the age that reports may have: the newest
// as many as are to be kept are there, in the order in which they were added.
func TestReportsWhileTheClockJumps(t *testing.T) {
	const most, added = 50, 400
	random, at := seeded(t), noon
	r, err := open(t, Options{DataDir: scratch.Dir(t)}).Reports(t.Context(), ReportOptions{
		Kind: FrontendReports, MaxCount: most, MaxAge: 24 * time.Hour, Now: func() time.Time { return at },
	})
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for n := range added {
		at = noon.Add(time.Duration(random.Int64N(int64(23 * time.Hour))))
		id, err := r.Add(t.Context(), fmt.Append(nil, n))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		if random.IntN(10) == 0 {
			if _, err := r.Trim(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	list, err := r.List(t.Context(), 0, added)
	if err != nil || len(list) != most {
		t.Fatalf("%d reports, %v, want %d", len(list), err, most)
	}
	for i, one := range list {
		if n := added - 1 - i; one.ID != ids[n] || string(one.Value) != fmt.Sprint(n) {
			t.Errorf("report %d of the list is %d with %s, want %d with %d", i, one.ID, one.Value, ids[n], n)
		}
	}
}
