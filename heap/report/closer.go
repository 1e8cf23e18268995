package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/memwarden/memwarden/heap/retain"
)

// WriteType writes a closer look at a type. It fails only if out does.
func WriteType(out io.Writer, c *retain.Closer, o Options) error {
	var text strings.Builder
	paragraph(&text, "", 0, fmt.Sprintf("%s: %s of %s, which retain %s", c.Type.Name, plural(c.Type.Count, "object"),
		size(c.Type.ShallowBytes), size(c.Type.RetainedBytes)))
	writePaths(&text, c.Paths, c.SampledPaths, o.top())
	if len(c.Allocations) > 0 {
		section(&text, "ALLOCATED, as far as the runtime sampled it")
	}
	for i := range c.Allocations[:min(o.top(), len(c.Allocations))] {
		a := &c.Allocations[i]
		for depth, frame := range a.Stack {
			lead := ""
			if depth == 0 {
				lead = "  " + percent(a.Share)
			}
			paragraph(&text, lead, 12, frame)
		}
	}
	if len(c.Holds) > 0 {
		section(&text, "WHAT THEY HOLD")
		writeTypeTable(&text, c.Holds, o.top())
	}
	if len(c.Instances) > 0 {
		section(&text, "THE LARGEST OF THEM")
		t := table{head: []string{"retained", "own", "object", "held by"}}
		for _, i := range c.Instances[:min(o.top(), len(c.Instances))] {
			t.add(size(i.RetainedBytes), size(i.ShallowBytes), fmt.Sprint(i.Object), strings.Join(i.Path, ""))
		}
		t.write(&text)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// WritePaths writes along which paths the objects of a type are held. It fails only if out does.
func WritePaths(out io.Writer, name string, paths []retain.Path, o Options) error {
	var text strings.Builder
	sampled := uint64(0)
	for _, p := range paths {
		sampled += p.Count
	}
	paragraph(&text, "", 0, fmt.Sprintf("Paths from roots to %s", name))
	writePaths(&text, paths, sampled, o.top())
	_, err := io.WriteString(out, text.String())
	return err
}

// writePaths writes each path in full, over several lines if it is long: it is what was asked for.
func writePaths(out *strings.Builder, paths []retain.Path, sampled uint64, top int) {
	section(out, fmt.Sprintf("HELD BY, of a sample of %s", Count(sampled)))
	if len(paths) == 0 {
		fmt.Fprintln(out, "  nothing: no path from a root leads there")
	}
	for i := range paths[:min(top, len(paths))] {
		p := &paths[i]
		share := 0.0
		if sampled > 0 {
			share = float64(p.Count) / float64(sampled)
		}
		steps(out, "  "+percent(share), 12, p.Steps)
		paragraph(out, "", 12, fmt.Sprintf("(%s of them, retaining %s)", Count(p.Count), size(p.RetainedBytes)))
	}
	more(out, min(top, len(paths)), len(paths))
}

// steps writes a path, broken between its steps.
func steps(out *strings.Builder, lead string, indent int, path []string) {
	width := columns - indent
	var lines []string
	line := ""
	for _, step := range path {
		step = shorten(step, width)
		if line != "" && length(line)+length(step) > width {
			lines = append(lines, line)
			line = ""
		}
		line += step
	}
	for i, l := range append(lines, line) {
		if i > 0 {
			lead = ""
		}
		fmt.Fprintf(out, "%s%s%s\n", lead, strings.Repeat(" ", max(1, indent-length(lead))), l)
	}
}

// WriteDifference writes what has changed between two snapshots. It fails only if out does.
func WriteDifference(out io.Writer, d *retain.Difference, o Options) error {
	var text strings.Builder
	paragraph(&text, "", 0, fmt.Sprintf("From %s to %s the reached heap went from %s to %s: %s", when(d.BeforeUnixNanoseconds), when(d.AfterUnixNanoseconds),
		size(d.ReachedBytesBefore), size(d.ReachedBytesAfter), change(d.ReachedBytesGrowth)))
	section(&text, "SUSPECTS")
	if len(d.Suspects) == 0 {
		fmt.Fprintln(&text, "  none, before and after")
	}
	for i := range d.Suspects[:min(o.top(), len(d.Suspects))] {
		writeSuspectChange(&text, &d.Suspects[i])
	}
	more(&text, min(o.top(), len(d.Suspects)), len(d.Suspects))
	section(&text, "TYPES, by what they retain")
	t := table{head: []string{"change", "retained", "own", "count", "type"}}
	for i := range d.Types[:min(o.top(), len(d.Types))] {
		c := &d.Types[i]
		t.add(strings.ToLower(string(c.Change)), change(c.RetainedGrowth), change(c.ShallowGrowth), countChange(c.CountGrowth), c.Name)
	}
	t.write(&text)
	more(&text, len(t.rows), len(d.Types))
	if !d.Complete {
		paragraph(&text, "  - ", 4, "The lists of types were cut: one that is new or gone may have been below the bound of the other list.")
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func writeSuspectChange(out *strings.Builder, c *retain.SuspectChange) {
	s := c.After
	if s == nil {
		s = c.Before
	}
	sentence := s.Sentence
	if c.Before != nil && c.After != nil {
		where := ""
		if most := max(c.PlacesBefore, c.PlacesAfter); most > 1 {
			where = fmt.Sprintf(" in %d places that nothing tells apart, the largest of them", most)
		}
		sentence = fmt.Sprintf("%s objects, %s%s: %s", countChange(c.CountGrowth), change(c.RetainedGrowth), where, sentence)
	}
	paragraph(out, "  "+strings.ToLower(string(c.Change)), 10, sentence)
}
