//go:build linux

package heapzoo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memwarden/memwarden/heap/graph"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// load is what works a program while snapshots of it are taken.
type load struct {
	rounds  atomic.Uint64 // all its clients together
	stop    context.CancelFunc
	clients sync.WaitGroup
	begun   sync.WaitGroup // until each client has done a round: until then the program may not have taken its connection
	errs    chan error
}

// end stops the load.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.clients.Wait()
	close(l.errs)
	for err := range l.errs {
		t.Error(err)
	}
}

// add starts a client that does rounds until the load ends.
func (l *load) add(ctx context.Context, round func(i int) error) {
	l.begun.Add(1)
	l.clients.Go(func() {
		begun := sync.OnceFunc(l.begun.Done)
		defer begun()
		for i := 0; ctx.Err() == nil; i++ {
			if err := round(i); err != nil {
				l.errs <- fmt.Errorf("round %d of the load: %w", i, err)
				return
			}
			l.rounds.Add(1)
			begun()
		}
	})
}

// loadNATS publishes and has messages kept on two connections, and on a third subscribes and unsubscribes: there are never
// more than churned of these.
func loadNATS(t *testing.T, s *stranger) *load {
	t.Helper()
	const churned = 10_000
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop, errs: make(chan error, 3)}
	for client := range 3 {
		c, r := connect(t, s.address)
		s.connections++
		w := bufio.NewWriterSize(c, 1<<20)
		fmt.Fprint(w, "CONNECT {}\r\n")
		l.add(ctx, func(round int) error {
			for i := range 500 {
				switch {
				case client == 2:
					id := round*500 + i + 1 + churned
					fmt.Fprintf(w, "SUB churn.%d.> %d\r\nUNSUB %d\r\n", id, id, id-churned)
				case i%10 == 0:
					fmt.Fprintf(w, "PUB kept.%d 128\r\n%0128d\r\n", i, round)
				default:
					fmt.Fprintf(w, "PUB nobody.%d 128\r\n%0128d\r\n", i, round)
				}
			}
			fmt.Fprint(w, "PING\r\n")
			if err := w.Flush(); err != nil {
				return err
			}
			return readUntil(r, "PONG")
		})
	}
	return l
}

// loadCaddy asks for pages on two connections, and on a third for the configuration.
func loadCaddy(t *testing.T, s *stranger) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop, errs: make(chan error, 3)}
	ask := func(address, path, answer string) {
		c, r := connect(t, address)
		s.connections++
		l.add(ctx, func(round int) error {
			if _, err := fmt.Fprintf(c, "GET %s?%d HTTP/1.1\r\nHost: %s\r\n\r\n", path, round, address); err != nil {
				return err
			}
			return readUntil(r, answer)
		})
	}
	ask(s.address, "/", "hello")
	ask(s.address, "/other", "hello")
	ask(strings.TrimPrefix(s.debug, "http://"), "/config/", "static_response")
	return l
}

// loadPrometheus scrapes again, and has two clients ask for sums over all series.
func loadPrometheus(t *testing.T, s *stranger) *load {
	t.Helper()
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	target := httptest.NewUnstartedServer(http.HandlerFunc(series))
	if err := target.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	target.Listener = listener
	target.Start()
	t.Cleanup(target.Close)
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop, errs: make(chan error, 2)}
	for _, by := range []string{"code", "path"} {
		client := &http.Client{Timeout: time.Minute}
		address := s.debug + "/api/v1/query?query=" + url.QueryEscape("sum by ("+by+") (requests_total)")
		l.add(ctx, func(int) error {
			response, err := client.Get(address)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, response.Body)
			if err := errors.Join(err, response.Body.Close()); err != nil {
				return err
			}
			if response.StatusCode != http.StatusOK {
				return fmt.Errorf("GET %s: %s", address, response.Status)
			}
			return nil
		})
	}
	return l
}

