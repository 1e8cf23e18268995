package retain

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
)

// grown is the analysis, written to JSON and read back, of a heap with a cache, a log and a track.
func grown(t *testing.T, sessions int, events, track uint64) *Analysis {
	t.Helper()
	b := heaptest.New()
	of, c := cache(b, rand.New(rand.NewPCG(uint64(sessions), 0)), sessions)
	b.Global("main.globalCache", b.PtrTo(of)).Set("", c)
	event := b.Struct("main.Event", heaptest.F("text", b.Array(30, b.Int())))
	if events > 0 {
		b.Global("main.log", b.Slice(event)).Set("", b.Values(event, events).Slice(0, events, events))
	}
	point := b.Struct("main.Point", heaptest.F("at", b.Array(16, b.Int())))
	if track > 0 {
		b.Global("main.track", b.Slice(point)).Set("", b.Values(point, track).Slice(0, track, track))
	}
	return decoded(t, analyze(t, b.Build(), unbounded))
}

// TestDiff compares a small cache with a larger one, in which there is a log, too, and no more a track.
func TestDiff(t *testing.T) {
	before, after := grown(t, 1000, 0, 800), grown(t, 3000, 500, 0)
	d := Diff(before, after)
	if !d.Complete || d.ReachedBytesGrowth != int64(after.ReachedBytes)-int64(before.ReachedBytes) {
		t.Errorf("difference %+v", d)
	}
	types := make(map[string]string)
	for i, change := range d.Types {
		types[change.Name] = fmt.Sprintf("%s %+d %+d %+d", change.Change, change.CountGrowth, change.ShallowGrowth, change.RetainedGrowth)
		if i > 0 && change.RetainedGrowth > d.Types[i-1].RetainedGrowth {
			t.Errorf("%s comes after %s", change.Name, d.Types[i-1].Name)
		}
	}
	for name, want := range map[string]string{
		"main.Session": "GREW +2000 +96000 +368000", "[]main.Event": "NEW +1 +122880 +122880",
		"[]main.Point": "GONE -1 -106496 -106496", "main.Cache": "GREW +0 +0 +404960",
	} {
		if types[name] != want {
			t.Errorf("%s: %s, want %s", name, types[name], want)
		}
	}
	suspects := make(map[string]string)
	for _, change := range d.Suspects {
		s := change.After
		if s == nil {
			s = change.Before
		}
		suspects[s.Type] = fmt.Sprintf("%s %+d %+d", change.Change, change.CountGrowth, change.RetainedGrowth)
	}
	for name, want := range map[string]string{
		"main.Session": "GREW +2000 +368000", "[]main.Event": "NEW +1 +122880", "[]main.Point": "GONE -1 -106496",
	} {
		if suspects[name] != want {
			t.Errorf("suspect %s: %s, want %s", name, suspects[name], want)
		}
	}
	if text, err := json.Marshal(d); err != nil || len(text) == 0 {
		t.Errorf("encoded: %v", err)
	}

	back := Diff(after, before)
	for _, change := range back.Types {
		if change.Name == "main.Session" && change.Change != Shrank {
			t.Errorf("backwards, %s is %s", change.Name, change.Change)
		}
	}
	if same := Diff(before, before); len(same.Types) != 0 || len(same.Suspects) == 0 || same.Suspects[0].Change != Same {
		t.Errorf("with itself: %+v", same)
	}
	after.Types = after.Types[:3]
	if Diff(before, after).Complete {
		t.Error("a cut list is complete")
	}
}

// alike is the analysis, written to JSON and read back, of a stripped program with maps that differ in their places alone:
// each holds so many sessions.
func alike(t *testing.T, seed uint64, build string, sessions map[string]int) *Analysis {
	t.Helper()
	b := heaptest.New()
	of := b.Map(b.Int(), b.PtrTo(sessionType(b)))
	for _, place := range []string{"bss+0x10", "bss+0x20", "bss+0x30"} {
		if n := sessions[place]; n > 0 {
			m := b.NewMap(of, uint64(n))
			in(b, rand.New(rand.NewPCG(seed, 0)), n, func(i int) { m.Elem(uint64(i), "", session(b, i)) })
			b.Global(place, of).Set("", m)
		}
	}
	a := decoded(t, analyze(t, b.Build(), unbounded))
	a.BuildID = build
	return a
}

