package retain

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
)

func named(t *testing.T, name string) scenario {
	t.Helper()
	i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
	if i < 0 {
		t.Fatalf("there is no scenario %q", name)
	}
	return scenarios[i]
}

func TestByType(t *testing.T) {
	a := analyze(t, build(named(t, "a map of sessions"), 1), Options{})
	for _, name := range []string{"main.Session", "Session"} {
		got, err := a.ByType(name)
		if err != nil {
			t.Fatal(err)
		}
		if got.Type.Name != "main.Session" || got.Type.Count != 3000 || got.Type.ShallowBytes != 3000*48 || got.Type.RetainedBytes != 3000*184 {
			t.Errorf("type %+v", got.Type)
		}
		if len(got.Instances) != 20 || got.Instances[0].RetainedBytes != 184 || strings.Join(got.Instances[0].Path, "") != "main.globalCache.m[…]" {
			t.Errorf("instances %+v", got.Instances[:1])
		}
		if len(got.Paths) != 1 || got.Paths[0].String() != "main.globalCache.m[…]" || got.Paths[0].Count != got.SampledPaths {
			t.Errorf("paths %+v of %d", got.Paths, got.SampledPaths)
		}
		if len(got.Allocations) != 1 || got.Allocations[0].Stack[0] != "main.newSession (server.go:88)" || got.Allocations[0].Samples != 60 {
			t.Errorf("allocations %+v", got.Allocations)
		}
		if len(got.Holds) != 3 || got.Holds[0].Name != "main.User" || got.Holds[0].RetainedBytes != 3000*136 {
			t.Errorf("holds %+v", got.Holds)
		}
	}
	list, err := a.PathTo("string")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, path := range list {
		texts = append(texts, path.String())
	}
	if want := []string{"main.globalCache.m[…].User.Tags[…]", "main.globalCache.m[…].User.Name"}; !slices.Equal(texts, want) {
		t.Errorf("paths %q, want %q", texts, want)
	}
}

// TestByTypeOfList: what is nested counts once, and a path of thousands of steps is told in a few.
func TestByTypeOfList(t *testing.T) {
	a := analyze(t, build(named(t, "a list"), 1), Options{})
	got, err := a.ByType("Node")
	if err != nil {
		t.Fatal(err)
	}
	if got.Type.Count != 5000 || got.Type.RetainedBytes != 5000*96 || got.Instances[0].RetainedBytes != 5000*96 {
		t.Errorf("%+v, of which the first %+v", got.Type, got.Instances[0])
	}
	if text := got.Paths[0].String(); text != "main.head.Next…" {
		t.Errorf("path %q", text)
	}
}

func TestUnknownNames(t *testing.T) {
	b := heaptest.New()
	for _, name := range []string{"main.Session", "example.com/web.Session", "main.User", "main.SessionUser"} {
		of := b.Struct(name, heaptest.F("N", b.Int()))
		b.Global("main.v"+name, b.PtrTo(of)).Set("", b.Object(of))
	}
	a := analyze(t, b.Build(), Options{})
	for name, want := range map[string]string{
		"Session":                `retain: several types end with "Session": web.Session, main.Session: no such type`,
		"main.Sesion":            `retain: no object has a type "main.Sesion"; there are web.Session, main.Session: no such type`,
		"user":                   `retain: no object has a type "user"; there are main.User, main.SessionUser: no such type`,
		"main.Usr":               `retain: no object has a type "main.Usr"; there are main.User: no such type`,
		"Payment":                `retain: no object has a type "Payment": no such type`,
		"":                       `retain: no object has a type "": no such type`,
		strings.Repeat("x", 100): `retain: no object has a type "` + strings.Repeat("x", 100) + `": no such type`,
	} {
		_, err := a.ByType(name)
		if err == nil || err.Error() != want || !errors.Is(err, ErrUnknownType) {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
		if _, err := a.PathTo(name); err == nil {
			t.Errorf("%q: PathTo gave no error", name)
		}
	}
	if _, err := a.ByType("SessionUser"); err != nil {
		t.Error(err)
	}
}

func decoded(t *testing.T, a *Analysis) *Analysis {
	t.Helper()
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var back Analysis
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	return &back
}

func TestDecoded(t *testing.T) {
	a := analyze(t, build(named(t, "sessions in two maps"), 1), Options{})
	back := decoded(t, a)
	if got, want := text(back), text(a); got != want {
		t.Errorf("read back:\n%s\nwant:\n%s", got, want)
	}
	if _, err := back.ByType("main.Session"); !errors.Is(err, ErrNoGraph) {
		t.Errorf("a closer look without a graph: %v", err)
	}
	if _, err := back.PathTo("main.Session"); !errors.Is(err, ErrNoGraph) {
		t.Errorf("paths without a graph: %v", err)
	}
}

// document is the JSON of a scenario's analysis.
func document(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := json.Marshal(analyze(t, build(named(t, name), 1), Options{}))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestKeys compares the names in the JSON with those that users rely on.
func TestKeys(t *testing.T) {
	all := document(t, "sessions in two maps")
	for _, key := range []string{
		"objects", "bytes", "reached_bytes", "runtime_live_bytes", "typed_ratio", "pause_seconds", "method", "inferred_ratio", "types",
		"suspects", "roots", "goroutines", "shared", "pins", "warnings", "go_version",
	} {
		if _, ok := all[key]; !ok {
			t.Errorf("there is no %s", key)
		}
	}
	for list, keys := range map[string][]string{
		"types":    {"name", "count", "shallow_bytes", "retained_bytes"},
		"suspects": {"sentence", "type", "count", "retained_bytes", "share", "path", "alloc_stack", "signature", "holders", "consumers"},
		"roots":    {"kind", "name", "retained_bytes"},
	} {
		entries, _ := all[list].([]any)
		if len(entries) == 0 {
			t.Fatalf("%s is empty", list)
		}
		entry, _ := entries[0].(map[string]any)
		for _, key := range keys {
			if _, ok := entry[key]; !ok {
				t.Errorf("%s have no %s", list, key)
			}
		}
	}
}

// TestGoroutineKeys compares the names and values of an entry with those that users rely on.
func TestGoroutineKeys(t *testing.T) {
	list, _ := document(t, "goroutines with buffers")["goroutines"].([]any)
	if len(list) == 0 {
		t.Fatal("goroutines is empty")
	}
	entry, _ := list[0].(map[string]any)
	for key, want := range map[string]any{
		"function": "main.work", "state": "chan receive", "created_by": "main.start", "count": 300.0, "retained_bytes": 300.0 * 8192,
	} {
		if got, ok := entry[key]; !ok || got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
}