// underLoad takes snapshots while a load runs, each of them beside some of its rounds. What is alive changes from one
// instruction to the next, so nothing says how much must be reached; but no snapshot may fail, and whatever it says must be
// true of some moment.
func (s *stranger) underLoad(t *testing.T, p program) {
	l := p.load(t, s)
	defer l.end(t)
	l.begun.Wait()
	snapshots := 1
	if *long {
		snapshots = 20
	}
	for tries, taken := 0, 0; taken < snapshots; tries++ {
		if tries == 10*snapshots {
			t.Fatalf("the load did nothing while %d of %d snapshots were taken", tries-taken, tries)
		}
		before := l.rounds.Load()
		a := capture(t, s.pid)
		if l.rounds.Load() == before {
			continue
		}
		taken++
		if a.Method != "injected fork" || a.ReachedBytes > a.Bytes || a.ReachedObjects > a.Objects || a.TypedRatio < p.typed {
			t.Errorf("method %q, %d of %d objects and %d of %d bytes reached, %.4f typed; warnings %q", a.Method, a.ReachedObjects,
				a.Objects, a.ReachedBytes, a.Bytes, a.TypedRatio, a.Warnings)
		}
		pointers := s.everything(t, a)
		if p.reader == "" {
			continue
		}
		if readers := pointers.goroutines(p.reader); readers < s.connections || readers > s.connections+p.spare {
			t.Errorf("%d goroutines in %s, want one for each of %d connections, and %d more at most", readers, p.reader, s.connections, p.spare)
		}
	}
}

