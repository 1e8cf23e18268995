//go:build !linux

package incident

// GroupIdentity is empty: there are no control groups.
func GroupIdentity(string, string) string { return "" }
