package graph

import (
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
)

func TestPins(t *testing.T) {
	b := heaptest.New()
	record := b.Struct("main.Record", heaptest.F("Name", b.String()), heaptest.F("Data", b.Slice(b.Int())))
	records := b.Values(record, 20)
	for i := range 20 {
		text := b.Bytes(65536)
		b.Field(records, "["+itoa(i)+"].Name", text.Text(uint64(i)*100, 16))
		numbers := b.Values(b.Int(), 1000)
		b.Field(records, "["+itoa(i)+"].Data", numbers.Slice(80, 10, 990))
	}
	b.Global("main.records", b.Slice(record)).Set("", records.Slice(0, 20, 20))

	union := b.Bytes(1000)
	b.Global("main.left", b.String()).Set("", union.Text(0, 100))
	b.Global("main.middle", b.String()).Set("", union.Text(50, 100))
	b.Global("main.right", b.String()).Set("", union.Text(300, 10))
	used, shared, dead := b.Bytes(1000), b.Bytes(1000), b.Bytes(1000)
	b.Global("main.used", b.String()).Set("", used.Text(0, 900))
	b.Global("main.part", b.String()).Set("", shared.Text(0, 10))
	b.Global("main.whole", b.PtrTo(b.Byte())).Set("", shared)
	b.Field(b.Object(record), "Name", dead.Text(0, 1))
	g := loadFile(t, b.Build())

	want := []Pin{
		{Holder: "main.Record.Name", Objects: 20, Bytes: 20 * 65536, Used: 20 * 16},
		{Holder: "main.Record.Data", Objects: 20, Bytes: 20 * 8192, Used: 20 * 80},
		{Holder: "main.left", Objects: 1, Bytes: 1024, Used: 160},
	}
	targets := []string{"string", "[]int", "string"}
	pins := g.Pins()
	if len(pins) != len(want) {
		t.Fatalf("%d pins, want %d: %+v", len(pins), len(want), pins)
	}
	for i, got := range pins {
		if name := g.TypeName(got.Target); name != targets[i] {
			t.Errorf("pin %d is of %q, want %q", i, name, targets[i])
		}
		if g.Size(g.Edge(got.Node, got.Edge).Target) < 1000 {
			t.Errorf("pin %d has a strange example", i)
		}
		got.Target, got.Node, got.Edge = 0, 0, 0
		if got != want[i] {
			t.Errorf("pin %d is %+v, want %+v", i, got, want[i])
		}
	}
}
