//go:build !unix

package memwarden

// processorSeconds is the processor time that the process has taken; false if that is not known.
func processorSeconds() (float64, bool) { return 0, false }
