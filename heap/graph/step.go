package graph

import (
	"strconv"
	"strings"

	"github.com/memwarden/memwarden/heap/snapshot"
)

const (
	elementStep  = "[…]"
	keyStep      = "[key]"
	capturedStep = "{captured}"
)

// Step returns what edge e of a node adds to a path: ".User.Tags" for a field, "[…]" for an element of an array, a
// slice or a map, "[key]" for a map's key, "{captured}" for a closure's variable, "+24" for a word of an object of
// unknown type, nothing where the edge only follows a pointer or leads through the runtime's own objects. So the steps
// from a variable on, joined, read like Go: "main.globalCache" and ".m", "", "", "[…]", ".User.Tags".
func (g *Graph) Step(node, e uint32) string {
	kind, i := g.Kind(node)
	if g.kinds == nil || kind != ObjectNode && kind != RootNode {
		return ""
	}
	offset := g.slot(node, e) * wordBytes
	if kind == RootNode {
		root := &g.Roots[i]
		if root.Kind == snapshot.Finalizer || !g.kinds.table.valid(root.Type) {
			return ""
		}
		return g.kinds.path(root.Type, offset)
	}
	return g.kinds.step(g.typing[node].id(), offset)
}

// step is Step for a word of an object of a type.
func (o *objectTypes) step(id uint32, offset uint64) string {
	t := &o.list[id]
	switch {
	case t.kind == closure || t.kind == funcValue:
		_, path, _ := strings.Cut(strings.TrimPrefix(o.path(t.base, offset), "."), ".")
		if path != "" {
			path = "." + path
		}
		return capturedStep + path
	case t.kind > array:
		return ""
	case t.base == 0:
		return "+" + strconv.FormatUint(offset, 10)
	}
	size := o.table.get(t.base).Size
	if size == 0 {
		return ""
	}
	path := o.path(t.base, offset%size)
	if t.kind == array && !o.groups[t.base] {
		path = elementStep + path
	}
	return path
}

// maxPathBytes bounds the path in a value. A file may well have fields of very long names deep in each other, and very many
// paths lead through them: what would make one longer is left out, with all that lies deeper.
const maxPathBytes = 4096

// path is the path of the fields and elements to a word of a value.
func (o *objectTypes) path(id snapshot.TypeID, offset uint64) string {
	var text strings.Builder
	for range nesting {
		if o.groups[id] {
			id, offset = o.groupPath(&text, id, offset)
			continue
		}
		part, rest, field := o.table.component(id, offset)
		if part == 0 {
			break
		}
		switch {
		case field == nil:
			text.WriteString(elementStep)
		case o.table.pairs[id] != 0, o.table.get(id).Name == "atomic.Value":
			// The wrapped pointer has its wrapper's name.
		case text.Len()+len(field.Name) > maxPathBytes:
			text.WriteString(".…")
			return text.String()
		default:
			text.WriteByte('.')
			text.WriteString(field.Name)
		}
		id, offset = part, rest
	}
	return text.String()
}

// groupPath is path for what a map's groups hold: keys and elements, each in a slot or each in an array.
func (o *objectTypes) groupPath(text *strings.Builder, id snapshot.TypeID, offset uint64) (snapshot.TypeID, uint64) {
	for range 4 {
		part, rest, field := o.table.component(id, offset)
		if part == 0 {
			return 0, 0
		}
		id, offset = part, rest
		if field == nil {
			continue
		}
		switch field.Name {
		case "key", "elem":
		case "keys", "elems":
			id, offset, _ = o.table.component(id, offset)
		case "slots":
			continue
		default:
			return 0, 0
		}
		if field.Name[0] == 'k' {
			text.WriteString(keyStep)
		} else {
			text.WriteString(elementStep)
		}
		return id, offset
	}
	return 0, 0
}
