package retain

import (
	"fmt"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/graph"
	"github.com/memwarden/memwarden/heap/heaptest"
)

// TestNamesAreBounded: a file that has a long name once and short ones often does not get one long name for each.
func TestNamesAreBounded(t *testing.T) {
	const long, many = 1 << 20, 40
	b := heaptest.New()
	node := b.Struct("main.Node", heaptest.F("Value", b.Int()))
	function := "main." + strings.Repeat("f", long)
	for i := range many {
		g := b.Goroutine(fmt.Sprintf("state %d", i), 0, b.Frame(function, 1))
		g.Local(0, fmt.Sprintf("variable%d", i), b.PtrTo(node)).Set("", b.Object(node))
	}
	r, err := b.Build().Reader()
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.Load(t.Context(), r, graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := newLabels(g)
	bytes, named := 0, 0
	for _, label := range l.list {
		bytes += len(label.name)
		if strings.HasPrefix(label.name, function+":variable") {
			named++
		}
	}
	if bytes > maxNames+long+100*many || named < maxNames/long || len(l.list) != 2*many {
		t.Errorf("%d labels have names of %d bytes, %d of them with their function", len(l.list), bytes, named)
	}
	if last := l.list[2*many-1]; last.name != goroutineKind || last.state != fmt.Sprintf("state %d", many-1) {
		t.Errorf("the last goroutine is called %.40q", last.name)
	}
	a, err := Analyze(t.Context(), g, Options{})
	if err != nil || len(a.Goroutines) != many || len(a.Roots) != many {
		t.Errorf("%d goroutines, %d roots, %v", len(a.Goroutines), len(a.Roots), err)
	}
}
