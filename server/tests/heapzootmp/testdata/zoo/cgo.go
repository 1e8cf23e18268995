//go:build cgo && cgo_used

package main

// static int one(void) { return 1; }
import "C"

// Calls C, so that the program links its library and the runtime its threads.
var _ = C.one()
