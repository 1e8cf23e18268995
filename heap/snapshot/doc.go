// Package snapshot is the file in which a heap snapshot is kept: the graph of objects and pointers as it was found, the
// types, functions, roots, goroutines and allocation stacks that explain it, and none of what the objects held.
//
// It knows the format, which docs/format/snapshot.md describes byte by byte, and trusts no file: a damaged, truncated or
// hostile one gives an error. It knows nothing of where the graph comes from nor of what it means. Package scan stands
// above, which writes it, and package graph, which reads it.
//
// A Writer streams: it keeps one chunk of each table and nothing else. Blocks of objects are built by several
// goroutines and written in order by one. A Reader knows all totals before it decodes anything, and decodes blocks on
// as many goroutines as there are.
package snapshot
