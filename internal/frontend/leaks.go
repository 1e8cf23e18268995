package frontend

import (
	"cmp"
	"slices"
)

// LeakTotals are what reports tell of components, elements or objects of a name that are not collected. Figures, owners and
// holders are of the report with the most survivors: a page tells again when they have doubled, so that they cannot be
// added up.
type LeakTotals struct {
	What      string   `json:"what"`
	Name      string   `json:"name"`
	Owners    []string `json:"owners"`
	Released  int64    `json:"released"`
	Survivors int64    `json:"survivors"`
	Holders   []string `json:"holders"`
	Releases  []string `json:"releases"`
	seen
}

func (t *LeakTotals) add(r *Report, l Leak) {
	t.in(r)
	if l.Survivors > t.Survivors || t.Owners == nil {
		t.Released, t.Survivors = l.Released, l.Survivors
		t.Owners, t.Holders = present(l.Owners), present(l.Holders)
	}
	if i, found := slices.BinarySearch(t.Releases, r.Release); !found && len(t.Releases) < maxNamed {
		t.Releases = slices.Insert(t.Releases, i, r.Release)
	}
}

// present makes nil an empty list.
func present(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Leaks adds up what reports tell of leaks, those with most survivors first; folded is how often something was counted under
// Other for want of room.
func Leaks(reports []*Report, f Filter) (rows []*LeakTotals, folded int64) {
	type key struct{ what, name string }
	all := newTable(maxRows, func(k key) *LeakTotals { return &LeakTotals{What: k.what, Name: k.name} })
	for _, r := range byPage(reports, f) {
		for _, l := range r.Leaks {
			if f.named(l.Name) {
				all.row(key{l.What, l.Name}, key{l.What, Other}).add(r, l)
			}
		}
	}
	slices.SortFunc(all.rows, func(a, b *LeakTotals) int {
		return cmp.Or(cmp.Compare(b.Survivors, a.Survivors), b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.What, b.What), cmp.Compare(a.Name, b.Name))
	})
	return all.rows, all.folded
}
