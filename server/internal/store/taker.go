package store

import (
	"slices"
	"strings"
)

// Taker is who has asked for a connection, of the functions on the stack where it was taken, callers below their callees: the
// first that is none by which every operation takes its own. It is the first of all where each is; empty: there are none.
func Taker(functions []string) string {
	for _, function := range functions {
		if !takesForAll(function) {
			return function
		}
	}
	if len(functions) > 0 {
		return functions[0]
	}
	return ""
}

// takesForAll reports whether every operation takes its connection by a function. What is within such a function has the name
// of a caller, too, if that has it inlined.
func takesForAll(function string) bool {
	return strings.Contains(function, "/server/internal/store.") &&
		slices.ContainsFunc([]string{"read", "write", "operate"}, func(name string) bool {
			return strings.Contains(function+".", "(*Store)."+name+".")
		})
}