// everything loads a snapshot and looks at each pointer in it.
func (s *stranger) everything(t *testing.T, a *analysis) *pointers {
	t.Helper()
	file, err := os.Open(a.file)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := snapshot.Open(file, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.Load(t.Context(), r, graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	types, err := r.Types()
	if err != nil {
		t.Fatal(err)
	}
	p := &pointers{g: g, types: types}
	p.check(t)
	if p.reached != a.ReachedObjects {
		t.Errorf("%d objects are reached along pointers, the analysis says %d", p.reached, a.ReachedObjects)
	}
	t.Logf("%d pointers of %d objects, %d of them with a type that is known at both ends; typing %+v", len(g.Targets), p.reached, p.agree, g.Stats())
	return p
}

// goroutines counts those that are in a function, by the end of its name, or in what it calls.
func (p *pointers) goroutines(function string) (count int) {
	for i := range p.g.Goroutines {
		for _, frame := range p.g.Goroutines[i].Frames {
			if strings.HasSuffix(p.g.Functions[frame.Func].Name, function) {
				count++
				break
			}
		}
	}
	return count
}

// pointers holds all pointers of a graph against what is known of both their ends.
type pointers struct {
	g       *graph.Graph
	types   []snapshot.Type
	reached uint64 // objects, counted anew
	agree   uint64 // pointers to a type that is what lies there
}

// check goes along all pointers from the roots. Each must lie in its object and lead into one, and where the types of both
// are exact and the field is a pointer to a struct, such a struct must be there. A path that never was would end, sooner or
// later, where something else was allocated meanwhile.
func (p *pointers) check(t *testing.T) {
	t.Helper()
	g := p.g
	seen := make([]bool, g.Nodes())
	queue := []uint32{g.Super()}
	seen[g.Super()] = true
	wrong := 0
	for len(queue) > 0 {
		node := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if node < g.Objects() {
			p.reached++
		}
		if !g.Reached(node) {
			t.Fatalf("node %d is reached along pointers, and not said to be", node)
		}
		for e := g.Starts[node]; e < g.Starts[node+1]; e++ {
			edge := g.Edge(node, e)
			if edge.Target >= g.Nodes() {
				t.Fatalf("a pointer to node %d of %d", edge.Target, g.Nodes())
			}
			if !seen[edge.Target] {
				seen[edge.Target] = true
				queue = append(queue, edge.Target)
			}
			if node >= g.Objects() || edge.Target >= g.Objects() || edge.Target == node { // from a timer, which is cut, to itself
				continue
			}
			if edge.Slot*8 >= g.Size(node) || edge.Offset > g.Size(edge.Target) {
				t.Errorf("a pointer at word %d of %d bytes leads to byte %d of %d", edge.Slot, g.Size(node), edge.Offset, g.Size(edge.Target))
			}
			if problem := p.disagreement(node, edge); problem != "" {
				if wrong++; wrong <= 5 {
					t.Error(problem)
				}
			}
		}
	}
	if wrong > 0 || p.agree < 1000 {
		t.Errorf("%d pointers lead to what their type says, %d do not; of %d objects", p.agree, wrong, p.reached)
	}
}

// disagreement tells how the types of both ends of a pointer contradict each other, empty if they do not.
func (p *pointers) disagreement(from uint32, edge graph.Edge) string {
	source, ok := p.exact(from)
	if !ok || source.Size == 0 {
		return ""
	}
	field := p.at(source, edge.Slot*8%source.Size, func(t *snapshot.Type) bool { return t.Kind == snapshot.Pointer })
	target, ok := p.exact(edge.Target)
	if field == nil || !ok || target.Size == 0 {
		return ""
	}
	wanted := &p.types[field.Elem]
	if wanted.Kind != snapshot.Struct || wanted.Size == 0 {
		return ""
	}
	const tiny = 16 // bytes: values without pointers share such a block, whose type is that of one of them
	if p.g.Size(edge.Target) == tiny && target.PtrBytes == 0 && target.Size < tiny && wanted.PtrBytes == 0 && edge.Offset+wanted.Size <= tiny {
		return ""
	}
	found := p.at(target, edge.Offset%target.Size, func(t *snapshot.Type) bool { return sameType(t, wanted) })
	if timer := wanted.Name == "time.Timer" || wanted.Name == "time.Ticker"; timer && target.Name == "runtime.timeTimer" && edge.Offset == 0 {
		found = target // the runtime allocates what it says is the former
	}
	if found == nil {
		return fmt.Sprintf("a %s, at byte %d, points to a %s, which is no part of the %s at byte %d", source.Name, edge.Slot*8, wanted.Name,
			target.Name, edge.Offset)
	}
	p.agree++
	return ""
}

// sameType compares two types by their names. Code that several instances of a generic type share knows the shape of their
// arguments alone, and a pointer may be converted to one to a type that was declared to be another ("type Handle Descriptor").
func sameType(a, b *snapshot.Type) bool {
	if a.Name == b.Name {
		return a.PkgPath == b.PkgPath
	}
	if a.Kind == snapshot.Struct && b.Kind == snapshot.Struct && len(a.Fields) > 0 && slices.Equal(a.Fields, b.Fields) {
		return true
	}
	ofA, argumentsA, _ := strings.Cut(a.Name, "[")
	ofB, argumentsB, _ := strings.Cut(b.Name, "[")
	return ofA == ofB && a.Size == b.Size && (strings.Contains(argumentsA, "go.shape.") || strings.Contains(argumentsB, "go.shape."))
}

// exact is the type of an object that is one value, or several, of a type that is exact.
func (p *pointers) exact(object uint32) (*snapshot.Type, bool) {
	id, certainty := p.g.Type(object)
	if certainty != graph.Exact || int(id) >= len(p.types) || id == 0 {
		return nil, false
	}
	return &p.types[id], true
}

// at is the type that is wanted among those of the fields and elements that begin at an offset of a value; the value itself
// is one of them.
func (p *pointers) at(t *snapshot.Type, offset uint64, wanted func(*snapshot.Type) bool) *snapshot.Type {
	for {
		if offset == 0 && wanted(t) {
			return t
		}
		switch t.Kind {
		case snapshot.Array:
			elem := &p.types[t.Elem]
			if elem.Size == 0 {
				return nil
			}
			t, offset = elem, offset%elem.Size
		case snapshot.Struct:
			var inner *snapshot.Type
			for i := range t.Fields {
				field := &t.Fields[i]
				if of := &p.types[field.Type]; field.Offset <= offset && offset < field.Offset+of.Size {
					inner, offset = of, offset-field.Offset
					break
				}
			}
			if inner == nil {
				return nil
			}
			t = inner
		default:
			return nil
		}
	}
}
