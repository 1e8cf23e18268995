package retain

import (
	"cmp"
	"slices"
	"strings"

	"github.com/memwarden/memwarden/internal/sorting"
)

// Change is how something differs between two snapshots.
type Change string

// The changes.
const (
	New    Change = "NEW"
	Grew   Change = "GREW"
	Shrank Change = "SHRANK"
	Gone   Change = "GONE"
	Same   Change = "SAME"
)

// Difference is what changed from one snapshot to another.
type Difference struct {
	BeforeUnixNanoseconds int64  `json:"before_taken_at_unix_nanoseconds"`
	AfterUnixNanoseconds  int64  `json:"after_taken_at_unix_nanoseconds"`
	ReachedBytesBefore    uint64 `json:"reached_bytes_before"`
	ReachedBytesAfter     uint64 `json:"reached_bytes_after"`
	ReachedBytesGrowth    int64  `json:"reached_bytes_growth"`
	// Types are those whose figures changed, those that grew most first.
	Types []TypeChange `json:"types"`
	// Suspects are those of either snapshot, by their signatures and, in one build, by their paths, those that grew most
	// first.
	Suspects []SuspectChange `json:"suspects"`
	// Complete tells that both analyses had all of their types. Without it, a type that is NEW or GONE may have been
	// below the bound of the other's list.
	Complete bool `json:"complete"`
}

// TypeChange is how a type's figures changed. Growths are after minus before.
type TypeChange struct {
	Name           string `json:"name"`
	Change         Change `json:"change"` // by retained bytes, else shallow bytes, else count
	Before         Type   `json:"before"`
	After          Type   `json:"after"`
	CountGrowth    int64  `json:"count_growth"`
	ShallowGrowth  int64  `json:"shallow_bytes_growth"`
	RetainedGrowth int64  `json:"retained_bytes_growth"`
}

// SuspectChange is how a suspect changed. Before or After is nil where it was none.
//
// Suspects that nothing tells apart count as one: those of one signature and one path, and of one signature where the
// snapshots are of two builds, of which a stripped program's paths say nothing to each other. Then Count, RetainedBytes and
// Share are sums, and the rest is that of the one that retains most.
type SuspectChange struct {
	Signature      string   `json:"signature"`
	Change         Change   `json:"change"`
	Before         *Suspect `json:"before,omitempty"`
	After          *Suspect `json:"after,omitempty"`
	PlacesBefore   int      `json:"places_before"` // suspects that Before is made of
	PlacesAfter    int      `json:"places_after"`  // suspects that After is made of
	CountGrowth    int64    `json:"count_growth"`
	RetainedGrowth int64    `json:"retained_bytes_growth"`
}

// Diff compares two analyses, of which either may have been read from JSON. Analyses with all types (Options.MaxTypes
// below 0) give a complete answer.
func Diff(before, after *Analysis) *Difference {
	d := &Difference{
		BeforeUnixNanoseconds: before.TakenAt, AfterUnixNanoseconds: after.TakenAt,
		ReachedBytesBefore: before.ReachedBytes, ReachedBytesAfter: after.ReachedBytes,
		ReachedBytesGrowth: growth(before.ReachedBytes, after.ReachedBytes),
		Types:              []TypeChange{}, Suspects: []SuspectChange{},
		Complete: before.TypeCount == len(before.Types) && after.TypeCount == len(after.Types),
	}
	types := make(map[string]*TypeChange)
	for _, t := range before.Types {
		types[t.Name] = &TypeChange{Name: t.Name, Before: t, After: Type{Name: t.Name}}
	}
	for _, t := range after.Types {
		if types[t.Name] == nil {
			types[t.Name] = &TypeChange{Name: t.Name, Before: Type{Name: t.Name}}
		}
		types[t.Name].After = t
	}
	for _, t := range types {
		if t.finish(); t.Change != Same {
			d.Types = append(d.Types, *t)
		}
	}
	sorting.By(d.Types, func(a, b TypeChange) int {
		return cmp.Or(cmp.Compare(b.RetainedGrowth, a.RetainedGrowth), cmp.Compare(b.ShallowGrowth, a.ShallowGrowth),
			cmp.Compare(b.CountGrowth, a.CountGrowth), cmp.Compare(a.Name, b.Name))
	})
	d.suspects(before, after)
	return d
}

func (t *TypeChange) finish() {
	t.CountGrowth = growth(t.Before.Count, t.After.Count)
	t.ShallowGrowth = growth(t.Before.ShallowBytes, t.After.ShallowBytes)
	t.RetainedGrowth = growth(t.Before.RetainedBytes, t.After.RetainedBytes)
	t.Change = change(t.Before.Count > 0, t.After.Count > 0, cmp.Or(t.RetainedGrowth, t.ShallowGrowth, t.CountGrowth))
}

func (d *Difference) suspects(before, after *Analysis) {
	oneBuild := before.BuildID == after.BuildID
	changes := make(map[string]*SuspectChange)
	of := func(s *Suspect) *SuspectChange {
		key := s.Signature
		if oneBuild {
			// The path tells variables apart that have no names but places in a segment, which a signature leaves out.
			key += "\x00" + strings.Join(s.Path, "\x00")
		}
		if changes[key] == nil {
			changes[key] = &SuspectChange{Signature: s.Signature}
		}
		return changes[key]
	}
	for i := range before.Suspects {
		s := &before.Suspects[i]
		change := of(s)
		change.Before = together(change.Before, s)
		change.PlacesBefore++
	}
	for i := range after.Suspects {
		s := &after.Suspects[i]
		change := of(s)
		change.After = together(change.After, s)
		change.PlacesAfter++
	}
	for _, s := range changes {
		var was, is Suspect
		if s.Before != nil {
			was = *s.Before
		}
		if s.After != nil {
			is = *s.After
		}
		s.CountGrowth, s.RetainedGrowth = growth(was.Count, is.Count), growth(was.RetainedBytes, is.RetainedBytes)
		s.Change = change(s.Before != nil, s.After != nil, cmp.Or(s.RetainedGrowth, s.CountGrowth))
		d.Suspects = append(d.Suspects, *s)
	}
	sorting.By(d.Suspects, func(a, b SuspectChange) int {
		return cmp.Or(cmp.Compare(b.RetainedGrowth, a.RetainedGrowth), cmp.Compare(b.CountGrowth, a.CountGrowth),
			cmp.Compare(a.Signature, b.Signature), slices.Compare(a.path(), b.path()))
	})
}

// together adds a suspect to the sum of those before it, which is a copy of the first of them: it retains most.
func together(sum, s *Suspect) *Suspect {
	if sum == nil {
		first := *s
		return &first
	}
	sum.Count += s.Count
	sum.RetainedBytes += s.RetainedBytes
	sum.Share += s.Share
	return sum
}

func (s *SuspectChange) path() []string {
	if s.After != nil {
		return s.After.Path
	}
	return s.Before.Path
}

// growth is after minus before, of numbers far below 1<<63.
func growth(before, after uint64) int64 { return int64(after) - int64(before) }

func change(was, is bool, growth int64) Change {
	switch {
	case !was && !is:
		return Same
	case !was:
		return New
	case !is:
		return Gone
	case growth > 0:
		return Grew
	case growth < 0:
		return Shrank
	default:
		return Same
	}
}
