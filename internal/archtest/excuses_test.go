package archtest

import (
	"path"
	"testing"
)

// excuse permits one thing to one place, for a reason. It fails once the place no longer makes use of it.
type excuse struct{ place, thing, why string }

// excuses keeps book of which excuses of a table are made use of.
type excuses struct {
	table []excuse
	used  []bool
}

func newExcuses(table []excuse) *excuses { return &excuses{table, make([]bool, len(table))} }

// permits reports whether the table excuses a thing in a place; "*" excuses everything.
func (e *excuses) permits(place, thing string) bool {
	permitted := false
	for i, x := range e.table {
		matches, err := path.Match(x.place, place)
		if (err == nil && matches) && (x.thing == thing || x.thing == "*") {
			e.used[i], permitted = true, true
		}
	}
	return permitted
}

// check fails for the excuses that nothing made use of.
func (e *excuses) check(t *testing.T) {
	t.Helper()
	for i, x := range e.table {
		if !e.used[i] {
			t.Errorf("%s is excused for %s (%s), which it no longer needs", x.place, x.thing, x.why)
		}
	}
}
