package retain

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
)

// TestHeld: objects are found by where they are, with what holds them.
func TestHeld(t *testing.T) {
	b := heaptest.New()
	sessionType(b)
	buffer := b.Struct("main.Buffer", heaptest.F("Data", b.Array(100, b.Int())), heaptest.F("Next", b.Ptr("main.Buffer")))
	of := b.Map(b.Int(), b.PtrTo(b.Named("main.Session")))
	table := b.NewMap(of, 10)
	inMap := make([]heaptest.Object, 10)
	for i := range inMap {
		inMap[i] = session(b, i)
		table.Elem(uint64(i), "", inMap[i])
	}
	one, garbage := session(b, 11), session(b, 12)
	first, second := b.Object(buffer), b.Object(buffer)
	b.Field(first, "Next", second)
	b.Global("main.table", of).Set("", table)
	b.Global("main.last", b.PtrTo(b.Named("main.Session"))).Set("", one)
	b.Global("main.buffers", b.PtrTo(buffer)).Set("", first)
	file := b.Build()
	a := analyze(t, file, Options{})
	at := func(o heaptest.Object) uint64 { return a.heap.g.Addr(uint32(file.ID(o))) }

	addresses := []uint64{at(one), at(garbage), 0, math.MaxUint64}
	for _, o := range inMap {
		addresses = append(addresses, at(o))
	}
	held, err := a.Held(addresses)
	if err != nil {
		t.Fatal(err)
	}
	if held.Found != 12 || held.Reached != 11 || held.Objects != 11 || held.Inner != 0 || held.Type != "main.Session" || held.RetainedBytes < 11*48 {
		t.Errorf("%+v", held)
	}
	if len(held.Paths) != 2 || held.Paths[0].String() != "main.table[…]" || held.Paths[0].Count != 10 || held.Paths[1].String() != "main.last" {
		t.Errorf("%+v", held.Paths)
	}

	const header = 8 // of objects with pointers of more than 512 bytes
	list, err := a.Held([]uint64{at(second) + header, at(first) + header + 400, at(first) + header})
	if err != nil {
		t.Fatal(err)
	}
	if list.Objects != 2 || list.Reached != 3 || list.Inner != 1 || list.Type != "main.Buffer" || list.RetainedBytes != 2*file.Size(first) {
		t.Errorf("what one retains counts twice, or a field is no part: %+v", list)
	}
	if text := list.Paths[0].String() + " " + list.Paths[1].String(); !strings.Contains(text, "main.buffers.Next") {
		t.Errorf("%+v", list.Paths)
	}

	none, err := a.Held(nil)
	if err != nil || none.Found != 0 || none.Paths == nil || none.Type != "" {
		t.Errorf("%+v, %v", none, err)
	}
	if text, err := json.Marshal(held); err != nil || !strings.Contains(string(text), `"retained_bytes"`) {
		t.Errorf("%s, %v", text, err)
	}
	if _, err := decoded(t, a).Held(addresses); !errors.Is(err, ErrNoGraph) {
		t.Errorf("without a graph: %v", err)
	}
}
