package retain

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/graph"
	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// measureMark in the environment makes the test program one that analyses a file and says how large its heap has become.
const measureMark = "RETAIN_TEST_MEASURE"

func roles() {
	path := os.Getenv(measureMark)
	if path == "" {
		return
	}
	grown, err := measure(context.Background(), path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(grown)
	os.Exit(0)
}

// besides is the part of MemoryBytes that is not for the heap, but for code, stacks and all else that a process is. The heap
// has as much that is not for what the file has: it grows by 4 MiB.
const besides = 16 << 20

// measure returns how many bytes of heap the process has had at once for the analysis, free or not: the runtime never gives
// address space back. The memory limit is what MemoryBytes leaves for it.
func measure(ctx context.Context, path string) (uint64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	r, err := snapshot.Open(file, info.Size())
	if err != nil {
		return 0, err
	}
	debug.SetMemoryLimit(MemoryBytes(r.Totals()) - besides)
	g, err := graph.Load(ctx, r, graph.Options{})
	if err != nil {
		return 0, err
	}
	a, err := Analyze(ctx, g, Options{})
	if err != nil {
		return 0, err
	}
	if a.ReachedObjects != a.Objects {
		return 0, fmt.Errorf("%d of %d objects are reached", a.ReachedObjects, a.Objects)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapSys, nil
}

// TestMemoryBytes: an analysis keeps within what was said before it, whatever the graph is like.
func TestMemoryBytes(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(io.Writer) error{
		"usual":      func(w io.Writer) error { return heaptest.WriteSessions(w, 20_000) },
		"list":       func(w io.Writer) error { return heaptest.WriteList(w, 200_000) },
		"dense":      func(w io.Writer) error { return heaptest.WriteDense(w, 100_000, 20) },
		"very dense": func(w io.Writer) error { return heaptest.WriteDense(w, 10_000, 100) },
		"goroutines": func(w io.Writer) error { return writeGoroutines(w, 20_000) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "snapshot")
			file, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if err := write(file); err != nil {
				t.Fatal(err)
			}
			info, err := file.Stat()
			if err != nil {
				t.Fatal(err)
			}
			r, err := snapshot.Open(file, info.Size())
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), measureMark+"="+path)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			taken, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if need := MemoryBytes(r.Totals()) - besides; taken > need {
				t.Errorf("%d objects with %d pointers: %d bytes of heap, want %d at most", r.Totals().Objects, r.Totals().Edges, taken, need)
			} else {
				t.Logf("%d of %d bytes", taken, need)
			}
		})
	}
}

// writeGoroutines writes n goroutines that hold two objects each, every second one in a variable of its own, too.
func writeGoroutines(out io.Writer, n int) error {
	b := heaptest.New()
	node := b.Struct("main.Node", heaptest.F("Next", b.Ptr("main.Node")), heaptest.F("Value", b.Int()))
	for i := range n {
		g := b.Goroutine("chan receive", b.Function("main.main", "main.go", 5), b.Frame("main.work", 20), b.Frame("main.main", 9))
		one, two := b.Object(node), b.Object(node)
		b.Field(one, "Next", two)
		g.Local(0, "node", b.Ptr("main.Node")).Set("", one)
		g.Local(1, "other", b.Ptr("main.Node")).Set("", two)
		if i%2 == 0 {
			b.Global(fmt.Sprintf("main.global%d", i), b.Ptr("main.Node")).Set("", one)
		}
	}
	_, err := out.Write(b.Build().Data)
	return err
}
