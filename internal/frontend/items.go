package frontend

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Bounds of what is in an item that the packages for browsers send.
const (
	maxNameBytes  = 1024 // of a component, an owner; that of a cache is a field, see maxFieldBytes
	maxPlaceBytes = 2048 // of a place in the code, whose address may be long
	maxComponents = 100  // of one item
	maxCaches     = 500
	maxOwners     = 32
	maxHolders    = 32
	maxCount      = 1e9
	maxMS         = 1e12 // some thirty years
	maxHeapBytes  = 1 << 50
)

// heapSources are where readings of a heap come from.
var heapSources = []string{"agent", "engine"}

// header is what every item has.
type header struct {
	Kind string     `json:"kind"`
	At   *time.Time `json:"at"`
}

// item has the fields of all kinds that are known, so that each is decoded once.
type item struct {
	header
	MS *float64 `json:"ms"` // figures and monitor_off

	Heap       *heapItem             `json:"heap"`
	LongTasks  *blockingItem         `json:"long_tasks"`
	LongFrames *blockingItem         `json:"long_frames"`
	Caches     map[string]*cacheItem `json:"caches"`
	Self       *selfItem             `json:"self"`
	Dropped    *float64              `json:"dropped"`

	Components []*componentItem `json:"components"`

	Warning   string   `json:"warning"`
	Subject   *string  `json:"subject"`
	Value     *float64 `json:"value"`
	Threshold *float64 `json:"threshold"`

	What      string   `json:"what"`
	Name      *string  `json:"name"`
	Owners    []string `json:"owners"`
	Holders   []string `json:"holders"`
	Released  *float64 `json:"released"`
	Survivors *float64 `json:"survivors"`

	Share *float64 `json:"share"` // monitor_off
	Off   bool     `json:"off"`
}

type (
	heapItem struct {
		Source     string   `json:"source"`
		Bytes      *float64 `json:"bytes"`
		LimitBytes *float64 `json:"limit_bytes"`
		At         *float64 `json:"at"`
	}
	blockingItem struct {
		Count     *float64 `json:"count"`
		TotalMS   *float64 `json:"total_ms"`
		LongestMS *float64 `json:"longest_ms"`
	}
	cacheItem struct {
		Entries        *float64 `json:"entries"`
		Inactive       *float64 `json:"inactive"`
		Bytes          *float64 `json:"bytes"`
		NeverCollected *float64 `json:"never_collected"`
	}
	selfItem struct {
		MS    *float64 `json:"ms"`
		Share *float64 `json:"share"`
		Off   bool     `json:"off"`
	}
	componentItem struct {
		Name      *string  `json:"name"`
		Commits   *float64 `json:"commits"`
		Mounts    *float64 `json:"mounts"`
		Unmounts  *float64 `json:"unmounts"` // pages of earlier releases have none
		Live      *float64 `json:"live"`
		Timed     *float64 `json:"timed"`
		TotalMS   *float64 `json:"total_ms"`
		LongestMS *float64 `json:"longest_ms"`
	}
)

// kinds are those that are known here, with what takes an item's fields into the report.
var kinds = map[string]func(c *checker, r *Report, place string, i *item){
	"figures": (*checker).figures, "components": (*checker).components, "warning": (*checker).warning, "leak": (*checker).leak,
	"monitor_off": func(c *checker, r *Report, place string, i *item) {
		c.self(place, selfItem{i.MS, i.Share, i.Off})
		r.MonitorOff++
	},
}

// item takes what an item says into the report. One of a kind that is not known here is bounded, and says nothing.
func (c *checker) item(r *Report, place string, raw json.RawMessage) {
	var i item
	err := json.Unmarshal(raw, &i)
	if err != nil { // the fields of one that is not known may be of any sort
		i = item{}
		if headless := json.Unmarshal(raw, &i.header); headless != nil {
			c.undecoded(place, headless)
			return
		}
	}
	if i.Kind == "" || len(i.Kind) > maxKindBytes {
		c.refuse(place+".kind", "want 1 to %d bytes", maxKindBytes)
	}
	if i.At == nil {
		c.refuse(place+".at", "missing: want a time such as 2026-01-02T15:04:05Z")
	}
	c.open(place, raw)
	take, known := kinds[i.Kind]
	switch {
	case known && err != nil:
		c.undecoded(place, err)
	case known:
		take(c, r, place, &i)
	}
}

func (c *checker) figures(r *Report, place string, i *item) {
	c.number(place, "ms", i.MS, maxMS)
	c.optional(place, "dropped", i.Dropped, maxCount)
	if h := i.Heap; h != nil {
		source := c.word(place, "heap.source", h.Source, heapSources...)
		r.Heap = append(r.Heap, Heap{source, c.number(place, "heap.bytes", h.Bytes, maxHeapBytes)})
		c.optional(place, "heap.limit_bytes", h.LimitBytes, maxHeapBytes)
		c.optional(place, "heap.at", h.At, maxMS*10)
	}
	r.LongTasks.add(c.blocking(place+".long_tasks", i.LongTasks))
	r.LongFrames.add(c.blocking(place+".long_frames", i.LongFrames))
	if i.Self != nil {
		c.self(place+".self", *i.Self)
	}
	if len(i.Caches) > maxCaches {
		c.refuse(place+".caches", "want at most %d", maxCaches)
		return
	}
	for name, cache := range i.Caches {
		at := fmt.Sprintf("%s.caches[%.40q]", place, name)
		if cache == nil {
			c.refuse(at, "want an object")
			continue
		}
		c.number(at, "entries", cache.Entries, maxCount)
		c.optional(at, "inactive", cache.Inactive, maxCount)
		c.optional(at, "bytes", cache.Bytes, maxHeapBytes)
		c.optional(at, "never_collected", cache.NeverCollected, maxCount)
	}
}

