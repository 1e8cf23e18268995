//go:build !linux

package retain

// advise does nothing: huge pages are asked for on Linux alone.
func advise([]byte) {}
