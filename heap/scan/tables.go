package scan

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/memwarden/memwarden/heap/functab"
	"github.com/memwarden/memwarden/heap/gotype"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// functions numbers the functions that a snapshot names. It is safe for concurrent use.
type functions struct {
	table *functab.Table

	mu      sync.Mutex
	byName  map[snapshot.Function]snapshot.FuncID
	byEntry map[uint64]snapshot.FuncID
	all     []snapshot.Function // from 1 on
}

func newFunctions(table *functab.Table) *functions {
	return &functions{
		table: table, all: make([]snapshot.Function, 1),
		byName: make(map[snapshot.Function]snapshot.FuncID), byEntry: make(map[uint64]snapshot.FuncID),
	}
}

// entry returns the function that begins at an address, 0 if none does. It waits for its turn to number one.
func (f *functions) entry(pc uint64, turn func()) snapshot.FuncID {
	if !f.table.IsEntry(pc) {
		return 0
	}
	f.mu.Lock()
	id, known := f.byEntry[pc]
	f.mu.Unlock()
	if known {
		return id
	}
	turn()
	id = f.containing(pc)
	f.mu.Lock()
	f.byEntry[pc] = id
	f.mu.Unlock()
	return id
}

// containing returns the function that an address lies in, 0 if none.
func (f *functions) containing(pc uint64) snapshot.FuncID {
	found, ok := f.table.Find(pc)
	if !ok {
		return 0
	}
	return f.intern(snapshot.Function{Name: found.Name, File: found.File, Line: found.StartLine})
}

func (f *functions) intern(function snapshot.Function) snapshot.FuncID {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, known := f.byName[function]
	if !known {
		id = snapshot.FuncID(len(f.all))
		f.all = append(f.all, function)
		f.byName[function] = id
	}
	return id
}

// closures gives the functions whose closures were met the types of these, as far as debug information knows them, and
// returns the types that are not in the table yet. It reads the executable alone.
func (f *functions) closures(types *gotype.Table) ([]snapshot.Type, error) {
	var made []snapshot.Type
	var problems []error
	for _, entry := range slices.Sorted(maps.Keys(f.byEntry)) {
		captured, err := types.Captured(entry)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		function := &f.all[f.byEntry[entry]]
		if len(captured) == 0 || function.Closure != 0 {
			continue
		}
		made = append(made, closureType("func "+function.Name, captured))
		function.Closure = snapshot.TypeID(len(made)) // counted from the table's end, until that is known
	}
	end := types.Types()
	for i := range f.all {
		if f.all[i].Closure != 0 {
			f.all[i].Closure += snapshot.TypeID(len(end) - 1)
		}
	}
	return slices.Concat(end[1:], made), errors.Join(problems...)
}

// closureType is the struct of a function's entry and what it captures. The variables' own types say where the pointers
// are.
func closureType(name string, captured []gotype.Local) snapshot.Type {
	t := snapshot.Type{Name: name, Kind: snapshot.Struct, Size: wordSize, DebugOnly: true}
	for _, variable := range captured {
		t.Fields = append(t.Fields, snapshot.Field{Name: variable.Name, Type: variable.Type, Offset: uint64(variable.Offset)})
		t.Size = max(t.Size, uint64(variable.Offset)+variable.Size)
	}
	t.PtrBytes = t.Size
	return t
}

// frames appends the logical frames at a program counter, inlined calls expanded, innermost first.
func (f *functions) frames(to []snapshot.Frame, pc uint64) []snapshot.Frame {
	f.table.Frames(pc, func(name, file string, start, line uint32) {
		to = append(to, snapshot.Frame{Func: f.intern(snapshot.Function{Name: name, File: file, Line: start}), Line: line})
	})
	return to
}

// stacks numbers the allocation stacks.
type stacks struct {
	functions *functions
	byPCs     map[string]snapshot.StackID
	all       []snapshot.Stack // from 1 on
}

func newStacks(f *functions) *stacks {
	return &stacks{functions: f, byPCs: make(map[string]snapshot.StackID), all: make([]snapshot.Stack, 1)}
}

// id returns the number of a stack of return addresses, innermost first.
func (s *stacks) id(pcs []uint64) snapshot.StackID {
	key := make([]byte, 0, len(pcs)*8)
	for _, pc := range pcs {
		key = binary.LittleEndian.AppendUint64(key, pc)
	}
	if id, known := s.byPCs[string(key)]; known {
		return id
	}
	var stack snapshot.Stack
	for _, pc := range pcs {
		// A return address lies behind its call, maybe in the next line. Inlined calls have addresses of their own.
		if frames := s.functions.frames(nil, pc-1); len(frames) > 0 {
			stack.Frames = append(stack.Frames, frames[0])
		}
	}
	id := snapshot.StackID(len(s.all))
	s.all = append(s.all, stack)
	s.byPCs[string(key)] = id
	return id
}

// shapes numbers what the heap says of the pointers in objects. It is safe for concurrent use; workers keep what they
// have met in caches of their own.
type shapes struct {
	mu     sync.Mutex
	byMask map[uint64]snapshot.ShapeID
	byType map[snapshot.TypeID]snapshot.ShapeID
	all    []snapshot.Shape // from 1 on
}

func newShapes() *shapes {
	return &shapes{
		all: make([]snapshot.Shape, 1), byMask: make(map[uint64]snapshot.ShapeID), byType: make(map[snapshot.TypeID]snapshot.ShapeID),
	}
}

// mask returns the shape of small objects with these pointer words, which are some. It waits for its turn to number one.
func (s *shapes) mask(mask uint64, turn func()) snapshot.ShapeID {
	s.mu.Lock()
	id, known := s.byMask[mask]
	s.mu.Unlock()
	if known {
		return id
	}
	turn()
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, known = s.byMask[mask]; !known {
		id = snapshot.ShapeID(len(s.all))
		s.all = append(s.all, snapshot.Shape{Mask: []uint64{mask}})
		s.byMask[mask] = id
	}
	return id
}

// typed returns the shape of objects that the runtime recorded a type for.
func (s *shapes) typed(t snapshot.TypeID) snapshot.ShapeID {
	if t == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id, known := s.byType[t]
	if !known {
		id = snapshot.ShapeID(len(s.all))
		s.all = append(s.all, snapshot.Shape{Type: t})
		s.byType[t] = id
	}
	return id
}
