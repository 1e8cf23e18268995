package memhttp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/memstat"
)

// fill gives every figure of a sample, or of a part of it, a value of its own, and returns the values by the names that
// their metrics should have.
func fill(t *testing.T, part reflect.Value, name string, figures map[string]float64) {
	t.Helper()
	for _, f := range reflect.VisibleFields(part.Type()) {
		field := part.FieldByIndex(f.Index)
		jsonName, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		path, next := name+"_"+jsonName, int64(len(figures)+1)
		switch field.Interface().(type) {
		case memstat.Int:
			field.Set(reflect.ValueOf(memstat.Known(next)))
			figures[path] = float64(next)
		case memstat.Float:
			field.Set(reflect.ValueOf(memstat.Known(float64(next))))
			figures[path] = float64(next)
		case memstat.Parents:
			fill(t, field.Index(0), strings.TrimSuffix(path, "s"), figures)
		case string: // a label
			field.SetString(path)
		case time.Time:
		default:
			if field.Kind() != reflect.Struct {
				t.Fatalf("%s is a %v", path, field.Type())
			}
			fill(t, field, path, figures)
		}
	}
}

// TestEveryFigureIsAMetric: each field of a sample is exposed under its name in JSON, and shows its own figure.
func TestEveryFigureIsAMetric(t *testing.T) {
	var s memstat.Sample
	want := map[string]float64{}
	fill(t, reflect.ValueOf(&s).Elem(), "memwarden", want)
	check := func(m Metric, label string, value float64) {
		t.Helper()
		if figure, known := want[m.Name]; !known || value != figure || m.Label != label {
			t.Errorf("%s with the label %q shows %v, want the label %q and %v", m.Name, m.Label, value, label, figure)
		}
		delete(want, m.Name)
	}
	for _, m := range sampleMetrics() {
		value, ok := m.of(&s)
		label := ""
		if strings.HasPrefix(m.Name, "memwarden_psi_") {
			label = "scope"
		}
		if check(m.Metric, label, value); !ok {
			t.Errorf("%s is not there", m.Name)
		}
		if _, ok := m.of(&memstat.Sample{}); ok {
			t.Errorf("%s is there without a figure", m.Name)
		}
	}
	for _, m := range parentMetrics() {
		check(m.Metric, "group", float64(m.of(s.Cgroup.Parents[0])))
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		t.Errorf("%s is not exposed", name)
	}
}

func TestMetricsAreDescribed(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range Metrics() {
		if seen[m.Name] || !regexp.MustCompile(`^memwarden_[a-z0-9]+(_[a-z0-9]+)*$`).MatchString(m.Name) {
			t.Errorf("the name %s is there twice or not a good one", m.Name)
		}
		seen[m.Name] = true
		if !strings.HasSuffix(m.Help, ".") || strings.ContainsAny(m.Help, "\\\n|") {
			t.Errorf("%s: help %q", m.Name, m.Help)
		}
	}
	for name, want := range map[string][2]string{
		"memwarden_go_heap_live_bytes": {"gauge", "bytes"}, "memwarden_go_allocated_bytes_total": {"counter", "bytes"},
		"memwarden_go_gc_cycles_total": {"counter", ""}, "memwarden_psi_some_seconds_total": {"counter", "seconds"},
		"memwarden_pressure_signal_ratio": {"gauge", "ratio"}, "memwarden_go_gogc_percent": {"gauge", "percent"}, "memwarden_go_goroutines": {"gauge", ""},
	} {
		if m := (Metric{Name: name}); m.Type() != want[0] || m.Unit() != want[1] || !seen[name] {
			t.Errorf("%s is a %s of %q, want %v", name, m.Type(), m.Unit(), want)
		}
	}
}

// figureLine is a line of the text format with a figure.
var figureLine = regexp.MustCompile(`^([a-z0-9_]+)(?:\{([a-z]+)="((?:[^"\\]|\\.)*)"\})? (\S+)$`)

