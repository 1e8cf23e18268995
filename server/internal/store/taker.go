package store

import (
	"slices"
	"strings"
)

// Taker is who has asked for a connection, of the functions on the stack where it was taken, callers below their callees: the
// first that is none by which every operation takes its own. It is the first of all where each is; empty: there are none.
func Taker(functions []string) string {
	for _, function := range functions {
		// What is within such a function has the name of a caller, too, if that has it inlined.
		every := slices.ContainsFunc([]string{"read", "write", "operate"}, func(name string) bool {
			return strings.Contains(function+".", "/server/internal/store.") && strings.Contains(function+".", "(*Store)."+name+".")
		})
		if !every {
			return function
		}
	}
	return strings.Join(functions[:min(1, len(functions))], "")
}
