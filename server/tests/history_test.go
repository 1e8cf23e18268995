//go:build unix

package tests

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// change is an entry of the audit log.
type change struct {
	Version int64
	Actor   string
	Patch   json.RawMessage
}

// audit returns the newest changes, newest first.
func (s *service) audit(t *testing.T, most int) []change {
	t.Helper()
	return servicetest.Decode[struct{ Changes []change }](t, s.Get(t, fmt.Sprintf("%s/config/audit?limit=%d", memory, most))).Changes
}

// past is the history as the statistics have it.
type past struct {
	SavedUntil time.Time `json:"saved_until"`
	At         []int64   `json:"at_unix_seconds"`
	Columns    map[string][]json.RawMessage
}

// history asks for the second-by-second history.
func (s *service) history(t *testing.T) past {
	t.Helper()
	return servicetest.Decode[struct{ History past }](t, s.Get(t, memory+"/stats?history=1s")).History
}

// point is all that the history has of one second, as text that can be compared.
func (p past) point(i int) string {
	values := map[string]json.RawMessage{}
	for name, column := range p.Columns {
		values[name] = column[i]
	}
	text, err := json.Marshal(values)
	if err != nil {
		panic(err) // it was JSON
	}
	return string(text)
}

// acknowledged keeps points that must survive whatever happens.
type acknowledged map[int64]string

// note takes in the points that the service says to have stored for good.
func (a acknowledged) note(p past) {
	for i, at := range p.At {
		if at < p.SavedUntil.Unix() {
			a[at] = p.point(i)
		}
	}
}

// check fails for every point that is no longer there or has changed.
func (a acknowledged) check(t *testing.T, p past) {
	t.Helper()
	found := map[int64]string{}
	for i, at := range p.At {
		found[at] = p.point(i)
	}
	for at, want := range a {
		if got, ok := found[at]; !ok {
			t.Errorf("the point of second %d is lost; %d others are there", at, len(found))
		} else if got != want {
			t.Errorf("the point of second %d was %s and is %s", at, want, got)
		}
	}
}
