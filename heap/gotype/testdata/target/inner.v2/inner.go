// Package inner has a path whose last element has a dot, which the linker escapes.
package inner

// Item is held by others.
type Item struct {
	Name string
	Next *Item
}

// Registry is a variable of another package.
var Registry = map[string]*Item{}
