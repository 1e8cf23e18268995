//go:build linux

package layout

import (
	"context"
	"testing"
)

// BenchmarkOpen opens a process with a heap of 0.4 GB, with debug information and stripped.
func BenchmarkOpen(b *testing.B) {
	for name, settings := range map[string][]string{"default": nil, "stripped": {"-ldflags=-s -w"}} {
		b.Run(name, func(b *testing.B) {
			process, _ := freeze(b, build(b, "target", "", settings...), "big")
			for b.Loop() {
				if _, err := Open(process); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSpans decodes the spans of a heap of 0.4 GB right after a collection, all unswept but those in use.
func BenchmarkSpans(b *testing.B) {
	process, _ := freeze(b, build(b, "target", ""), "big")
	for b.Loop() {
		r, err := Open(process)
		if err != nil {
			b.Fatal(err)
		}
		spans, err := r.Spans(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(spans)), "spans")
	}
}