func (c *checker) self(place string, item selfItem) {
	c.number(place, "ms", item.MS, maxMS)
	c.number(place, "share", item.Share, maxCount)
}

func (c *checker) blocking(place string, item *blockingItem) (b Blocking) {
	if item == nil {
		return b
	}
	return Blocking{
		c.count(place, "count", item.Count), c.number(place, "total_ms", item.TotalMS, maxMS),
		c.number(place, "longest_ms", item.LongestMS, maxMS),
	}
}

func (c *checker) components(r *Report, place string, i *item) {
	if len(i.Components) == 0 || len(i.Components) > maxComponents {
		c.refuse(place+".components", "want 1 to %d", maxComponents)
		return
	}
	r.Components = slices.Grow(r.Components, len(i.Components))
	for n, one := range i.Components {
		at := fmt.Sprintf("%s.components[%d]", place, n)
		if one == nil {
			c.refuse(at, "want an object")
			continue
		}
		var unmounts int64
		if one.Unmounts != nil {
			unmounts = c.count(at, "unmounts", one.Unmounts)
		}
		r.Components = append(r.Components, Component{
			Name: c.name(at, "name", one.Name), Commits: c.count(at, "commits", one.Commits), Mounts: c.count(at, "mounts", one.Mounts),
			Unmounts: unmounts, Live: c.count(at, "live", one.Live), Timed: c.count(at, "timed", one.Timed),
			TotalMS: c.number(at, "total_ms", one.TotalMS, maxMS), LongestMS: c.number(at, "longest_ms", one.LongestMS, maxMS),
		})
	}
}

func (c *checker) warning(r *Report, place string, i *item) {
	if i.Warning == "" || len(i.Warning) > maxKindBytes {
		c.refuse(place+".warning", "want 1 to %d bytes", maxKindBytes)
	}
	c.name(place, "subject", i.Subject)
	c.number(place, "value", i.Value, maxMS)
	c.number(place, "threshold", i.Threshold, maxMS)
	if r.Warnings == nil {
		r.Warnings = map[string]int{}
	}
	r.Warnings[i.Warning]++
}

func (c *checker) leak(r *Report, place string, i *item) {
	what := c.word(place, "what", i.What, "component", "dom", "object")
	c.list(place+".owners", i.Owners, maxOwners, maxNameBytes)
	c.list(place+".holders", i.Holders, maxHolders, maxPlaceBytes)
	l := Leak{
		What: what, Name: c.name(place, "name", i.Name), Owners: i.Owners, Holders: i.Holders,
		Released: c.count(place, "released", i.Released), Survivors: c.count(place, "survivors", i.Survivors),
	}
	if l.Survivors > l.Released {
		c.refuse(place+".survivors", "more than were released")
	}
	r.Leaks = append(r.Leaks, l)
}

// checker collects what is wrong with a report.
type checker struct{ mistakes []Mistake }

func (c *checker) refuse(field, format string, args ...any) {
	if len(c.mistakes) < maxMistakes {
		c.mistakes = append(c.mistakes, Mistake{field, fmt.Sprintf(format, args...)})
	}
}

// undecoded tells why an item's fields could not be read.
func (c *checker) undecoded(place string, err error) {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		c.refuse(place+"."+wrong.Field, "it cannot be a JSON %.40s", wrong.Value)
		return
	}
	c.refuse(place, "%.200s", strings.TrimPrefix(err.Error(), "json: "))
}

func (c *checker) text(field, value string, most int) {
	if len(value) > most {
		c.refuse(field, "want at most %d bytes", most)
	}
}

func (c *checker) name(place, field string, value *string) string {
	switch {
	case value == nil:
		c.refuse(place+"."+field, "missing: want a name")
		return ""
	case len(*value) > maxNameBytes:
		c.refuse(place+"."+field, "want at most %d bytes", maxNameBytes)
	}
	return *value
}

// word returns the word that the value is.
func (c *checker) word(place, field, value string, words ...string) string {
	i := slices.Index(words, value)
	if i < 0 {
		c.refuse(place+"."+field, "want %s", strings.Join(words, " or "))
		return ""
	}
	return words[i]
}

func (c *checker) list(field string, values []string, most, mostBytes int) {
	if len(values) > most {
		c.refuse(field, "want at most %d", most)
		return
	}
	for i, value := range values {
		c.text(fmt.Sprintf("%s[%d]", field, i), value, mostBytes)
	}
}

// number returns a figure that must be there, from 0 to most. Like the others it is given the place and the field apart, for
// few are refused.
func (c *checker) number(place, field string, value *float64, most float64) float64 {
	if value == nil {
		c.refuse(place+"."+field, "missing: want a number from 0 to %v", most)
		return 0
	}
	c.optional(place, field, value, most)
	return *value
}

func (c *checker) optional(place, field string, value *float64, most float64) {
	if value != nil && !(*value >= 0 && *value <= most) {
		c.refuse(place+"."+field, "want a number from 0 to %v", most)
	}
}

// count returns a whole number that must be there.
func (c *checker) count(place, field string, value *float64) int64 {
	n := c.number(place, field, value, maxCount)
	if n != math.Trunc(n) {
		c.refuse(place+"."+field, "want a whole number")
		return 0
	}
	if n < 0 || n > maxCount {
		return 0 // refused, and perhaps more than an integer holds
	}
	return int64(n)
}
