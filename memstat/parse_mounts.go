package memstat

import (
	"bytes"
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/memwarden/memwarden/internal/sorting"
)

// parseGroup reads from /proc/PID/cgroup the path of the group that a process is in: in the hierarchy of a cgroup v1
// controller, or in cgroup v2's for the controller "". It has none where the group was removed under a process that
// has ended.
func parseGroup(text []byte, controller string) (string, bool) {
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		id, rest, ok := bytes.Cut(line, []byte{':'})
		if !ok {
			continue
		}
		controllers, group, ok := bytes.Cut(rest, []byte{':'})
		if !ok || len(group) == 0 || group[0] != '/' || bytes.HasSuffix(group, []byte(" (deleted)")) {
			continue
		}
		if controller == "" && string(id) == "0" && len(controllers) == 0 || controller != "" && listed(controllers, controller) {
			return string(group), true
		}
	}
	return "", false
}

// listed reports whether a list that is set apart by commas has an item.
func listed(list []byte, item string) bool {
	for len(list) > 0 {
		var one []byte
		one, list, _ = bytes.Cut(list, []byte{','})
		if string(one) == item {
			return true
		}
	}
	return false
}

// place is where a group can be found in the file tree.
type place struct {
	mount string // the directory at which its hierarchy, or a part of it, is mounted
	below string // the group's path below it: "" or "/a/b"
	root  string // what part of the hierarchy is mounted
}

// parsePlaces finds in /proc/PID/mountinfo the places of a group of cgroup v1's controller, or of cgroup v2 for the
// controller "". First come those from which most parents are seen; of mounts on top of each other the last counts.
func parsePlaces(text []byte, controller, group string) []place {
	var places []place
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		root, point, ok := parseMount(line, controller)
		if !ok {
			continue
		}
		places = slices.DeleteFunc(places, func(p place) bool { return p.mount == point })
		if below, ok := pathBelow(root, group); ok {
			places = append(places, place{mount: point, below: below, root: root})
		}
	}
	sorting.StableBy(places, func(a, b place) int { return cmp.Compare(len(a.root), len(b.root)) })
	return places
}

// parseMount reads a line of mountinfo, "ID PARENT DEVICE ROOT POINT OPTIONS [TAGS] - TYPE SOURCE OPTIONS", if it is a
// mount of the wanted hierarchy.
func parseMount(line []byte, controller string) (root, point string, ok bool) {
	head, tail, ok := bytes.Cut(line, []byte(" - "))
	if !ok {
		return "", "", false
	}
	kind, rest := nextWord(tail)
	if controller == "" {
		ok = string(kind) == "cgroup2"
	} else {
		ok = string(kind) == "cgroup" && listed(rest[bytes.LastIndexByte(rest, ' ')+1:], controller)
	}
	fields := bytes.Fields(head)
	if !ok || len(fields) < 5 {
		return "", "", false
	}
	root, point = unescape(fields[3]), unescape(fields[4])
	return root, point, strings.HasPrefix(root, "/") && strings.HasPrefix(point, "/")
}

// pathBelow is group as seen from root, which must be it or a parent of it. A group that lies outside the reader's
// cgroup namespace has a path that begins with "/..", which only a mount with the same beginning reaches.
func pathBelow(root, group string) (string, bool) {
	root, group = strings.TrimSuffix(root, "/"), strings.TrimSuffix(group, "/")
	below, ok := strings.CutPrefix(group, root)
	if !ok || below != "" && below[0] != '/' || strings.Contains(below+"/", "/../") {
		return "", false
	}
	if below == "" {
		return "", true
	}
	return path.Clean(below), true
}

// unescape replaces what mountinfo writes for space, tab, newline and backslash: a backslash and three octal digits.
func unescape(text []byte) string {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text)
	}
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) && octal(text[i+1]) && octal(text[i+2]) && octal(text[i+3]) {
			plain = append(plain, (text[i+1]-'0')<<6|(text[i+2]-'0')<<3|(text[i+3]-'0'))
			i += 3
			continue
		}
		plain = append(plain, text[i])
	}
	return string(plain)
}

func octal(c byte) bool { return '0' <= c && c <= '7' }
