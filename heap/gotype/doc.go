// Package gotype knows the types of a captured Go program: it turns the descriptors that the compiler wrote for the
// runtime (internal/abi.Type) and the debug information (DWARF) into one table of snapshot.Type.
//
// The descriptors survive stripping, and they alone say what a word of an interface or an object's header means. DWARF
// adds what they cannot know: the names of package variables, of variables in frames and in closures, and types that
// the program uses without ever describing them to the runtime.
//
// It does not know where the runtime keeps things (package layout, below, does), nor objects, functions or stacks.
// Package scan, which writes snapshots, stands above.
//
// Everything read here comes from another process and may be damaged or hostile: it is checked before it is believed,
// what does not fit is an error, and the sum of what is kept has bounds.
package gotype
