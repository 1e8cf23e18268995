package heaptest

import "github.com/memwarden/memwarden/heap/snapshot"

// Root is a root of a Builder.
type Root struct {
	b      *Builder
	root   snapshot.Root // without edges
	object Object        // that it is attached to, if attached
	memory memory

	attached bool
}

// Root adds a root of a kind with a name and the type of the variable, 0 if it is not known.
func (b *Builder) Root(kind snapshot.RootKind, name string, t snapshot.TypeID) *Root {
	r := &Root{b: b, root: snapshot.Root{Kind: kind, Name: name, Type: t}}
	b.roots = append(b.roots, r)
	return r
}

// Global adds a package-level variable.
func (b *Builder) Global(name string, t snapshot.TypeID) *Root {
	return b.Root(snapshot.Global, name, t)
}

// Finalizer sets a finalizer on an object. function is the closure that it calls, if that is in the heap.
func (b *Builder) Finalizer(o Object, function ...Target) *Root {
	return b.attach(snapshot.Finalizer, "finalizer", o, function)
}

// Cleanup attaches a cleanup to an object. kept are its closure and argument, if they are in the heap.
func (b *Builder) Cleanup(o Object, kept ...Target) *Root {
	return b.attach(snapshot.Cleanup, "cleanup", o, kept)
}

func (b *Builder) attach(kind snapshot.RootKind, name string, o Object, kept []Target) *Root {
	r := b.Root(kind, name, 0)
	r.object, r.attached = o, true
	for i, to := range kept {
		r.Word(uint64(i), to)
	}
	return r
}

// Set lets what stands at a path of the variable point to an object, as Builder.Field does.
func (r *Root) Set(path string, to Target) *Root {
	t, at := r.b.walk(r.root.Type, path, 0)
	r.memory.set(&r.b.types[t], at, to.ref())
	return r
}

// Word lets a word of an unknown type point to an object.
func (r *Root) Word(word uint64, to Target) *Root {
	r.memory.set(&snapshot.Type{Kind: snapshot.UnsafePointer, PtrBytes: wordBytes}, word*wordBytes, to.ref())
	return r
}

// Conservative marks the root's words as what only looks like pointers.
func (r *Root) Conservative() *Root {
	r.root.Conservative = true
	return r
}

// Goroutine is a goroutine of a Builder.
type Goroutine struct {
	b *Builder
	n uint32
}

// Goroutine adds a goroutine with a state such as "chan receive" and its frames, innermost first.
func (b *Builder) Goroutine(state string, createdBy snapshot.FuncID, frames ...snapshot.Frame) Goroutine {
	b.goroutines = append(b.goroutines, snapshot.Goroutine{
		ID: uint64(len(b.goroutines) + 1), State: state, CreatedBy: createdBy, Frames: frames,
	})
	return Goroutine{b, uint32(len(b.goroutines))}
}

// Local adds a variable in a frame of the goroutine's stack.
func (g Goroutine) Local(frame uint32, name string, t snapshot.TypeID) *Root {
	r := g.b.Root(snapshot.StackRoot, name, t)
	r.root.Goroutine, r.root.Frame = g.n, frame
	return r
}

// Root adds a root of a kind that belongs to the goroutine: snapshot.Register, snapshot.Deferred.
func (g Goroutine) Root(kind snapshot.RootKind, name string, t snapshot.TypeID) *Root {
	r := g.b.Root(kind, name, t)
	r.root.Goroutine = g.n
	return r
}

// Function adds a function, once for each name.
func (b *Builder) Function(name, file string, line uint32) snapshot.FuncID {
	if id, known := b.byFunction[name]; known {
		return id
	}
	b.functions = append(b.functions, snapshot.Function{Name: name, File: file, Line: line})
	id := snapshot.FuncID(len(b.functions))
	b.byFunction[name] = id
	return id
}

// Frame is a call at a line of a function, which is added with the file "main.go" if it is not there yet.
func (b *Builder) Frame(function string, line uint32) snapshot.Frame {
	return snapshot.Frame{Func: b.Function(function, "main.go", 1), Line: line}
}

// Weak adds a weak pointer.
func (b *Builder) Weak(o Object) { b.weak = append(b.weak, o) }

// Sampled tells where an object was allocated, innermost frame first.
func (b *Builder) Sampled(o Object, frames ...snapshot.Frame) {
	b.stacks = append(b.stacks, snapshot.Stack{Frames: frames})
	b.sampled = append(b.sampled, sampled{object: o, stack: snapshot.StackID(len(b.stacks))})
}

// Allocated tells where an object was allocated, and which type the code there asked for.
func (b *Builder) Allocated(o Object, t snapshot.TypeID, frames ...snapshot.Frame) {
	b.Sampled(o, frames...)
	b.sampled[len(b.sampled)-1].typ = t
}

type sampled struct {
	object Object
	stack  snapshot.StackID
	typ    snapshot.TypeID
}
