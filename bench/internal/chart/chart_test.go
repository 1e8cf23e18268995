package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	at, values := make([]float64, 2000), make([]float64, 2000)
	for i := range at {
		at[i], values[i] = float64(i), 10
	}
	values[777] = 100 // a peak among many points
	values[1500] = math.NaN()
	c := Chart{Title: "Memory <&> limit", Format: func(v float64) string { return "<" }, Series: []Series{
		{Name: "used", At: at, Values: values},
		{Name: "limit", At: []float64{0, 1999}, Values: []float64{90, 90}, Dashed: true},
	}}
	var out strings.Builder
	if err := c.Write(&out); err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(strings.NewReader(out.String()))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("no XML: %v\n%s", err, out.String())
		}
	}
	peak := "67.0" // 100 of 105, between the edges
	for _, want := range []string{"Memory &lt;&amp;&gt; limit", "stroke-dasharray", "33:19", " " + peak} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%.2000s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "NaN") || len(out.String()) > 20_000 {
		t.Errorf("%d bytes:\n%.2000s", out.Len(), out.String())
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, c := range []Chart{
		{Title: "none"},
		{Title: "uneven", Series: []Series{{At: []float64{1, 2}, Values: []float64{1}}}},
	} {
		if err := c.Write(io.Discard); err == nil {
			t.Errorf("%s: want an error", c.Title)
		}
	}
}
