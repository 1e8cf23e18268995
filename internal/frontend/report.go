// Package frontend reads what pages report, and adds it up by component, by release and by leak.
//
// It knows the items that the packages for browsers send, and what bounds each part of a report, which any stranger may
// have written. It knows neither HTTP nor where reports are kept: memhttp, above it, has both.
package frontend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// Bounds of a report, besides its size.
const (
	schema          = 1
	maxItems        = 1000
	maxKindBytes    = 64
	maxReleaseBytes = 128
	maxPageBytes    = 2048
	// maxMistakes bounds what is told of a report with many mistakes.
	maxMistakes = 20
)

// Body is a report as it comes. Items are open: what is beside kind and at depends on the kind.
type Body struct {
	Schema  *int               `json:"schema"`
	Release string             `json:"release"`
	Page    string             `json:"page"`
	SentAt  *time.Time         `json:"sent_at"`
	Items   []*json.RawMessage `json:"items"`
}

// Report is what figures are made of: the items that the packages for browsers send. It does not change.
type Report struct {
	At            time.Time // when it came, by the service's clock
	Unreadable    bool      // it says nothing that could be read
	Release, Page string

	Heap       []Heap
	LongTasks  Blocking
	LongFrames Blocking
	Components []Component
	Warnings   map[string]int // by kind
	Leaks      []Leak
	// MonitorOff is how often the page's monitor has turned itself off because it took too much.
	MonitorOff int
}

// Heap is a reading of a page's heap. The sources measure different things: agent what the browser says that all of the
// page takes, engine the JavaScript heap.
type Heap struct {
	Source string
	Bytes  float64
}

// Blocking is what blocked a page: how often, for how long together, and the longest.
type Blocking struct {
	Count     int64   `json:"count"`
	TotalMS   float64 `json:"total_ms"`
	LongestMS float64 `json:"longest_ms"`
}

func (b *Blocking) add(more Blocking) {
	b.Count += more.Count
	b.TotalMS += more.TotalMS
	b.LongestMS = max(b.LongestMS, more.LongestMS)
}

// Component is what happened to the components of a name since the report before.
type Component struct {
	Name            string
	Commits, Mounts int64
	Unmounts        int64 // 0 too where a page of an earlier release tells nothing of them
	Live            int64 // instances, at the end
	// Timed of the Commits a Profiler has measured, each from the beginning of its render. LongestMS is of all since the page
	// was loaded.
	Timed              int64
	TotalMS, LongestMS float64
}

// Leak is what a page tells of components, elements or objects of a name: so many were released, and so many of them are
// still there.
type Leak struct {
	What, Name          string
	Owners              []string // the components above, the nearest first
	Holders             []string // what probably holds them
	Released, Survivors int64
}

// Mistake is a field of a report that cannot be used.
type Mistake struct{ Field, Detail string }

// Check returns what the report says, or what is wrong with it: every field that cannot be used, up to a bound.
func (b Body) Check() (*Report, []Mistake) {
	c := &checker{}
	if b.Schema == nil || *b.Schema != schema {
		c.refuse("schema", "want %d", schema)
	}
	c.text("release", b.Release, maxReleaseBytes)
	c.text("page", b.Page, maxPageBytes)
	if b.SentAt == nil {
		c.refuse("sent_at", "missing: want a time such as 2026-01-02T15:04:05Z")
	}
	if len(b.Items) == 0 || len(b.Items) > maxItems {
		c.refuse("items", "want 1 to %d", maxItems)
	}
	r := &Report{Release: b.Release, Page: b.Page}
	for i, raw := range b.Items[:min(len(b.Items), maxItems)] {
		place := fmt.Sprintf("items[%d]", i)
		if raw == nil || !bytes.HasPrefix(*raw, []byte("{")) {
			c.refuse(place, "want an object")
			continue
		}
		c.item(r, place, *raw)
	}
	if len(c.mistakes) > 0 {
		return nil, c.mistakes
	}
	return r, nil
}

// Read returns what a report says that was kept.
func Read(data []byte, at time.Time) (*Report, error) {
	var body Body
	if err := json.Unmarshal(data, &body); err != nil {
		return nil, fmt.Errorf("frontend: %w", err)
	}
	r, mistakes := body.Check()
	if len(mistakes) > 0 {
		return nil, fmt.Errorf("frontend: %s: %s", mistakes[0].Field, mistakes[0].Detail)
	}
	r.At = at
	return r, nil
}

var (
	reportSize    = int64(reflect.TypeFor[Report]().Size())
	heapSize      = int64(reflect.TypeFor[Heap]().Size())
	componentSize = int64(reflect.TypeFor[Component]().Size())
	leakSize      = int64(reflect.TypeFor[Leak]().Size())
)

const (
	// textSize is what a string takes beside its bytes: its header, and what the allocator rounds up.
	textSize = 24
	// warningSize is what a kind of warnings takes in a map.
	warningSize = 64
)

// size is the memory that a report takes, the pointers to it included.
func (r *Report) size() int64 {
	text := func(s string) int64 { return int64(len(s)) + textSize }
	n := reportSize + text(r.Release) + text(r.Page) + heapSize*int64(cap(r.Heap)) +
		componentSize*int64(cap(r.Components)) + leakSize*int64(cap(r.Leaks)) + 2*wordSize
	for _, h := range r.Heap {
		n += text(h.Source)
	}
	for _, c := range r.Components {
		n += text(c.Name)
	}
	for kind := range r.Warnings {
		n += text(kind) + warningSize
	}
	for _, l := range r.Leaks {
		n += text(l.What) + text(l.Name)
		for _, list := range [][]string{l.Owners, l.Holders} {
			for _, s := range list {
				n += text(s) + 2*wordSize
			}
		}
	}
	return n
}

const wordSize = 8
