// Package graph turns a snapshot file into a graph of objects in flat arrays: who points to whom, what is reached from
// the roots, and of which type every object is.
//
// It knows the heap as the file tells it, and how the Go runtime allocates: size classes, maps, channels, closures. It
// knows neither a process nor retained sizes. heap/retain stands above.
//
// Types are found without the contents of objects. A type is exact if the runtime recorded it, or if a chain of
// typed pointers leads from such a place to the object and its size and pointers agree; it is inferred if it is the
// only one of the program's types that fits all that is known of an object, or the only one with which each of its
// pointers agrees where others merely could be. Where sources differ, what the runtime recorded counts most, then what
// was allocated for an interface or a closure, then a struct before its first field. See Graph.Stats for the shares,
// and Graph.CheckInference for how often inference is wrong.
package graph
