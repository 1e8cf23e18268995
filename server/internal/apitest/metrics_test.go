package apitest

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/memhttp"
)

// TestMetrics parses /metrics as Prometheus does and holds each family against memhttp.Metrics.
func TestMetrics(t *testing.T) {
	w := startWarden(t, memwarden.Options{Root: container(t, roomy)})
	_, release := addTasks(t, w)
	close(release)
	if _, err := w.Register(entries{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Cleanup().Run(t.Context(), "fails", "manual"); err == nil {
		t.Fatal("the task did not fail")
	}
	b := newBook(t)
	s := b.serveHTTP(t, w, generous)
	awaitTick(t, w)
	got := s.send(t, 200, request{operation: "GET /metrics"})
	if kind := got.header.Get("Content-Type"); kind != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("Content-Type: %s", kind)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range memhttp.Metrics() {
		family := families[m.Name]
		delete(families, m.Name)
		switch {
		case family == nil:
			if m.Name != "memwarden_go_gc_limiter_last_cycle" { // of a program whose collector is in trouble
				t.Errorf("there is no %s", m.Name)
			}
			continue
		case !strings.HasPrefix(m.Name, "memwarden_"):
			t.Errorf("%s does not begin with memwarden_", m.Name)
		case family.GetHelp() != m.Help || m.Help == "":
			t.Errorf("%s: help %q, want %q", m.Name, family.GetHelp(), m.Help)
		}
		want := dto.MetricType_GAUGE
		if strings.HasSuffix(m.Name, "_total") {
			want = dto.MetricType_COUNTER
		}
		if family.GetType() != want || !strings.EqualFold(want.String(), m.Type()) {
			t.Errorf("%s: type %v, said to be %s, want %v", m.Name, family.GetType(), m.Type(), want)
		}
		for _, figure := range family.GetMetric() {
			checkLabels(t, m, figure)
		}
	}
	for name := range families {
		t.Errorf("%s is not in memhttp.Metrics", name)
	}
}

// checkLabels wants the family's label, and nothing else, on a figure.
func checkLabels(t *testing.T, m memhttp.Metric, figure *dto.Metric) {
	t.Helper()
	var names, want []string
	for _, label := range figure.GetLabel() {
		names = append(names, label.GetName())
		if label.GetValue() == "" {
			t.Errorf("%s: label %s is empty", m.Name, label.GetName())
		}
	}
	if m.Label != "" {
		want = []string{m.Label}
	}
	if !slices.Equal(names, want) {
		t.Errorf("%s: labels %v, want %v", m.Name, names, want)
	}
}