// readMetrics reads the text format: figures by name, or by name and label value. It wants each family once, with its
// help and its type before its figures.
func readMetrics(t *testing.T, text string) map[string]float64 {
	t.Helper()
	figures, families := map[string]float64{}, map[string]bool{}
	described := map[string]Metric{}
	for _, m := range Metrics() {
		described[m.Name] = m
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	family := ""
	for i := 0; i < len(lines); i++ {
		if name, ok := strings.CutPrefix(lines[i], "# HELP "); ok {
			family, _, _ = strings.Cut(name, " ")
			m, known := described[family]
			if !known || families[family] {
				t.Errorf("the family %s is there twice or not among Metrics", family)
			}
			families[family] = true
			if want := "# HELP " + m.Name + " " + m.Help; lines[i] != want || lines[i+1] != "# TYPE "+m.Name+" "+m.Type() {
				t.Errorf("%q and %q describe %s", lines[i], lines[i+1], m.Name)
			}
			i++
			continue
		}
		parts := figureLine.FindStringSubmatch(lines[i])
		if parts == nil || parts[1] != family || parts[2] != described[family].Label {
			t.Errorf("in %s: line %q", family, lines[i])
			continue
		}
		value, err := strconv.ParseFloat(parts[4], 64)
		if err != nil || math.IsNaN(value) {
			t.Errorf("line %q: %v", lines[i], err)
		}
		key := strings.TrimSuffix(parts[1]+" "+parts[3], " ")
		if _, twice := figures[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		figures[key] = value
	}
	return figures
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWarden(t, memwarden.Options{})
		h := mustHandler(t, w, Options{})
		for name, failure := range map[string]error{"caches": nil, "fails": errors.New("nothing to free")} {
			if _, err := w.Cleanup().Add(cleanup.Task{Name: name, Run: func(context.Context, cleanup.Trigger) (int64, error) { return 4096, failure }}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Cleanup().Run(t.Context(), name, cleanup.Manual); !errors.Is(err, failure) {
				t.Fatal(err)
			}
		}
		if _, err := w.Register(badOwner("some")); err != nil {
			t.Fatal(err)
		}
		if _, err := w.PatchConfig(t.Context(), memwarden.ConfigPatch{Patch: []byte(`{"gc":{"relief":false}}`)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2500 * time.Millisecond)
		got := ask(h, "GET", "/metrics", "")
		wantHeaders(t, got.Header(), "Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		figures := readMetrics(t, got.Body.String())
		for name, want := range map[string]float64{
			"memwarden_pressure_level": 0, "memwarden_uptime_seconds": 2.5, "memwarden_config_version": 1, "memwarden_gc_spirals_total": 0,
			"memwarden_owner_entries some": 0, "memwarden_owner_max_entries some": 20, "memwarden_cleanup_runs_total caches": 1,
			"memwarden_cleanup_failures_total fails": 1, "memwarden_cleanup_freed_bytes_total caches": 4096, "memwarden_sample_problems": 0,
		} {
			if figure, ok := figures[name]; !ok || figure != want {
				t.Errorf("%s is %v, %v, want %v", name, figure, ok, want)
			}
		}
		if _, ok := figures["memwarden_owner_bytes some"]; ok {
			t.Error("an owner without bytes has a figure of bytes")
		}
		if figures["memwarden_go_goroutines"] < 1 || figures["memwarden_go_total_bytes"] < 1<<20 {
			t.Errorf("the runtime's figures are %v", figures)
		}
		if again := ask(h, "GET", "/metrics", ""); again.Body.String() != got.Body.String() {
			t.Error("the same sample is exposed in two ways")
		}
	})
}

func TestExposition(t *testing.T) {
	var e exposition
	m := Metric{"memwarden_a_ratio", "owner", "A."}
	e.value(m, "a\"b\\c\nd\xff", 0.1)
	e.value(m, "", 5.36870912e+08)
	e.value(Metric{Name: "memwarden_b_total", Help: "B."}, "unused", 1e300)
	want := "# HELP memwarden_a_ratio A.\n# TYPE memwarden_a_ratio gauge\n" +
		`memwarden_a_ratio{owner="a\"b\\c\nd` + "\uFFFD" + `"} 0.1` + "\n" + `memwarden_a_ratio{owner=""} 536870912` + "\n" +
		"# HELP memwarden_b_total B.\n# TYPE memwarden_b_total counter\nmemwarden_b_total 1e+300\n"
	if string(e.text) != want {
		t.Errorf("wrote\n%s\nwant\n%s", e.text, want)
	}
	for value, want := range map[float64]string{0: "0", -1: "-1", 1 << 53: "9.007199254740992e+15", 0.25: "0.25", math.Inf(1): "+Inf"} {
		var e exposition
		e.value(Metric{Name: "x"}, "", value)
		if line := fmt.Sprintf("x %s\n", want); !strings.HasSuffix(string(e.text), line) {
			t.Errorf("%v is written %q, want %q", value, e.text, line)
		}
	}
}

// TestMetricsOfOthers stand beside those of this package, and cannot be mistaken for them.
func TestMetricsOfOthers(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	figures := func() []Figure { return []Figure{{Label: `a"b`, Value: 1}, {Value: 2.5}} }
	h := mustHandler(t, w, Options{Metrics: []MetricSource{
		{Metric{Name: "program_sent_total", Label: "to", Help: "What was sent."}, figures},
		{Metric{Name: "program_idle", Help: "Never."}, func() []Figure { return nil }},
	}})
	text := ask(h, "GET", "/metrics", "").Body.String()
	want := "# HELP program_sent_total What was sent.\n# TYPE program_sent_total counter\n" +
		`program_sent_total{to="a\"b"} 1` + "\n" + `program_sent_total{to=""} 2.5` + "\n"
	if !strings.HasSuffix(text, "\n"+want) || strings.Contains(text, "program_idle") {
		t.Errorf("%s\nwant at the end\n%s", text[max(0, len(text)-500):], want)
	}
	_, err := Handler(w, Options{Name: "other", Metrics: []MetricSource{
		{Metric{Name: "Sent", Help: "x"}, figures}, {Metric{Name: "a", Label: "b c", Help: "x"}, figures},
		{Metric{Name: "memwarden_uptime_seconds", Help: "x"}, figures}, {Metric{Name: "b", Help: "x"}, nil},
		{Metric{Name: "c", Help: "x"}, figures}, {Metric{Name: "c", Help: "x"}, figures}, {Metric{Name: "d", Help: "x\ny"}, figures},
	}})
	for _, want := range []string{`"Sent"`, `"b c"`, "memwarden_uptime_seconds stands twice", "metric b:", "c stands twice", "metric d:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
}
