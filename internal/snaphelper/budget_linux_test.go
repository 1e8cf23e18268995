package snaphelper

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"syscall"
	"testing"
)

// TestBudgetIsKept: a helper that comes to take more than it may says so and ends, whatever it is at; one that does not
// goes on, and nothing is answered after the last answer.
func TestBudgetIsKept(t *testing.T) {
	const budget = 100 << 20
	taken, code := int64(budget), 0
	h := helper{exit: func(c int) { code = c }, taken: func() int64 { taken++; return taken }}
	var written bytes.Buffer
	s := sender{to: json.NewEncoder(&written)}
	h.keepBudget(budget+2, nil, func(a answer) error { return s.send(a, true) })
	got, err := readAnswer(&written, nil)
	if err != nil || code != 1 || taken != budget+3 {
		t.Fatalf("%+v, %v, code %d, %d bytes", got, err, code, taken)
	}
	if err := got.err(); !errors.Is(err, ErrBudget) || !strings.Contains(err.Error(), "100.0 MiB by now and may use 100.0 MiB") {
		t.Error(err)
	}
	if err := s.send(answer{}, true); err == nil || written.Len() > 0 {
		t.Errorf("%v, %q is answered after the end", err, &written)
	}
	code = 0
	if h.keepBudget(0, nil, func(a answer) error { return s.send(a, true) }); code != 0 {
		t.Error("a helper that has answered is ended")
	}
	finished := make(chan struct{})
	close(finished)
	if h.keepBudget(budget<<1, finished, nil); code != 0 {
		t.Error("a helper that keeps to it is ended")
	}
	before := ownMemory()
	block, err := syscall.Mmap(-1, 0, 32<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	for i := range block {
		block[i] = 1
	}
	if grown := ownMemory() - before; grown < 24<<20 || grown > 48<<20 {
		t.Errorf("32 MiB more are told as %d bytes", grown)
	}
	if err := syscall.Munmap(block); err != nil {
		t.Error(err)
	}
}
