package bounded

import "strings"

// validName reports whether a name can identify an Owner.
func validName(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == ""
}
