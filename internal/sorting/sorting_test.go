package sorting

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

type pair struct{ key, number int }

func byKey(a, b pair) int { return cmp.Compare(a.key, b.key) }

// pairs have few keys, so that many are the same, and are numbered in the order that they have.
func pairs(n int) []pair {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	list := make([]pair, n)
	for i := range list {
		list[i] = pair{random.IntN(n/4 + 1), i}
	}
	return list
}

func TestBy(t *testing.T) {
	for _, n := range []int{0, 1, 2, 11, 12, 13, 100, 1000} {
		list := pairs(n)
		want := slices.Clone(list)
		slices.SortStableFunc(want, byKey)

		stable := slices.Clone(list)
		StableBy(stable, byKey)
		if !slices.Equal(stable, want) {
			t.Errorf("%d elements: not in the order of a stable sort", n)
		}

		By(list, byKey)
		if !slices.IsSortedFunc(list, byKey) {
			t.Errorf("%d elements: not sorted", n)
		}
		slices.SortFunc(list, func(a, b pair) int { return cmp.Or(byKey(a, b), cmp.Compare(a.number, b.number)) })
		if !slices.Equal(list, want) {
			t.Errorf("%d elements: others than there were", n)
		}
	}
}
