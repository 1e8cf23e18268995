package snapshot

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
)

func open(tb testing.TB, data []byte) *Reader {
	tb.Helper()
	r, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestAddress(t *testing.T) {
	c, random := randomContents(5, 8)
	r := open(t, c.write(t, random))
	first, err := r.FirstObjects()
	if err != nil {
		t.Fatal(err)
	}
	id := ObjectID(0)
	for i, s := range c.Spans {
		if first[i] != id {
			t.Errorf("span %d begins with object %d, want %d", i, first[i], id)
		}
		for slot := range s.Slots {
			if s.Live[slot/64]>>(slot%64)&1 == 0 {
				continue
			}
			want := s.Start + uint64(slot)*s.ElemSize
			if got, err := r.Address(id); err != nil || got != want {
				t.Errorf("object %d is at %#x (%v), want %#x", id, got, err, want)
			}
			id++
		}
	}
	if first[len(c.Spans)] != id || uint64(id) != r.Totals().Objects {
		t.Errorf("%d objects, want %d", first[len(c.Spans)], id)
	}
	if _, err := r.Address(id); err == nil {
		t.Error("an object beyond the last one has an address")
	}
}

// TestParallel decodes blocks and tables on several goroutines.
func TestParallel(t *testing.T) {
	c, random := randomContents(9, 8)
	r := open(t, c.write(t, random))
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			got := &contents{Header: r.Header(), Summary: r.Summary()}
			for i := range r.Totals().Blocks {
				if err := got.readBlock(r, i); err != nil {
					t.Error(err)
				}
			}
			if len(got.Records) != len(c.Records) {
				t.Errorf("%d records, want %d", len(got.Records), len(c.Records))
			}
			if roots, err := r.Roots(); err != nil || len(roots) != len(c.Roots) {
				t.Errorf("%d roots (%v), want %d", len(roots), err, len(c.Roots))
			}
		})
	}
	running.Wait()
}

// TestSkippedEdges: who does not ask for the edges of a record comes to the next record all the same.
func TestSkippedEdges(t *testing.T) {
	c, random := randomContents(5, 8)
	r := open(t, c.write(t, random))
	n := 0
	for i := range r.Totals().Blocks {
		cursor, err := r.Block(i)
		if err != nil {
			t.Fatal(err)
		}
		for shape, closure, ok := cursor.Object(); ok; shape, closure, ok = cursor.Object() {
			if cursor.Continued() {
				continue
			}
			if want := c.Records[n]; cursor.ID() != want.Object || shape != want.Shape || closure != want.Closure {
				t.Errorf("record %d is of object %d, shape %d, function %d, want %+v", n, cursor.ID(), shape, closure, want)
			}
			n++
		}
		var e Edge
		if cursor.Err() != nil || cursor.Edge(&e) {
			t.Errorf("block %d: %v, or an edge behind the end", i, cursor.Err())
		}
	}
	if n != len(c.Records) {
		t.Errorf("%d records, want %d", n, len(c.Records))
	}
}

func TestTextIsCleaned(t *testing.T) {
	for text, want := range map[string]string{
		"main.Größe":     "main.Größe",
		"":               "",
		"a\x1b[31mred":   "a\ufffd[31mred",
		"line\nline\x00": "line\ufffdline\ufffd",
		"\xff\xfe":       "\ufffd\ufffd",
		"a\u202eb":       "a\ufffdb",
		"\u0085":         "\ufffd",
		"\x7f":           "\ufffd",
	} {
		c, random := randomContents(1, 1)
		c.Header.Executable = text
		got, err := read(c.write(t, random))
		if err != nil {
			t.Fatal(err)
		}
		if got.Header.Executable != want {
			t.Errorf("%q reads as %q, want %q", text, got.Header.Executable, want)
		}
	}
}

func TestNotASnapshot(t *testing.T) {
	for text, want := range map[string]error{
		"":                                         ErrNotSnapshot,
		"MZ":                                       ErrNotSnapshot,
		"go1.7 heap dump\nand more of it …":        ErrNotSnapshot,
		"memwarden heap":                           ErrTruncated,
		"memwarden heap snapshot ":                 ErrTruncated,
		"memwarden heap snapshot 1":                ErrTruncated,
		"memwarden heap snapshot 1\n":              ErrTruncated,
		"memwarden heap snapshot one\n":            ErrNotSnapshot,
		"memwarden heap snapshot 0\n":              ErrNotSnapshot,
		"memwarden heap snapshot 2\n":              ErrVersion,
		"memwarden heap snapshot 77\nfuture":       ErrVersion,
		"memwarden heap snapshot 99999999999999\n": ErrNotSnapshot,
	} {
		_, err := Open(strings.NewReader(text), int64(len(text)))
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	_, err := Open(strings.NewReader("memwarden heap snapshot 2\n"), 26)
	if text := err.Error(); !strings.Contains(text, "use a newer memwarden") {
		t.Errorf("a newer version is refused with %q", text)
	}
}

// failing is a file that cannot be read from some byte on.
type failing struct {
	io.ReaderAt
	from int64
}

var errDisk = errors.New("disk")

func (f *failing) ReadAt(p []byte, offset int64) (int, error) {
	if offset+int64(len(p)) > f.from {
		return 0, errDisk
	}
	return f.ReaderAt.ReadAt(p, offset)
}

func TestReadErrors(t *testing.T) {
	c, random := randomContents(5, 4)
	data := c.write(t, random)
	for from := 0; from < len(data); from += 1 + len(data)/500 {
		_, err := readFrom(&failing{bytes.NewReader(data), int64(from)}, int64(len(data)))
		if !errors.Is(err, errDisk) {
			t.Fatalf("a file that fails from byte %d on: %v", from, err)
		}
	}
	// A file that became shorter than it was.
	_, err := readFrom(bytes.NewReader(data[:len(data)/2]), int64(len(data)))
	if !errors.Is(err, ErrTruncated) {
		t.Errorf("a file that shrank: %v", err)
	}
}
