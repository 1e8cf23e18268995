package retain

import (
	"strings"
)

// step is what an edge adds to a path. What leads only through the inside of a map, or of a container of the standard
// library, adds nothing: a reader knows "main.pool[…]", and none of the fields behind it.
func (h *heap) step(from, edge uint32) string {
	source, target := h.typeName(from), h.typeName(h.g.Targets[edge])
	step := h.g.Step(from, edge)
	if inside := insideOf(source); inside != nil {
		return inside(step)
	}
	for _, entrance := range entrances {
		if insideOf(target) == nil {
			break
		}
		if rest, ok := strings.CutSuffix(step, entrance); ok {
			return rest
		}
	}
	return step
}

// entrances are the fields by which the containers of the standard library point to what is inside of them, the
// longest first.
var entrances = []string{
	".root.next", ".root.prev", // list.List
	".m.root", ".root", // sync.Map
	".local", ".victim", // sync.Pool
}

// insideOf returns, for a type of what is inside of a container, what a step from it is in a path; else nil.
func insideOf(name string) func(step string) string {
	unnamed := strings.TrimLeft(name, "[]*0123456789")
	switch {
	case name == "runtime.p":
		return func(step string) string { return strings.Replace(step, ".timers.heap", ".timers", 1) }
	case unnamed == "runtime.timerWhen":
		return func(step string) string { return strings.TrimSuffix(step, ".timer") }
	case name == "list.Element":
		return func(step string) string { return elementIf(step == ".Value") }
	case unnamed == "sync.eface":
		return func(string) string { return element }
	case strings.HasPrefix(unnamed, "sync.pool"):
		return func(step string) string { return elementIf(strings.HasSuffix(step, ".private")) }
	case strings.HasPrefix(unnamed, "sync.indirect[") || strings.HasPrefix(unnamed, "sync.node[") ||
		strings.HasPrefix(unnamed, "atomic.Pointer[sync.node["):
		return func(string) string { return "" }
	case strings.HasPrefix(unnamed, "sync.entry["):
		return func(step string) string {
			if strings.HasSuffix(step, ".key") {
				return key
			}
			return elementIf(strings.HasSuffix(step, ".value"))
		}
	case roleOf(name) == innards:
		return func(string) string { return "" }
	default:
		return nil
	}
}

func elementIf(yes bool) string {
	if yes {
		return element
	}
	return ""
}

// typeName is the name of a node's type, of a root that of its variable; empty if it is unknown.
func (h *heap) typeName(node uint32) string {
	if node < h.g.Objects() {
		id, _ := h.g.Type(node)
		if number := h.types.of[id]; number != noType {
			return h.types.names[number]
		}
		return ""
	}
	if i := node - h.g.Objects(); int(i) < len(h.g.Roots) {
		return h.g.TypeName(h.g.Roots[i].Type)
	}
	return ""
}

// short is a function's or variable's name with its package's name instead of the import path, as in a program's text:
// "http.(*conn).serve".
func short(name string) string {
	end := strings.IndexAny(name, "([{ ")
	if end < 0 {
		end = len(name)
	}
	slash := strings.LastIndexByte(name[:end], '/')
	if slash < 0 {
		return name
	}
	last := name[slash+1:]
	if version, rest, ok := strings.Cut(last, "."); ok && isVersion(version) {
		before := name[:slash]
		return before[strings.LastIndexByte(before, '/')+1:] + "." + rest
	}
	return last
}

// isVersion reports whether the last part of an import path is a major version.
func isVersion(part string) bool {
	return len(part) >= 2 && part[0] == 'v' && strings.Trim(part[1:], "0123456789") == ""
}
