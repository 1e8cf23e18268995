package gotype

import (
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"strings"

	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/sorting"
)

// Variable is a package variable, or what one points to in the data segments.
type Variable struct {
	// Name has the import path of the package: "main.cache", "net/http.DefaultServeMux". What a variable points to
	// in the data segments has no name of its own and takes the path to it, as Go would write it:
	// "main.config.Routes" for what the field Routes of main.config, or of what main.config points to, points to.
	Name string
	Type snapshot.TypeID // 0: unknown
	Addr uint64          // in the process
	Size uint64          // bytes; never 0
}

// Globals returns the package variables, by address: with their types from the debug information; without it from the
// symbol table, names and sizes alone; without both none. What typed variables point to in the data segments, as in
// "var cache = &Cache{}", follows from the process's memory, or from the copy that LoadAll makes, and is among them. No
// two of them overlap.
func (t *Table) Globals(ctx context.Context) ([]Variable, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, err := t.debugInfo()
	if errors.Is(err, errNoData) {
		return t.symbolVariables()
	}
	if err != nil {
		return nil, fmt.Errorf("package variables: %w", err)
	}
	var found []Variable
	for i, v := range d.variables {
		if i%256 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		addr := v.addr + t.bias
		if !t.inData(addr) {
			continue
		}
		id, err := t.debugType(d, v.typ)
		if err != nil {
			return nil, fmt.Errorf("package variable %s: %w", v.name, err)
		}
		found = append(found, Variable{Name: unescape(v.name), Type: id, Addr: addr, Size: t.types[id].Size})
	}
	return t.withPointees(ctx, disjoint(found))
}

// disjoint orders variables by address and leaves out those that are empty or begin within one before, of two that
// begin at one address the smaller.
func disjoint(vs []Variable) []Variable {
	sorting.StableBy(vs, func(a, b Variable) int {
		return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(b.Size, a.Size))
	})
	kept, end := vs[:0], uint64(0)
	for _, v := range vs {
		if v.Size == 0 || v.Addr < end || v.Addr+v.Size < v.Addr {
			continue
		}
		end = v.Addr + v.Size
		kept = append(kept, v)
	}
	return kept
}

// inData reports whether an address lies in the data of a module.
func (t *Table) inData(addr uint64) bool {
	for i := range t.modules {
		m := &t.modules[i]
		if m.data.Contains(addr) || m.bss.Contains(addr) || m.noPtrData.Contains(addr) || m.noPtrBSS.Contains(addr) {
			return true
		}
	}
	return false
}

// symbolVariables are the data objects of the symbol table.
func (t *Table) symbolVariables() ([]Variable, error) {
	if t.binary == nil || t.binary.SectionByType(elf.SHT_SYMTAB) == nil {
		return nil, nil
	}
	symbols, err := t.binary.Symbols()
	if err != nil {
		return nil, fmt.Errorf("package variables: %w", err)
	}
	var found []Variable
	for _, s := range symbols {
		addr := s.Value + t.bias
		if elf.ST_TYPE(s.Info) == elf.STT_OBJECT && s.Size > 0 && t.inData(addr) && !strings.HasPrefix(s.Name, "go:") {
			found = append(found, Variable{Name: unescape(s.Name), Addr: addr, Size: s.Size})
		}
	}
	return disjoint(found), nil
}
