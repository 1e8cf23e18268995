// Package report writes what a heap snapshot says as text that fits a terminal of 80 columns: what it is, what is
// suspicious, then types, roots, goroutines and pins.
//
// It knows the answers of package retain and how people read them, and nothing of how they were found. The command line
// stands above. Names are shortened in the middle rather than broken, and what a terminal would take for a command is
// shown as a question mark.
package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// Options of a report.
type Options struct {
	// Top bounds each list. Default 20.
	Top int
}

const (
	defaultTop = 20
	// nested bounds the lists within a suspect.
	nested = 5
)

func (o Options) top() int {
	if o.Top <= 0 {
		return defaultTop
	}
	return o.Top
}

// Write writes an analysis. It fails only if out does.
func Write(out io.Writer, a *retain.Analysis, o Options) error {
	var text strings.Builder
	writeHead(&text, a)
	writeSuspects(&text, a, o.top())
	writeTypes(&text, a, o.top())
	writeRoots(&text, a, o.top())
	writeShared(&text, a, o.top())
	writeGoroutines(&text, a, o.top())
	writePins(&text, a, o.top())
	writeWarnings(&text, a.Warnings)
	_, err := io.WriteString(out, text.String())
	return err
}

// methods say how a process was frozen.
var methods = map[snapshot.Method]string{
	snapshot.Fork: "frozen by its own fork", snapshot.InjectedFork: "frozen by an injected fork",
	snapshot.Stop: "read while it stood still", snapshot.Synthetic: "made by a program",
}

func writeHead(out *strings.Builder, a *retain.Analysis) {
	name := a.Executable
	if name == "" {
		name = "a program"
	}
	title := "Heap of " + name
	if a.PID > 0 {
		title += fmt.Sprintf(", process %d", a.PID)
	}
	if a.TakenAt > 0 {
		title += ", " + when(a.TakenAt)
	}
	paragraph(out, "", 0, title)
	how := methods[a.Method]
	if how == "" {
		how = "frozen"
	}
	if a.PauseSeconds > 0 {
		how += " for " + Duration(time.Duration(a.PauseSeconds*float64(time.Second)))
	}
	paragraph(out, "", 0, fmt.Sprintf("%s on %s/%s, %s", a.GoVersion, a.OS, a.Arch, how))
	fmt.Fprintln(out)
	paragraph(out, "allocated", 11, fmt.Sprintf("%s in %s objects", size(a.Bytes), Count(a.Objects)))
	reached := fmt.Sprintf("%s in %s objects", size(a.ReachedBytes), Count(a.ReachedObjects))
	if a.ReachedRatio > 0 {
		reached += fmt.Sprintf(", %s of the bytes", percent(a.ReachedRatio))
	}
	if a.RuntimeLiveBytes > 0 {
		reached += fmt.Sprintf("; the last collection left %s", size(a.RuntimeLiveBytes))
	}
	paragraph(out, "reached", 11, reached)
	paragraph(out, "types", 11, fmt.Sprintf("known of %s of the reached bytes: %s exactly, %s inferred",
		percent(a.TypedRatio), percent(a.TypedRatio-a.InferredRatio), percent(a.InferredRatio)))
	if a.RSSBytes > 0 {
		known := min(a.Bytes, uint64(a.RSSBytes)) + min(a.StackBytes, uint64(a.RSSBytes))
		rest := uint64(a.RSSBytes) - min(known, uint64(a.RSSBytes))
		paragraph(out, "resident", 11, fmt.Sprintf("%s, of which %s are stacks of goroutines and %s neither stacks nor objects: free heap, the runtime, code, cgo, mappings",
			size(uint64(a.RSSBytes)), size(a.StackBytes), size(rest)))
	}
}

// when prints a time in Unix nanoseconds.
func when(at int64) string { return time.Unix(0, at).UTC().Format("2006-01-02 15:04:05 UTC") }

// section begins a part of the report.
func section(out *strings.Builder, title string) { fmt.Fprintf(out, "\n%s\n", title) }

// more says how many entries are not shown.
func more(out *strings.Builder, shown, all int) {
	if all > shown {
		fmt.Fprintf(out, "  and %s more\n", Count(uint64(all-shown)))
	}
}

func writeSuspects(out *strings.Builder, a *retain.Analysis, top int) {
	section(out, "SUSPECTS")
	if len(a.Suspects) == 0 {
		fmt.Fprintln(out, "  none: nothing holds a large part of the heap")
	}
	shown := a.Suspects[:min(top, len(a.Suspects))]
	for i := range shown {
		if i > 0 {
			fmt.Fprintln(out)
		}
		writeSuspect(out, i+1, &shown[i])
	}
	more(out, len(shown), len(a.Suspects))
}

