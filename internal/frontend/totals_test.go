package frontend

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// minutes after noon.
func minutes(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }

func encoded(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func text(s string) *string { return &s }

// some are reports of two pages and two releases.
func some() []*Report {
	return []*Report{
		{At: minutes(0), Release: "1", Page: "/a", Components: []Component{{"Cart", 10, 1, 0, 1, 10, 100, 30}, {"Row", 50, 50, 0, 50, 0, 0, 0}, {"Cart", 2, 0, 4, 3, 0, 0, 0}},
			Heap: []Heap{{"engine", 100}, {"agent", 1000}}, LongTasks: Blocking{1, 60, 60}, Warnings: map[string]int{"slow_commit": 2},
			Leaks: []Leak{{"component", "Cart", []string{"App"}, nil, 6, 5}}},
		{At: minutes(1), Release: "1", Page: "/b", Components: []Component{{"Cart", 5, 1, 3, 2, 5, 10, 4}},
			Heap: []Heap{{"engine", 301}}, LongTasks: Blocking{2, 200, 150}, LongFrames: Blocking{1, 70, 70}, MonitorOff: 1},
		{At: minutes(2), Release: "2", Page: "/a", Components: []Component{{"Cart", 1, 1, 1, 1, 1, 90, 90}},
			Leaks: []Leak{{"component", "Cart", []string{"Shop"}, []string{"interval"}, 12, 11}, {"dom", "Cart", nil, nil, 60, 50}}},
		{At: minutes(3), Release: "1", Page: "/a", Components: []Component{{"Cart", 1, 0, 0, 0, 0, 0, 0}}, Warnings: map[string]int{"slow_commit": 1, "growing_heap": 1}},
	}
}

func TestComponents(t *testing.T) {
	rows, folded := Components(some(), Filter{})
	SortComponents(rows, "mean_ms")
	const first, last = `"first_seen":"2026-03-01T12:0`, `"last_seen":"2026-03-01T12:0`
	want := `[{"name":"Cart","release":"2","reports":1,"pages":1,` + first + `2:00Z",` + last + `2:00Z","commits":1,"mounts":1,"unmounts":1,"live_mean":1,"live_max":1,` +
		`"timed":{"commits":1,"mean_ms":90,"longest_ms":90,"total_ms":90}},` +
		`{"name":"Cart","release":"1","reports":3,"pages":2,` + first + `0:00Z",` + last + `3:00Z","commits":18,"mounts":2,"unmounts":7,"live_mean":1.5,"live_max":3,` +
		`"timed":{"commits":15,"mean_ms":7.333333333333333,"longest_ms":30,"total_ms":110}},` +
		`{"name":"Row","release":"1","reports":1,"pages":1,` + first + `0:00Z",` + last + `0:00Z","commits":50,"mounts":50,"unmounts":0,"live_mean":50,"live_max":50}]`
	if got := encoded(t, rows); got != want || folded != 0 {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	for order, first := range map[string]string{"mean_ms": "Cart 2", "longest_ms": "Cart 2", "total_ms": "Cart 1", "commits": "Row 1", "mounts": "Row 1", "unmounts": "Cart 1", "live_max": "Row 1"} {
		SortComponents(rows, order)
		if got := rows[0].Name + " " + rows[0].Release; got != first {
			t.Errorf("by %s %s comes first, want %s", order, got, first)
		}
	}
	if len(ComponentOrders) != len(componentOrders) {
		t.Error("an order has no name")
	}
	for filter, want := range map[*Filter]int{{Release: text("1")}: 2, {Name: text("Cart")}: 2, {Release: text("2"), Name: text("Row")}: 0, {Release: text("")}: 0} {
		if rows, _ := Components(some(), *filter); len(rows) != want {
			t.Errorf("%s: %d rows, want %d", encoded(t, filter), len(rows), want)
		}
	}
}

func TestReleases(t *testing.T) {
	rows, folded := Releases(some(), Filter{})
	want := `[{"release":"1","reports":3,"pages":2,"first_seen":"2026-03-01T12:00:00Z","last_seen":"2026-03-01T12:03:00Z",` +
		`"heap":[{"source":"agent","readings":1,"mean_bytes":1000,"max_bytes":1000},{"source":"engine","readings":2,"mean_bytes":200,"max_bytes":301}],` +
		`"long_tasks":{"count":3,"total_ms":260,"longest_ms":150},"long_frames":{"count":1,"total_ms":70,"longest_ms":70},` +
		`"warnings":{"growing_heap":1,"slow_commit":3},"leaks":1,"monitor_off":1},` +
		`{"release":"2","reports":1,"pages":1,"first_seen":"2026-03-01T12:02:00Z","last_seen":"2026-03-01T12:02:00Z","heap":[],` +
		`"long_tasks":{"count":0,"total_ms":0,"longest_ms":0},"long_frames":{"count":0,"total_ms":0,"longest_ms":0},"warnings":{},"leaks":2,"monitor_off":0}]`
	if got := encoded(t, rows); got != want || folded != 0 {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestLeaks(t *testing.T) {
	rows, folded := Leaks(some(), Filter{})
	want := `[{"what":"dom","name":"Cart","owners":[],"released":60,"survivors":50,"holders":[],"releases":["2"],` +
		`"reports":1,"pages":1,"first_seen":"2026-03-01T12:02:00Z","last_seen":"2026-03-01T12:02:00Z"},` +
		`{"what":"component","name":"Cart","owners":["Shop"],"released":12,"survivors":11,"holders":["interval"],"releases":["1","2"],` +
		`"reports":2,"pages":1,"first_seen":"2026-03-01T12:00:00Z","last_seen":"2026-03-01T12:02:00Z"}]`
	if got := encoded(t, rows); got != want || folded != 0 {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if rows, _ := Leaks(some(), Filter{Release: text("1")}); len(rows) != 1 || rows[0].Survivors != 5 {
		t.Errorf("of one release: %s", encoded(t, rows))
	}
}

// TestWhatIsToldApartIsBounded sends more names than are told apart: the rest is counted together, and nothing is lost.
func TestWhatIsToldApartIsBounded(t *testing.T) {
	var reports []*Report
	const each = 60
	for i := range 2 * maxRows / each {
		r := &Report{At: minutes(i), Page: fmt.Sprint(i), Release: fmt.Sprint(i), Warnings: map[string]int{fmt.Sprint("kind ", i): 1}}
		for j := range each {
			name := fmt.Sprint(i, " ", j)
			r.Components = append(r.Components, Component{Name: name, Commits: 1})
			r.Leaks = append(r.Leaks, Leak{What: "dom", Name: name, Released: 1, Survivors: 1})
		}
		reports = append(reports, r)
	}
	components, folded := Components(reports, Filter{})
	commits := int64(0)
	for _, row := range components {
		commits += row.Commits
	}
	sent := int64(len(reports) * each)
	if len(components) != maxRows+1 || folded != sent-maxRows || commits != sent {
		t.Errorf("%d rows of components, %d folded, %d commits of %d", len(components), folded, commits, sent)
	}
	if rows, folded := Leaks(reports, Filter{}); len(rows) > maxRows+3 || folded != sent-maxRows {
		t.Errorf("%d rows of leaks, %d folded", len(rows), folded)
	}
	for i, r := range reports { // as many as there are to fold, and then some of one release
		r.Release = fmt.Sprint(i % 180)
	}
	if rows, folded := Releases(reports, Filter{}); len(rows) > maxReleases+1 || len(reports) > 180 && folded != 0 {
		t.Errorf("%d rows of releases, %d folded", len(rows), folded)
	}
	for i := range maxReleases {
		reports = append(reports, &Report{At: minutes(i), Page: "z", Release: fmt.Sprint("late ", i)})
	}
	rows, folded := Releases(reports, Filter{})
	if len(rows) != maxReleases+1 || folded == 0 {
		t.Errorf("%d rows of releases, %d folded", len(rows), folded)
	}
	one := &Report{At: noon, Warnings: map[string]int{}}
	for i := range 3 * maxWarnings {
		one.Warnings[fmt.Sprint("kind ", i)] = 1
	}
	rows, _ = Releases([]*Report{one}, Filter{})
	if w := rows[0].Warnings; len(w) != maxWarnings+1 || w[Other] != 2*maxWarnings {
		t.Errorf("%d kinds of warnings, %d beyond", len(w), w[Other])
	}
	var leaks []*Report
	for i := range 2 * maxNamed {
		leaks = append(leaks, &Report{At: minutes(i), Release: strings.Repeat("x", i), Leaks: []Leak{{What: "dom", Name: "Cart"}}})
	}
	if rows, _ := Leaks(leaks, Filter{}); len(rows) != 1 || len(rows[0].Releases) != maxNamed || rows[0].Reports != 2*maxNamed {
		t.Errorf("%s", encoded(t, rows))
	}
}
