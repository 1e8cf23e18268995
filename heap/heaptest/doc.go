// Package heaptest builds heap snapshots in code, for tests of what reads them.
//
// It lays objects out as the Go runtime does: size classes and spans, type headers, the structures behind maps,
// channels and closures, and the evidence that a scan finds beside pointers. It knows the format through package
// snapshot, but for the headers of chunks, which Sign makes up for files that are wrong, and nothing of graphs. Only tests
// import it: those of the packages graph, retain and report, and those of programs that use them.
//
//	b := heaptest.New()
//	user := b.Struct("main.User", heaptest.F("Name", b.String()), heaptest.F("Next", b.Ptr("main.User")))
//	first, second := b.Object(user), b.Object(user)
//	b.Field(first, "Next", second)
//	b.Field(first, "Name", b.Bytes(300).Text(0, 12))
//	b.Global("main.users", b.Ptr("main.User")).Set("", first)
//	file := b.Build() // file.Data are the bytes, file.ID(second) the number of an object
//
// What the language would not allow panics: a test that does it is wrong.
package heaptest
