package retain

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
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