func writeSuspect(out *strings.Builder, number int, s *retain.Suspect) {
	const indent, detail = 4, 15
	paragraph(out, fmt.Sprintf("%2d. ", number), indent, s.Sentence)
	if len(s.Path) > 0 {
		held := strings.Join(s.Path, "")
		if s.PathShare > 0 && s.PathShare < 0.9995 {
			held += fmt.Sprintf(" (%s of them)", percent(s.PathShare))
		}
		paragraph(out, "    held by", detail, held)
	}
	for i, h := range s.Holders[:min(nested, len(s.Holders))] {
		lead := ""
		if i == 0 {
			lead = "    shared by"
		}
		paragraph(out, lead, detail, fmt.Sprintf("%s (%s)", h.Name, plural(h.Count, "pointer")))
	}
	for i, frame := range s.AllocStack[:min(nested, len(s.AllocStack))] {
		lead := ""
		if i == 0 {
			lead = "    allocated"
		}
		paragraph(out, lead, detail, frame)
	}
	for i, c := range s.Consumers[:min(nested, len(s.Consumers))] {
		lead := ""
		if i == 0 {
			lead = "    made of"
		}
		line := fmt.Sprintf("%10s  in %s ", size(c.ShallowBytes), Count(c.Count))
		fmt.Fprintf(out, "%-*s%s%s\n", detail, lead, line, shorten(c.Name, columns-detail-len(line)))
	}
	if s.Signature != "" {
		paragraph(out, "    signature", detail, s.Signature)
	}
}

func writeTypes(out *strings.Builder, a *retain.Analysis, top int) {
	section(out, "TYPES, by what they retain")
	writeTypeTable(out, a.Types, top)
	more(out, min(top, len(a.Types)), max(a.TypeCount, len(a.Types)))
}

func writeTypeTable(out *strings.Builder, types []retain.Type, top int) {
	t := table{head: []string{"retained", "own", "count", "type"}}
	for i := range types[:min(top, len(types))] {
		e := &types[i]
		t.add(size(e.RetainedBytes), size(e.ShallowBytes), Count(e.Count), e.Name)
	}
	t.write(out)
}

func writeRoots(out *strings.Builder, a *retain.Analysis, top int) {
	section(out, "ROOTS, by what they retain alone")
	t := table{head: []string{"retained", "shared", "kind", "name"}}
	for _, e := range a.Roots[:min(top, len(a.Roots))] {
		name := e.Name
		if e.Count > 1 {
			name += fmt.Sprintf(" (%s of them)", Count(e.Count))
		}
		if e.Conservative {
			name += " (perhaps no pointer)"
		}
		t.add(size(e.RetainedBytes), size(e.SharedBytes), clean(e.Kind), name)
	}
	t.write(out)
	more(out, len(t.rows), max(a.RootCount, len(a.Roots)))
}

func writeShared(out *strings.Builder, a *retain.Analysis, top int) {
	if len(a.Shared) == 0 {
		return
	}
	section(out, "SHARED: no single root retains these")
	t := table{head: []string{"retained", "count", "type, and who holds it"}}
	for _, e := range a.Shared[:min(top, len(a.Shared))] {
		names := make([]string, 0, nested)
		for _, h := range e.Holders[:min(2, len(e.Holders))] {
			names = append(names, h.Name)
		}
		if e.HolderCount > len(names) {
			names = append(names, fmt.Sprintf("%d more", e.HolderCount-len(names)))
		}
		t.add(size(e.RetainedBytes), Count(e.Count), e.Type+": "+strings.Join(names, ", "))
	}
	t.write(out)
	more(out, len(t.rows), len(a.Shared))
}

func writeGoroutines(out *strings.Builder, a *retain.Analysis, top int) {
	section(out, "GOROUTINES, by what they retain alone")
	t := table{head: []string{"retained", "shared", "count", "state", "function"}}
	for _, e := range a.Goroutines[:min(top, len(a.Goroutines))] {
		t.add(size(e.RetainedBytes), size(e.SharedBytes), Count(e.Count), shorten(e.State, 20), e.Function)
	}
	t.write(out)
	more(out, len(t.rows), max(a.GoroutineCount, len(a.Goroutines)))
}

func writePins(out *strings.Builder, a *retain.Analysis, top int) {
	if len(a.Pins) == 0 {
		return
	}
	section(out, "PINS: strings and slices that keep more than they use")
	t := table{head: []string{"kept", "used", "count", "kept by"}}
	for _, e := range a.Pins[:min(top, len(a.Pins))] {
		t.add(size(e.ObjectBytes), size(e.UsedBytes), Count(e.Count), fmt.Sprintf("%s (%s)", e.Holder, e.Type))
	}
	t.write(out)
	more(out, len(t.rows), len(a.Pins))
}

func writeWarnings(out *strings.Builder, warnings []string) {
	if len(warnings) == 0 {
		return
	}
	section(out, "NOTES")
	for _, warning := range warnings {
		paragraph(out, "  - ", 4, warning)
	}
}
