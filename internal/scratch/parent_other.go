//go:build !linux

package scratch

func parent(string) string { return "" }
