// Package chart draws series over time as an SVG file that can be read in light and dark pages.
//
// It knows numbers and their names, not what was measured. The load command stands above it.
package chart

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// Series are values over the seconds since the beginning, both of the same length; a value that is no number is a gap.
type Series struct {
	Name   string
	At     []float64
	Values []float64
	Dashed bool // a bound rather than a measurement
}

// Chart is one picture. The vertical axis begins at 0.
type Chart struct {
	Title  string
	Format func(float64) string // of a value at the axis
	Series []Series
}

const (
	width, height            = 860, 320
	left, right, top, bottom = 80, 20, 56, 32
	lines                    = 5 // of the grid
)

var colours = []string{"#2f6fdf", "#d9730d", "#2e8b57", "#a33ea1"}

// Write draws the chart.
func (c Chart) Write(w io.Writer) error {
	longest, highest := 0.0, 0.0
	for _, s := range c.Series {
		if len(s.At) != len(s.Values) {
			return fmt.Errorf("chart %s: %s has %d times and %d values", c.Title, s.Name, len(s.At), len(s.Values))
		}
		for i, v := range s.Values {
			if !math.IsNaN(v) {
				longest, highest = max(longest, s.At[i]), max(highest, v)
			}
		}
	}
	if longest == 0 || highest == 0 {
		return errors.New("chart " + c.Title + ": there is nothing to draw")
	}
	highest *= 1.05
	x := func(at float64) float64 { return left + at/longest*(width-left-right) }
	y := func(v float64) float64 { return height - bottom - v/highest*(height-top-bottom) }

	var text strings.Builder
	fmt.Fprintf(&text, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&text, "<title>%s</title>\n", escape(c.Title))
	fmt.Fprintf(&text, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	fmt.Fprintf(&text, `<text x="%d" y="20" font-size="14" fill="#222">%s</text>`+"\n", left, escape(c.Title))
	for i := range lines + 1 {
		value, at := highest*float64(i)/lines, longest*float64(i)/lines
		fmt.Fprintf(&text, `<path d="M%d %.1fH%d" stroke="#ddd"/>`, left, y(value), width-right)
		fmt.Fprintf(&text, `<text x="%d" y="%.1f" text-anchor="end" fill="#555">%s</text>`, left-8, y(value)+4, escape(c.Format(value)))
		fmt.Fprintf(&text, `<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%s</text>`+"\n", x(at), height-10, clock(at))
	}
	legend := float64(left)
	for i, s := range c.Series {
		colour := colours[i%len(colours)]
		dash := ""
		if s.Dashed {
			dash = ` stroke-dasharray="6 4"`
		}
		fmt.Fprintf(&text, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5"%s/>`+"\n", path(s, x, y), colour, dash)
		fmt.Fprintf(&text, `<path d="M%.0f 38h18" stroke="%s" stroke-width="3"%s/>`, legend, colour, dash)
		fmt.Fprintf(&text, `<text x="%.0f" y="42" fill="#222">%s</text>`+"\n", legend+24, escape(s.Name))
		legend += 48 + 7*float64(len([]rune(s.Name)))
	}
	text.WriteString("</svg>\n")
	_, err := io.WriteString(w, text.String())
	return err
}

// most is how many points a line has: more cannot be told apart.
const most = 400

// path joins the values; of many that fall together the highest stays, so that no peak is lost.
func path(s Series, x, y func(float64) float64) string {
	var d strings.Builder
	step := "M"
	size := (len(s.At) + most - 1) / most
	for i := 0; i < len(s.At); i += max(1, size) {
		group := s.Values[i:min(i+max(1, size), len(s.At))]
		if slices.ContainsFunc(group, math.IsNaN) {
			step = "M"
			continue
		}
		fmt.Fprintf(&d, "%s%.1f %.1f", step, x(s.At[i]), y(slices.Max(group)))
		step = "L"
	}
	return d.String()
}

// clock is a time since the beginning.
func clock(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func escape(text string) string {
	var out strings.Builder
	if err := xml.EscapeText(&out, []byte(text)); err != nil {
		return "" // a strings.Builder takes all
	}
	return out.String()
}
