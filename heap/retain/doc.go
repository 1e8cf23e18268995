// Package retain answers what holds a program's memory: what each object, type, root and goroutine retains, along which
// path, which places hold suspiciously much, and what changed between two snapshots.
//
// It knows the graph of a heap and its dominator tree. An object's retained size is the sum of the sizes of all objects
// that would become garbage with it: its subtree in the dominator tree. The package does not know how a snapshot was
// taken, nor how its answers are shown: heap/report stands above it, and the command line.
//
// The objects are held in flat arrays in the preorder of the dominator tree, in which a subtree is a range: see tree.
package retain
