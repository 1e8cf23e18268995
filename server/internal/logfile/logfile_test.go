package logfile

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, o Options) *File {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "logs", "application.log")
	}
	f, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// all are the lines of the older files and the file, oldest first.
func (f *File) all(t *testing.T) []string {
	t.Helper()
	var text strings.Builder
	for n := f.o.MaxOlder; n >= 0; n-- {
		path := f.older(n)
		if n == 0 {
			path = f.o.Path
		}
		data, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if int64(len(data)) > f.o.MaxBytes {
			t.Errorf("%s has %d bytes, more than %d", path, len(data), f.o.MaxBytes)
		}
		text.Write(data)
	}
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}

// TestBound has several goroutines write more than fits: the newest lines stay, whole and in order, within the bound.
func TestBound(t *testing.T) {
	f := open(t, Options{MaxBytes: 1 << 10, MaxOlder: 3})
	const writers, lines = 4, 500
	var work sync.WaitGroup
	for w := range writers {
		work.Go(func() {
			for n := range lines {
				f.WriteLine(fmt.Appendf(nil, "writer %d line %d", w, n))
			}
		})
	}
	work.Wait()
	kept := f.all(t)
	if len(kept) < 4<<10/20/2 {
		t.Errorf("only %d lines are kept", len(kept))
	}
	last := map[int]int{}
	for _, line := range kept {
		var w, n int
		if _, err := fmt.Sscanf(line, "writer %d line %d", &w, &n); err != nil {
			t.Fatalf("no whole line: %q", line)
		}
		if before, seen := last[w]; seen && n != before+1 {
			t.Errorf("writer %d: line %d follows line %d", w, n, before)
		}
		last[w] = n
	}
	entries, err := os.ReadDir(filepath.Dir(f.o.Path))
	if err != nil || len(entries) != 4 {
		t.Errorf("files: %v, %v; want the log and three older ones", entries, err)
	}
}

func TestGoesOnWithWhatIsThere(t *testing.T) {
	f := open(t, Options{MaxBytes: 100, MaxOlder: 2})
	f.WriteLine([]byte("first"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f.WriteLine([]byte("dropped"))
	again := open(t, f.o)
	again.WriteLine([]byte("second"))
	again.WriteLine(bytes.Repeat([]byte("x"), 200))
	if got := again.all(t); !slices.Equal(got, []string{"first", "second", strings.Repeat("x", 99)}) {
		t.Errorf("%q", got)
	}
}

// TestFollowers keep seeing lines through one descriptor while the file is emptied again and again.
func TestFollowers(t *testing.T) {
	f := open(t, Options{MaxBytes: 1 << 10, MaxOlder: 1})
	f.WriteLine([]byte("line 0"))
	follower, err := os.Open(f.o.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	for n := range 200 {
		f.WriteLine([]byte("line " + strconv.Itoa(n+1)))
		info, err := follower.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if at, _ := follower.Seek(0, io.SeekCurrent); info.Size() < at { // what tail -f does
			_, err = follower.Seek(0, io.SeekStart)
		}
		if err != nil {
			t.Fatal(err)
		}
		read, err := io.ReadAll(follower)
		if err != nil || !strings.HasSuffix(string(read), fmt.Sprintf("line %d\n", n+1)) {
			t.Fatalf("after line %d: %q, %v", n+1, read, err)
		}
	}
}

func TestFileThatWasTakenAway(t *testing.T) {
	f := open(t, Options{MaxBytes: 1 << 10, MaxOlder: 1})
	f.WriteLine([]byte("first"))
	if err := os.Rename(f.o.Path, f.o.Path+".away"); err != nil {
		t.Skipf("SKIPPED: this system does not rename open files: %v", err)
	}
	f.WriteLine([]byte("second"))
	if got, err := os.ReadFile(f.o.Path); string(got) != "second\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestOlderFileThatCannotBe: the bound holds all the same, and the file says what is missing.
func TestOlderFileThatCannotBe(t *testing.T) {
	f := open(t, Options{MaxBytes: 1 << 10, MaxOlder: 1})
	if err := os.MkdirAll(filepath.Join(f.older(1), "below"), 0o750); err != nil {
		t.Fatal(err)
	}
	for n := range 1000 {
		f.WriteLine([]byte("line " + strconv.Itoa(n)))
	}
	f.WriteLine([]byte("last")) // whatever the one before has lost
	data, err := os.ReadFile(f.o.Path)
	if err != nil || len(data) > 1<<10 || !strings.HasSuffix(string(data), "last\n") || !strings.Contains(string(data), "bytes were not kept in this file: ") {
		t.Errorf("%v:\n%s", err, data)
	}
}

// TestDirectoryThatIsGone: nothing can be kept until it is back, and then it is said.
func TestDirectoryThatIsGone(t *testing.T) {
	f := open(t, Options{MaxBytes: 1 << 10, MaxOlder: 1})
	f.WriteLine([]byte("first"))
	dir := filepath.Dir(f.o.Path)
	if err := os.RemoveAll(dir); err != nil {
		t.Skipf("SKIPPED: this system does not remove open files: %v", err)
	}
	for range 100 {
		f.WriteLine(bytes.Repeat([]byte("x"), 100))
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	f.WriteLine([]byte("last"))
	data, err := os.ReadFile(f.o.Path)
	if err != nil || !strings.HasPrefix(string(data), "memwarden: ") || !strings.HasSuffix(string(data), "last\n") {
		t.Errorf("%v: %s", err, data)
	}
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(file, "below"), filepath.Dir(file)} {
		if _, err := Open(Options{Path: path, MaxBytes: 1, MaxOlder: 1}); err == nil || !strings.Contains(err.Error(), "log file: ") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestLines cuts a text anywhere: the lines are the same.
func TestLines(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	text := "first\r\n\nthird\n" + strings.Repeat("x", 2*maxLine+5) + "\nlast"
	want := []string{"first", "", "third", strings.Repeat("x", maxLine), strings.Repeat("x", maxLine), "xxxxx", "last"}
	for range 50 {
		var got []string
		lines := NewLines(func(line []byte) { got = append(got, string(line)) })
		for rest := text; rest != ""; {
			n := 1 + random.IntN(min(len(rest), 1+random.IntN(3*maxLine)))
			if _, err := lines.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		lines.Flush()
		lines.Flush()
		if !slices.Equal(got, want) {
			t.Fatalf("%d lines, want %d", len(got), len(want))
		}
	}
}