// told is what a difference says of suspects, in its order.
func told(d *Difference) []string {
	var list []string
	for _, s := range d.Suspects {
		is := s.After
		if is == nil {
			is = s.Before
		}
		list = append(list, fmt.Sprintf("%s %s %+d in %d, %d", strings.Join(is.Path, ""), s.Change, s.CountGrowth, s.PlacesBefore, s.PlacesAfter))
	}
	return list
}

// TestDiffOfPlacesThatAreAlike: of variables of one signature none is taken for another, whichever is the largest, as long as
// the build is one; between two builds they count together.
func TestDiffOfPlacesThatAreAlike(t *testing.T) {
	type sessions = map[string]int
	before := alike(t, 1, "a", sessions{"bss+0x10": 900, "bss+0x20": 400})
	if first := before.Suspects; len(first) != 2 || first[0].Signature != first[1].Signature {
		t.Fatalf("suspects %+v, want two of one signature", first)
	}
	for name, c := range map[string]struct {
		build string
		after sessions
		want  string
	}{
		"the smaller grows":    {"a", sessions{"bss+0x10": 900, "bss+0x20": 700}, "bss+0x20[…] GREW +300 in 1, 1; bss+0x10[…] SAME +0 in 1, 1"},
		"the order changes":    {"a", sessions{"bss+0x10": 900, "bss+0x20": 1100}, "bss+0x20[…] GREW +700 in 1, 1; bss+0x10[…] SAME +0 in 1, 1"},
		"they change places":   {"a", sessions{"bss+0x10": 400, "bss+0x20": 900}, "bss+0x20[…] GREW +500 in 1, 1; bss+0x10[…] SHRANK -500 in 1, 1"},
		"one comes":            {"a", sessions{"bss+0x10": 900, "bss+0x20": 400, "bss+0x30": 300}, "bss+0x30[…] NEW +300 in 0, 1; bss+0x10[…] SAME +0 in 1, 1; bss+0x20[…] SAME +0 in 1, 1"},
		"one goes":             {"a", sessions{"bss+0x20": 400}, "bss+0x20[…] SAME +0 in 1, 1; bss+0x10[…] GONE -900 in 1, 0"},
		"another build":        {"b", sessions{"bss+0x20": 900, "bss+0x30": 500}, "bss+0x20[…] GREW +100 in 2, 2"},
		"another build, moved": {"b", sessions{"bss+0x20": 400, "bss+0x30": 900}, "bss+0x30[…] SAME +0 in 2, 2"},
	} {
		d := Diff(before, alike(t, 2, c.build, c.after))
		if got := strings.Join(told(d), "; "); got != c.want {
			t.Errorf("%s: %s\nwant %s", name, got, c.want)
		}
	}
}

// TestDiffOfPlacesThatNothingTellsApart: what is held along one path counts together, however it falls apart into suspects.
func TestDiffOfPlacesThatNothingTellsApart(t *testing.T) {
	suspect := func(sentence string, count uint64) Suspect {
		return Suspect{Sentence: sentence, Type: "main.Session", Count: count, RetainedBytes: 10 * count, Share: float64(count) / 1000,
			Path: []string{"main.tenants", "[…]"}, Signature: "tenants"}
	}
	before := &Analysis{Suspects: []Suspect{suspect("the large one", 500), suspect("the rest", 300)}}
	after := &Analysis{Suspects: []Suspect{suspect("all", 900)}}
	d := Diff(before, after)
	if len(d.Suspects) != 1 {
		t.Fatalf("%d suspects, want one: %v", len(d.Suspects), told(d))
	}
	s := d.Suspects[0]
	if s.Change != Grew || s.CountGrowth != 100 || s.RetainedGrowth != 1000 || s.PlacesBefore != 2 || s.PlacesAfter != 1 {
		t.Errorf("the change is %+v", s)
	}
	if s.Before.Sentence != "the large one" || s.Before.Count != 800 || s.Before.RetainedBytes != 8000 || s.Before.Share != 0.8 {
		t.Errorf("before is %+v, want the sum of both", s.Before)
	}
	if got := before.Suspects[0]; got.Count != 500 || got.RetainedBytes != 5000 || got.Share != 0.5 {
		t.Errorf("the analysis was changed: %+v", got)
	}
	if back := Diff(after, before).Suspects; len(back) != 1 || back[0].Change != Shrank || back[0].RetainedGrowth != -1000 {
		t.Errorf("backwards: %+v", back)
	}
}
