package memhttp

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

//go:generate go test -count=1 -run TestReference|TestPackedDocument -update .

var update = flag.Bool("update", false, "write docs/reference/api.md and metrics.md, and openapi.yaml.gz, anew")

// TestPackedDocument holds openapi.yaml.gz against openapi.yaml; -update packs it anew where it is another document: how
// small it becomes differs from one version of Go to the next.
func TestPackedDocument(t *testing.T) {
	document, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	switch same := bytes.Equal(OpenAPI(), document); {
	case same:
	case *update:
		if err := os.WriteFile("openapi.yaml.gz", pack(t, document), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("openapi.yaml.gz is not openapi.yaml: run make generate")
	}
}

func pack(t *testing.T, document []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(document); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// TestReference compares the lists in docs/reference with what this package serves; -update writes them anew.
func TestReference(t *testing.T) {
	for name, text := range map[string]string{"api.md": apiReference(), "metrics.md": metricsReference()} {
		path := filepath.Join("..", "docs", "reference", name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%v: run make generate", err)
		} else if string(kept) != text {
			t.Errorf("%s is not what this package serves: run make generate", path)
		}
	}
}

const generated = "<!-- Written by make generate from package memhttp; changes belong there. -->\n"

func apiReference() string {
	var b strings.Builder
	b.WriteString(`# API

` + generated + `
Every route, with who may use it. Parameters, bodies, answers and fields are in the OpenAPI document, which is served at
` + "`/openapi.yaml`" + `: [that of the library](../../memhttp/openapi.yaml) and [that of the service](../../server/openapi.yaml),
which also answers ` + "`GET /`" + ` with this list. Where GET is answered, HEAD is too. Errors are
` + "`application/problem+json`" + `.

| access | who |
| --- | --- |
| probe | everyone, without limit |
| read | everyone within a rate; who presents the admin token, if reads need it |
| admin | who presents the admin token, as a bearer token or as the password of HTTP Basic |

| method | path | access | what it is for |
| --- | --- | --- | --- |
`)
	for _, r := range Routes() {
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", r.Method, r.Path, r.Access, r.Summary)
	}
	return b.String()
}

// metricSections are the headings of the reference, by how the names begin; the first that fits has a metric.
var metricSections = []struct{ prefix, heading string }{
	{"memwarden_go_", "Go runtime"}, {"memwarden_process_", "Process"}, {"memwarden_cgroup_", "Control group"},
	{"memwarden_psi_", "Pressure stall information"}, {"memwarden_system_", "Machine"}, {"memwarden_owner_", "Owners of memory"},
	{"memwarden_cleanup_", "Cleanup tasks"}, {"memwarden_", "Warden"},
}

func metricsReference() string {
	var b strings.Builder
	b.WriteString("# Metrics\n\n" + generated + `
What ` + "`/metrics`" + ` exposes, in Prometheus' text format. The figures are those of the newest sample; a figure that cannot be
had has no line. Ratios go from 0 to 1. A metric with a label has a figure for each of its values.
`)
	left := Metrics()
	for _, section := range metricSections {
		var rest []Metric
		b.WriteString("\n## " + section.heading + "\n\n| name | type | unit | label | what it is |\n| --- | --- | --- | --- | --- |\n")
		for _, m := range left {
			if !strings.HasPrefix(m.Name, section.prefix) {
				rest = append(rest, m)
				continue
			}
			label := m.Label
			if label != "" {
				label = "`" + label + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Type(), m.Unit(), label, m.Help)
		}
		left = rest
	}
	return b.String()
}
