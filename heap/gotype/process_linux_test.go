package gotype

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/internal/testprogram"
)

// freeze runs a program until it has reported, and stops it.
func freeze(t testing.TB, path string) (layout.Process, report) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		in.Close()
		cmd.Wait()
	})
	var r report
	if err := json.NewDecoder(out).Decode(&r); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("waiting for the program to stop: %v, %v", status, err)
	}
	return describe(t, "/proc/"+strconv.Itoa(cmd.Process.Pid)), r
}

func describe(t testing.TB, dir string) layout.Process {
	t.Helper()
	open := func(name string) *os.File {
		f, err := os.Open(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	p := layout.Process{Memory: open("/mem"), Binary: open("/exe")}
	lines := bufio.NewScanner(open("/maps"))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		start, end, _ := strings.Cut(f[0], "-")
		m := layout.Mapping{Readable: f[1][0] == 'r', Writable: f[1][1] == 'w', Execute: f[1][2] == 'x'}
		for text, to := range map[string]*uint64{start: &m.Start, end: &m.End, f[2]: &m.Offset} {
			var err error
			if *to, err = strconv.ParseUint(text, 16, 64); err != nil {
				t.Fatal(err)
			}
		}
		m.Inode, _ = strconv.ParseUint(f[4], 10, 64)
		if len(f) > 5 {
			m.Path = f[5]
		}
		p.Mappings = append(p.Mappings, m)
	}
	return p
}

// way is a way of building a program.
type way struct {
	name, toolchain string
	env, args       []string
}

func ways() []way {
	list := []way{
		{name: "default"},
		{name: "stripped", args: []string{"-ldflags=-s -w"}},
	}
	if !*long {
		return list
	}
	for _, toolchain := range testprogram.Toolchains() {
		list = append(list,
			way{name: "default", toolchain: toolchain},
			way{name: "stripped", toolchain: toolchain, args: []string{"-ldflags=-s -w"}},
			way{name: "symbols", toolchain: toolchain, args: []string{"-ldflags=-w"}},
			way{name: "trimpath", toolchain: toolchain, args: []string{"-trimpath"}},
			way{name: "pie", toolchain: toolchain, args: []string{"-buildmode=pie"}},
			way{name: "stripped pie", toolchain: toolchain, args: []string{"-buildmode=pie", "-ldflags=-s -w"}},
			way{name: "race", toolchain: toolchain, env: []string{"CGO_ENABLED=1"}, args: []string{"-race"}},
			way{name: "external", toolchain: toolchain, env: []string{"CGO_ENABLED=1"}, args: []string{"-ldflags=-linkmode=external"}},
			way{name: "external pie", toolchain: toolchain, env: []string{"CGO_ENABLED=1"},
				args: []string{"-buildmode=pie", "-ldflags=-linkmode=external"}},
			way{name: "uncompressed", toolchain: toolchain, args: []string{"-ldflags=-compressdwarf=false"}},
			way{name: "unoptimised", toolchain: toolchain, args: []string{"-gcflags=all=-N -l"}},
		)
		if toolchain < "go1.26" {
			list = append(list, way{name: "old maps", toolchain: toolchain, env: []string{"GOEXPERIMENT=noswissmap"}})
		}
	}
	return list
}

// TestProcess holds the table of a stopped program against what the program says of itself.
func TestProcess(t *testing.T) {
	for _, w := range ways() {
		t.Run(strings.TrimSpace(w.toolchain+" "+w.name), func(t *testing.T) {
			path := build(t, w.toolchain, w.env, w.args...)
			process, r := freeze(t, path)
			rt, err := layout.Open(process)
			if err != nil {
				t.Fatal(err)
			}
			table, err := New(rt)
			if err != nil {
				t.Fatal(err)
			}
			checkInterfaces(t, table, &r)
			checkTypes(t, table, &r)
			if err := table.LoadAll(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkTypes(t, table, &r)
			checkInterfaces(t, table, &r)
			checkConsistent(t, table)
			debug := rt.ELF.Section(".debug_info") != nil
			checkGlobals(t, table, debug, rt.ELF.Section(".symtab") != nil)
			if debug {
				checkFrames(t, rt, table, &r)
				checkClosure(t, table, &r)
				checkDWARF(t, rt.ELF, table)
			}
			checkConsistent(t, table)
		})
	}
}

// checkFrames looks at the frames of the two goroutines that wait in main.park.
func checkFrames(t *testing.T, rt *layout.Runtime, table *Table, r *report) {
	t.Helper()
	goroutines, err := rt.Goroutines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parked := 0
	for _, g := range goroutines {
		pc, fp := g.PC, g.FP
		for depth := 0; depth < 20 && fp >= g.StackLo && fp+16 <= g.StackHi; depth++ {
			if pc > r.Parked && pc < r.Parked+0x1000 && g.StartPC != 0 && inFunction(table, r.Parked, pc) {
				parked++
				checkPark(t, rt, table, r, pc-1, fp+16)
				break
			}
			var err error
			if pc, err = rt.Uint64(fp + 8); err != nil {
				t.Fatal(err)
			}
			if fp, err = rt.Uint64(fp); err != nil {
				t.Fatal(err)
			}
		}
	}
	if parked != 2 {
		t.Errorf("%d goroutines are parked, want 2", parked)
	}
}

// inFunction reports whether no function begins between an entry and a program counter.
func inFunction(table *Table, entry, pc uint64) bool {
	for _, f := range table.dwarf.functions {
		if at := f.entry + table.bias; at > entry && at <= pc {
			return false
		}
	}
	return true
}

func checkPark(t *testing.T, rt *layout.Runtime, table *Table, r *report, pc, cfa uint64) {
	t.Helper()
	locals, err := table.Locals(r.Parked, pc)
	if err != nil {
		t.Fatal(err)
	}
	types, words := table.Types(), make(map[string]map[uint64]uint64)
	for _, l := range locals {
		if typ := types[l.Type]; l.Type == 0 || l.Start+l.Size > typ.Size {
			t.Errorf("local %+v of type %+v", l, typ)
		}
		for at := uint64(0); at+8 <= l.Size; at += 8 {
			word, err := rt.Uint64(cfa + uint64(l.Offset) + at)
			if err != nil {
				t.Fatal(err)
			}
			if words[l.Name] == nil {
				words[l.Name] = make(map[uint64]uint64)
			}
			words[l.Name][l.Start+at] = word
		}
	}
	if words["in"][0] != r.In {
		t.Errorf("parameter in is %#x, want %#x; all: %+v", words["in"][0], r.In, locals)
	}
	if users := words["users"]; users[0] == 0 || users[8] != 3 || users[16] != 4 {
		t.Errorf("local users is %#x, want 3 elements of 4; all: %+v", users, locals)
	} else if user, err := rt.Uint64(users[0] + 16); err != nil || user == 0 {
		t.Errorf("the last user is %#x, %v", user, err)
	} else if id, err := rt.Uint64(user); err != nil || id != 2 {
		t.Errorf("the last user has the ID %d, %v", id, err)
	}
	local := words["local"][0]
	if name, err := rt.Uint64(local + 8); err != nil {
		t.Errorf("local local is at %#x: %v", local, err)
	} else if text, err := rt.String(name, 5); err != nil || text != "local" {
		t.Errorf("local local is named %q, %v", text, err)
	}
}
