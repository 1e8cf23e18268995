package retain

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strings"

	"github.com/memwarden/memwarden/heap/snapshot"
)

const (
	// pathSample is how many members of a group are asked for their paths.
	pathSample = 256
	// consumers is how many types are told within a suspect.
	consumers = 5
)

// describer makes suspects of groups.
type describer struct {
	h      *heap
	census *census
	shared *sharing
}

func (d *describer) suspect(g group) Suspect {
	h := d.h
	s := Suspect{
		Type: h.types.names[g.number], Count: g.count, RetainedBytes: g.retained, Share: h.share(g.retained), Consumers: []Type{},
		Path: []string{}, AllocStack: []string{},
	}
	for p := range g.members() {
		d.census.add(h, p)
	}
	types := d.census.take(h)
	if h.types.role[g.number] == content {
		// Objects of the type within others of it count, too: all elements of a list.
		if i := slices.IndexFunc(types, func(t Type) bool { return t.number == g.number }); i >= 0 {
			s.Count = max(s.Count, types[i].Count)
		}
	}
	if g.number == noType {
		s.Type = d.nodeType(g)
	}
	s.Consumers = append(s.Consumers, types[:min(consumers, len(types))]...)
	kind := d.paths(&s, g)
	d.allocated(&s, g)
	var shared string
	s.Holders, shared = d.shared.holders(g)
	s.Signature = signature(kind, s.Path, s.Type)
	s.Sentence = d.sentence(&s, g, shared)
	return s
}

// nodeType is what is held where that is no object: of a variable, its type; of a finalizer, that of the object it is for.
func (d *describer) nodeType(g group) string {
	h := d.h
	if g.label != nil && g.label.kind == goroutineKind {
		return goroutineKind
	}
	for p := range g.members() {
		node := h.node[p]
		if i := int(node) - int(h.g.Objects()); i >= 0 && i < len(h.g.Roots) && h.g.Roots[i].Kind == snapshot.Finalizer {
			node = uint32(h.g.Roots[i].Object)
		}
		if name := h.typeName(node); name != "" {
			return name
		}
		break
	}
	return unknownType
}

// paths fills in the path to most of a sample of the group, and returns the kind of its root.
func (d *describer) paths(s *Suspect, g group) (kind string) {
	sampled := evenly(g, pathSample)
	if g.label != nil && g.number == noType {
		s.Path, s.PathShare = []string{g.label.short()}, 1
		return g.label.kind
	}
	merged := d.h.merged(sampled)
	if len(merged) == 0 {
		return ""
	}
	total := uint64(0)
	for _, path := range merged {
		total += path.Count
	}
	s.Path, s.PathShare = merged[0].Steps, ratio(merged[0].Count, total)
	for _, label := range d.h.labels.list {
		if label.short() == s.Path[0] {
			return label.kind
		}
	}
	return ""
}

// evenly picks members of a group, one from each stretch of the same length. Which of the stretch differs from one to the
// next, because the members may come in a rhythm of their own.
func evenly(g group, most uint64) []place {
	stretch, i := max(1, (g.count+most-1)/most), uint64(0)
	var list []place
	for p := range g.members() {
		if i%stretch == i/stretch*0x9E3779B97F4A7C15>>32%stretch {
			list = append(list, p)
		}
		i++
	}
	if len(list) == 0 {
		for p := range g.members() {
			return []place{p}
		}
	}
	return list
}

// allocated fills in where the members were allocated; if none of them was sampled, where what they hold was.
func (d *describer) allocated(s *Suspect, g group) {
	h := d.h
	var members, below []sample
	rest := h.samples
	for p := range g.members() {
		skip, _ := slices.BinarySearchFunc(rest, p, func(s sample, p place) int { return int(s.place) - int(p) })
		for rest = rest[skip:]; len(rest) > 0 && rest[0].place < h.end[p]; rest = rest[1:] {
			below = append(below, rest[0])
			if h.typ(rest[0].place) == g.number {
				members = append(members, rest[0])
			}
		}
		if len(rest) == 0 {
			break
		}
	}
	if len(members) == 0 {
		members = below
	}
	if list := h.allocations(members); len(list) > 0 {
		s.AllocStack, s.AllocShare = list[0].Stack, list[0].Share
	}
}

// withoutOffset leaves out what differs from build to build in the name of an unnamed word of a segment: its "+0x1f40".
func withoutOffset(step string) string {
	parts := strings.Split(step, "+0x")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.TrimLeft(parts[i], "0123456789abcdef")
	}
	return strings.Join(parts, "")
}

// signature is made of names alone. An index or a number of goroutines is not part of them.
func signature(kind string, path []string, of string) string {
	hash := sha256.New()
	write := func(text string) { _, _ = io.WriteString(hash, text+"\x00") }
	write(kind)
	for _, step := range path {
		write(withoutOffset(step))
	}
	write(of)
	return hex.EncodeToString(hash.Sum(nil)[:8])
}
