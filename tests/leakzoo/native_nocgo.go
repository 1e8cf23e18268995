//go:build !cgo

package main

// nativeLeaks are leaks of memory that the Go runtime knows nothing of: there are none without cgo.
func nativeLeaks() []exhibit { return nil }
