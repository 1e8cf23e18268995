package frontend

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

const at = `"at":"2026-01-02T15:04:05Z"`

// whole is a report with items.
func whole(items string) string {
	return `{"schema":1,"release":"1.4.0","page":"/cart","sent_at":"2026-01-02T15:04:05Z","items":[` + items + `]}`
}

func mistakesOf(t testing.TB, text string) []Mistake {
	t.Helper()
	var body Body
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	r, mistakes := body.Check()
	if (r == nil) != (len(mistakes) > 0) {
		t.Fatalf("%+v with the mistakes %v", r, mistakes)
	}
	return mistakes
}

// full has every field that the packages for browsers send.
const full = `{"kind":"figures",` + at + `,"ms":60012.5,"heap":{"source":"engine","bytes":48300000,"limit_bytes":4294705152,"at":1767366299000},
		"long_tasks":{"count":2,"total_ms":143,"longest_ms":88},"long_frames":{"count":1,"total_ms":60,"longest_ms":60},
		"caches":{"queries":{"entries":120,"inactive":90,"bytes":1024,"never_collected":0}},"self":{"ms":4.2,"share":0.0001,"off":false},"dropped":3},
	{"kind":"components",` + at + `,"components":[{"name":"Cart","commits":31,"mounts":2,"unmounts":1,"live":1,"timed":31,"total_ms":210.5,"longest_ms":24},
		{"name":"Row","commits":7,"mounts":7,"live":7,"timed":0,"total_ms":0,"longest_ms":0}]},
	{"kind":"warning",` + at + `,"warning":"slow_commit","subject":"Cart","value":24,"threshold":16},
	{"kind":"leak",` + at + `,"what":"component","name":"Cart","owners":["Shop","App"],"released":60,"survivors":50,"holders":["interval at tick"]},
	{"kind":"monitor_off",` + at + `,"ms":900,"share":0.02,"off":true},
	{"kind":"figures",` + at + `,"ms":1,"heap":{"source":"agent","bytes":9},"long_tasks":{"count":1,"total_ms":99.5,"longest_ms":99.5}},
	{"kind":"note",` + at + `,"text":"its own","deep":{"er":[1,null,-2.5e3,true]}}`

func TestRead(t *testing.T) {
	came := time.Date(2026, 1, 2, 15, 5, 0, 0, time.UTC)
	got, err := Read([]byte(whole(full)), came)
	if err != nil {
		t.Fatal(err)
	}
	want := &Report{
		At: came, Release: "1.4.0", Page: "/cart",
		Heap:      []Heap{{"engine", 48300000}, {"agent", 9}},
		LongTasks: Blocking{3, 242.5, 99.5}, LongFrames: Blocking{1, 60, 60},
		Components: []Component{{"Cart", 31, 2, 1, 1, 31, 210.5, 24}, {"Row", 7, 7, 0, 7, 0, 0, 0}},
		Warnings:   map[string]int{"slow_commit": 1},
		Leaks:      []Leak{{"component", "Cart", []string{"Shop", "App"}, []string{"interval at tick"}, 60, 50}},
		MonitorOff: 1,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read is\n%+v\nwant\n%+v", got, want)
	}
	for _, bad := range []string{"", "{", `{"schema":2}`} {
		if r, err := Read([]byte(bad), came); err == nil {
			t.Errorf("%q is read as %+v", bad, r)
		}
	}
}

// with is a report of one item, of a kind, with fields.
func with(kind, fields string) string {
	if fields != "" {
		fields = "," + fields
	}
	return whole(fmt.Sprintf(`{"kind":%q,%s%s}`, kind, at, fields))
}

