package retain

import (
	"cmp"
	"slices"
	"strings"

	"github.com/memwarden/memwarden/heap/graph"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// kindNames are what the kinds of roots are called in an Analysis.
var kindNames = [...]string{
	snapshot.OtherRoot: "other", snapshot.Global: "global", snapshot.StackRoot: "stack", snapshot.Register: "register",
	snapshot.Finalizer: "finalizer", snapshot.Cleanup: "cleanup", snapshot.Queued: "queued", snapshot.Deferred: "deferred",
}

// label is what a root or a group of goroutines is called. Roots of the same kind and name share one.
type label struct {
	kind, name   string
	conservative bool
	// function, state and createdBy are those of goroutines.
	function, state, createdBy string
}

const goroutineKind = "goroutine"

// short is the name as it stands in paths and sentences.
func (l *label) short() string {
	if rest, ok := strings.CutPrefix(l.name, goroutineKind+" "); ok {
		return goroutineKind + " " + short(rest)
	}
	return short(l.name)
}

// labels names the roots and groups the goroutines.
type labels struct {
	g          *graph.Graph
	list       []label
	ids        map[label]uint32
	roots      []uint32 // root -> label
	goroutines []uint32 // goroutine -> label
	bytes      int      // of the names in list
}

// maxNames bounds the bytes of all names: those of some 200,000 variables on stacks. A file may well have one function of a
// very long name, and very many variables in it. Beyond the bound a root is known by its own name, and by its kind without one.
const maxNames = 16 << 20

func newLabels(g *graph.Graph) *labels {
	l := &labels{
		g: g, ids: make(map[label]uint32),
		roots: make([]uint32, len(g.Roots)), goroutines: make([]uint32, len(g.Goroutines)),
	}
	for i := range g.Roots {
		l.roots[i] = l.id(l.root(&g.Roots[i]))
	}
	for i := range g.Goroutines {
		l.goroutines[i] = l.id(l.goroutine(&g.Goroutines[i]))
	}
	return l
}

func (l *labels) id(of label) uint32 {
	id, known := l.ids[of]
	if !known {
		id = uint32(len(l.list))
		l.list = append(l.list, of)
		l.bytes += len(of.name)
		l.ids[of] = id
	}
	return id
}

// of returns the number of the label of a root's or a goroutine's node.
func (l *labels) of(node uint32) (id uint32, ok bool) {
	switch kind, i := l.g.Kind(node); kind {
	case graph.RootNode:
		return l.roots[i], true
	case graph.GoroutineNode:
		return l.goroutines[i], true
	default:
		return 0, false
	}
}

// root names a root: a global by its name, a variable on a stack as "main.serve:request".
func (l *labels) root(r *snapshot.Root) label {
	kind := r.Kind
	if int(kind) >= len(kindNames) {
		kind = snapshot.OtherRoot
	}
	made := label{kind: kindNames[kind], name: r.Name, conservative: r.Conservative}
	if l.bytes > maxNames {
		kind = snapshot.OtherRoot // nothing is put together
	}
	switch kind {
	case snapshot.StackRoot, snapshot.Deferred, snapshot.Register:
		function := l.frame(r)
		switch {
		case function == "" || strings.Contains(r.Name, function):
		case r.Name == "":
			made.name = made.kind + " of " + function
		case kind == snapshot.StackRoot:
			made.name = function + ":" + r.Name
		default:
			made.name = r.Name + " of " + function
		}
	case snapshot.Finalizer, snapshot.Cleanup:
		if uint32(r.Object) < l.g.Objects() {
			id, _ := l.g.Type(uint32(r.Object))
			if name := l.g.TypeName(id); name != "" {
				made.name = made.kind + " of " + name
			}
		}
	}
	if made.name == "" {
		made.name = made.kind
	}
	return made
}

// frame is the function of the frame that a root is in.
func (l *labels) frame(r *snapshot.Root) string {
	if r.Goroutine == 0 || int(r.Goroutine) > len(l.g.Goroutines) {
		return ""
	}
	frames := l.g.Goroutines[r.Goroutine-1].Frames
	if int(r.Frame) >= len(frames) {
		return ""
	}
	return l.function(frames[r.Frame].Func)
}

func (l *labels) function(id snapshot.FuncID) string {
	if int(id) >= len(l.g.Functions) {
		return ""
	}
	return l.g.Functions[id].Name
}

// goroutine names a goroutine by the innermost function that is not of the standard library; if all are, by the one
// that it began with.
func (l *labels) goroutine(of *snapshot.Goroutine) label {
	made := label{kind: goroutineKind, state: of.State, createdBy: l.function(of.CreatedBy)}
	for _, frame := range of.Frames {
		name := l.function(frame.Func)
		if name == "" || name == "runtime.goexit" {
			continue
		}
		made.function = name
		if !standard(name) {
			break
		}
	}
	if made.function == "" {
		made.function = "unknown function"
	}
	made.name = goroutineKind
	if l.bytes <= maxNames {
		made.name += " " + made.function
	}
	return made
}

// classes of roots by how much a path from them explains.
const (
	lasting   = iota // variables that live as long as the program
	passing          // variables on stacks
	keeping          // what holds objects for the runtime's sake, or may be no pointer at all
	classKind        // how many there are
)

// seeds returns the nodes of the roots by class. Within a class they are in the order of their names, so that which of
// several shortest paths is found depends on names alone, and not on addresses.
func (l *labels) seeds() [][]uint32 {
	classes := make([][]uint32, classKind)
	for i := range l.g.Roots {
		class := l.class(&l.g.Roots[i])
		classes[class] = append(classes[class], uint32(i))
	}
	for _, class := range classes {
		slices.SortStableFunc(class, func(a, b uint32) int {
			x, y := &l.list[l.roots[a]], &l.list[l.roots[b]]
			return cmp.Or(strings.Compare(x.kind, y.kind), strings.Compare(x.name, y.name))
		})
		for i, root := range class {
			class[i] = l.g.RootNode(int(root))
		}
	}
	return classes
}

func (l *labels) class(r *snapshot.Root) int {
	switch {
	case r.Conservative || r.Kind == snapshot.Register || r.Kind == snapshot.Finalizer || r.Kind == snapshot.Cleanup:
		return keeping
	case r.Kind == snapshot.Global && strings.HasPrefix(r.Name, "runtime."):
		return keeping
	case r.Kind == snapshot.Global:
		return lasting
	}
	switch frame := l.frame(r); {
	case frame == "main.main":
		return lasting
	case strings.HasPrefix(frame, "runtime."):
		return keeping
	default:
		return passing
	}
}

// standard reports whether a function, by its full name, is of the standard library: the first part of its package's
// import path is the name of a directory there. Paths of modules begin with a host name, and commands are in main.
func standard(function string) bool {
	first, _, _ := strings.Cut(function, "/")
	if first == function {
		first, _, _ = strings.Cut(function, ".")
	}
	switch first {
	case "archive", "bufio", "bytes", "cmp", "compress", "container", "context", "crypto", "database", "debug", "embed",
		"encoding", "errors", "expvar", "flag", "fmt", "go", "hash", "html", "image", "index", "internal", "io", "iter",
		"log", "maps", "math", "mime", "net", "os", "path", "plugin", "reflect", "regexp", "runtime", "slices", "sort",
		"strconv", "strings", "structs", "sync", "syscall", "testing", "text", "time", "unicode", "unique", "unsafe",
		"vendor", "weak":
		return true
	}
	return false
}