func component(change string) string {
	fields := map[string]string{"name": `"Cart"`, "commits": "1", "mounts": "1", "unmounts": "1", "live": "1", "timed": "1", "total_ms": "1", "longest_ms": "1"}
	name, value, _ := strings.Cut(change, "=")
	fields[name] = value
	var list []string
	for name, value := range fields {
		if value != "" {
			list = append(list, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return with("components", `"components":[{`+strings.Join(list, ",")+`}]`)
}

// TestMistakesAreNamed: each item and field that cannot be used is named, and why.
func TestMistakesAreNamed(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for _, c := range []struct{ body, want string }{
		{`{}`, "schema: want 1"},
		{`{"schema":1,"items":[{"kind":"note",` + at + `}]}`, "sent_at: missing"},
		{whole(""), "items: want 1 to 1000"},
		{whole("1"), "items[0]: want an object"},
		{whole("null"), "items[0]: want an object"},
		{whole(`{"kind":"note"}`), "items[0].at: missing"},
		{whole(`{"kind":7,` + at + `}`), "items[0].kind: it cannot be a JSON number"},
		{with(strings.Repeat("x", 65), ""), "items[0].kind: want 1 to 64 bytes"},
		{whole(`{"kind":"note",` + at + `},{"kind":"figures",` + at + `}`), "items[1].ms: missing: want a number from 0"},
		{with("figures", `"ms":-1`), "items[0].ms: want a number from 0 to 1e+12"},
		{with("figures", `"ms":"1"`), "items[0].ms: it cannot be a JSON string"},
		{with("figures", `"ms":1e400`), "items[0].ms: want numbers below 1e308"},
		{with("figures", `"ms":1,"heap":{"source":"guess","bytes":1}`), "items[0].heap.source: want agent or engine"},
		{with("figures", `"ms":1,"heap":{"source":"agent","bytes":-1}`), "items[0].heap.bytes: want a number from 0"},
		{with("figures", `"ms":1,"heap":{"source":"agent"}`), "items[0].heap.bytes: missing"},
		{with("figures", `"ms":1,"heap":{"source":"agent","bytes":1,"limit_bytes":-1}`), "items[0].heap.limit_bytes"},
		{with("figures", `"ms":1,"long_tasks":{"count":1.5,"total_ms":0,"longest_ms":0}`), "items[0].long_tasks.count: want a whole number"},
		{with("figures", `"ms":1,"long_frames":{}`), "items[0].long_frames.count: missing"},
		{with("figures", `"ms":1,"caches":{"queries":{"entries":-1}}`), `items[0].caches["queries"].entries: want a number`},
		{with("figures", `"ms":1,"caches":{"queries":null}`), `items[0].caches["queries"]: want an object`},
		{with("figures", `"ms":1,"self":{"ms":1,"share":-1}`), "items[0].self.share: want a number"},
		{with("figures", `"ms":1,"dropped":1e10`), "items[0].dropped: want a number from 0 to 1e+09"},
		{with("components", ""), "items[0].components: want 1 to 100"},
		{with("components", `"components":[`+strings.Repeat(`{},`, 100)+`{}]`), "items[0].components: want 1 to 100"},
		{with("components", `"components":[null]`), "items[0].components[0]: want an object"},
		{with("components", `"components":[[]]`), "cannot be a JSON array"},
		{component("name="), "items[0].components[0].name: missing"},
		{component("unmounts=-1"), "items[0].components[0].unmounts: want a number from 0"},
		{component("unmounts=0.5"), "items[0].components[0].unmounts: want a whole number"},
		{component(`name="` + long + `"`), "items[0].components[0].name: want at most 1024 bytes"},
		{component("commits=-1"), "items[0].components[0].commits: want a number from 0"},
		{component("live=1e99"), "items[0].components[0].live: want a number from 0"},
		{component("total_ms="), "items[0].components[0].total_ms: missing"},
		{with("warning", `"subject":"Cart","value":1,"threshold":1`), "items[0].warning: want 1 to 64 bytes"},
		{with("warning", `"warning":"slow","value":1,"threshold":1`), "items[0].subject: missing"},
		{with("warning", `"warning":"slow","subject":"x","value":null,"threshold":1`), "items[0].value: missing"},
		{with("leak", `"what":"ghost","name":"x","released":1,"survivors":1`), "items[0].what: want component or dom or object"},
		{with("leak", `"what":"dom","name":"x","released":1,"survivors":2`), "items[0].survivors: more than were released"},
		{with("leak", `"what":"dom","name":"x","released":1`), "items[0].survivors: missing"},
		{with("leak", `"what":"dom","name":"x","released":1,"survivors":1,"owners":["`+long+`"]`), "items[0].owners[0]: want at most 1024 bytes"},
		{with("leak", `"what":"dom","name":"x","released":1,"survivors":1,"holders":[`+strings.Repeat(`"x",`, 32)+`"x"]`), "items[0].holders: want at most 32"},
		{with("monitor_off", `"ms":1`), "items[0].share: missing"},
		{with("note", `"text":"`+strings.Repeat("x", maxTextBytes+1)+`"`), "items[0].text: want texts of at most 16384 bytes"},
		{with("note", `"`+strings.Repeat("x", maxFieldBytes+1)+`":1`), "want names of at most 256 bytes"},
		{with("figures", `"ms":1,"caches":{"`+strings.Repeat("x", maxFieldBytes+1)+`":{"entries":1}}`), "items[0].caches: want names of at most 256 bytes"},
		{with("note", `"deep":`+strings.Repeat("[", maxDepth)+strings.Repeat("]", maxDepth)), "items[0].deep: want at most 16 levels"},
		{with("note", `"list":[`+strings.Repeat("1,", maxValues)+"1]"), "items[0].list: want at most 10000 values"},
		{with("note", `"more":{"n":[-1e999]}`), "items[0].more: want numbers below 1e308"},
	} {
		mistakes := mistakesOf(t, c.body)
		var all []string
		for _, m := range mistakes {
			all = append(all, m.Field+": "+m.Detail)
		}
		if text := strings.Join(all, "; "); !strings.Contains(text, c.want) || len(text) > 5000 {
			t.Errorf("%.200s\nis refused for %q, want %q", c.body, text, c.want)
		}
	}
	if n := len(mistakesOf(t, whole(strings.Repeat("1,", 500)+"1"))); n != maxMistakes {
		t.Errorf("%d mistakes are told of 501, want %d", n, maxMistakes)
	}
}

// TestLargestPartsAreTaken: what is at a bound is within it.
func TestLargestPartsAreTaken(t *testing.T) {
	for _, body := range []string{
		with("note", `"text":"`+strings.Repeat("x", maxTextBytes)+`"`),
		with("note", `"quoted":"\"[{\\","`+strings.Repeat("x", maxFieldBytes)+`":1`),
		with("note", `"deep":`+strings.Repeat("[", maxDepth-1)+strings.Repeat("]", maxDepth-1)),
		with("note", `"big":1e308,"small":1e-999`),
		component(`name=""`), component("live=1000000000"), component("unmounts="),
		with("figures", `"ms":0,"heap":null,"newer":{"field":1}`),
		with("figures", `"ms":0,"caches":{"`+strings.Repeat("x", maxFieldBytes)+`":{"entries":1}}`),
	} {
		if mistakes := mistakesOf(t, body); len(mistakes) > 0 {
			t.Errorf("%.100s is refused: %v", body, mistakes)
		}
	}
}

// FuzzRead: whatever comes is read or refused, and what is read is within the bounds, and no larger than a few times the text.
func FuzzRead(f *testing.F) {
	for _, body := range []string{whole(full), with("figures", `"ms":1e400`), component("live=-1"), `{"schema":1,"items":[{}]}`, with("note", `"a":[{"b":"\u0000"}]`)} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Read(data, time.Time{})
		if err != nil {
			return
		}
		if size, most := r.size(), reportSize+100*int64(len(data)); size > most {
			t.Errorf("%d bytes are read as %d", len(data), size)
		}
		for _, c := range r.Components {
			for _, n := range []int64{c.Commits, c.Mounts, c.Unmounts, c.Live, c.Timed} {
				if n < 0 || n > maxCount {
					t.Errorf("%+v", c)
				}
			}
			if !(c.TotalMS >= 0 && c.TotalMS <= maxMS && c.LongestMS >= 0 && c.LongestMS <= maxMS) || len(c.Name) > maxNameBytes {
				t.Errorf("%+v", c)
			}
		}
		for _, l := range r.Leaks {
			if l.Survivors < 0 || l.Survivors > l.Released || l.Released > maxCount || len(l.Owners) > maxOwners || len(l.Holders) > maxHolders {
				t.Errorf("%+v", l)
			}
		}
		for _, h := range r.Heap {
			if !(h.Bytes >= 0 && h.Bytes <= maxHeapBytes) {
				t.Errorf("%+v", h)
			}
		}
	})
}

// FuzzOpen compares the walk over an item with one by the tokens of encoding/json.
func FuzzOpen(f *testing.F) {
	for _, item := range []string{`{"a":[1,"x",{"b":null}],"c":"\"}"}`, `{"a":1e999}`, `{"deep":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`} {
		f.Add(item)
	}
	f.Fuzz(func(t *testing.T, item string) {
		if !json.Valid([]byte(item)) || !strings.HasPrefix(item, "{") {
			return
		}
		c := &checker{}
		c.open("items[0]", []byte(item))
		if got, want := len(c.mistakes) > 0, isTooMuch(item); got != want {
			t.Errorf("%q: refused is %v, want %v: %v", item, got, want, c.mistakes)
		}
	})
}

// isTooMuch reports whether a document has more, longer or deeper parts than an item may have.
func isTooMuch(item string) bool {
	decoder := json.NewDecoder(strings.NewReader(item))
	decoder.UseNumber()
	depth, values := 0, 0
	for {
		before := decoder.InputOffset()
		token, err := decoder.Token()
		if err != nil {
			return values > maxValues
		}
		switch token := token.(type) {
		case json.Delim:
			if token == '}' || token == ']' {
				depth--
				continue
			}
			if depth++; depth > maxDepth {
				return true
			}
		case json.Number:
			if _, err := token.Float64(); err != nil {
				return true
			}
		case string:
			most, written := maxTextBytes, strings.TrimLeft(item[before:decoder.InputOffset()], " \t\r\n,:")
			isName := strings.HasPrefix(strings.TrimLeft(item[decoder.InputOffset():], " \t\r\n"), ":")
			if isName {
				most = maxFieldBytes
			}
			if len(written)-2 > most {
				return true
			}
			if isName {
				continue
			}
		}
		values++
	}
}

func BenchmarkCheck(b *testing.B) {
	var items []string
	for len(strings.Join(items, ",")) < 15<<10 {
		items = append(items, full)
	}
	text := []byte(whole(strings.Join(items, ",")))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(text, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}
