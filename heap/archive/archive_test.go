package archive

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/bounddir"
)

var _ bounded.Owner = (*Archive)(nil)

// clock is a time that the test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newClock() *clock { return &clock{time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)} }

// open opens a directory with bounds that do not matter, but for what change does to them.
func open(t *testing.T, dir string, c *clock, change func(*Options)) *Archive {
	t.Helper()
	o := Options{
		Dir: dir, MaxCount: 5, MaxAge: 24 * time.Hour, MaxBytes: 1 << 30, Now: c.now,
		Free: func(string) (int64, error) { return 1 << 40, nil },
	}
	if change != nil {
		change(&o)
	}
	a, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// write writes a snapshot that was taken now; its file has about so many bytes.
func write(t *testing.T, out io.Writer, c *clock, bytes int) {
	t.Helper()
	w, err := snapshot.NewWriter(out, snapshot.Header{GoVersion: "go1.26.8", OS: "linux", Arch: "amd64", Executable: "app", TakenAt: c.at.UnixNano(), Method: snapshot.Synthetic})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(snapshot.Summary{Warnings: []string{strings.Repeat("w", bytes)}}); err != nil {
		t.Fatal(err)
	}
}

// keep adds a snapshot and moves the clock on by a minute.
func keep(t *testing.T, a *Archive, c *clock, bytes int) Record {
	t.Helper()
	draft, err := a.Create(0)
	if err != nil {
		t.Fatal(err)
	}
	write(t, draft, c, bytes)
	record, err := draft.Keep()
	if err != nil {
		t.Fatal(err)
	}
	c.at = c.at.Add(time.Minute)
	return record
}

func ids(records []Record) []string {
	var list []string
	for _, r := range records {
		list = append(list, r.ID)
	}
	return list
}

// files are the names in a directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestSnapshotsSurviveARestart(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "new", "snapshots"), newClock()
	a := open(t, dir, c, nil)
	first, second := keep(t, a, c, 10), keep(t, a, c, 2000)
	if first.Header.Executable != "app" || len(first.Summary.Warnings) != 1 || first.At != time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC) || first.Analyzed {
		t.Errorf("the record is %+v", first)
	}
	if !bounddir.IsID(first.ID) || !strings.HasPrefix(first.ID, "20260102T150405Z-") {
		t.Errorf("the id is %q", first.ID)
	}
	noted, err := a.Note(second.ID, json.RawMessage(`{"objects":7}`), "")
	if err != nil || !noted.Analyzed {
		t.Errorf("noted: %+v, %v", noted, err)
	}
	if _, err := a.Note(first.ID, nil, "too large"); err != nil {
		t.Error(err)
	}
	before := a.Usage()
	a = open(t, dir, c, nil)
	if got := a.List(); len(got) != 2 || got[0].ID != second.ID || !got[0].Analyzed || got[1].ID != first.ID || got[1].Failure != "too large" {
		t.Errorf("after a restart: %+v", got)
	}
	if got := a.Usage(); got.Entries != 2 || got.Bytes != before.Bytes || got.MaxEntries != 5 || got.MaxBytes != 1<<30 || got.PeakEntries != 2 || got.PeakBytes != got.Bytes {
		t.Errorf("after a restart: %+v, before %+v", got, before)
	}
	analysis, err := a.Analysis(second.ID)
	if err != nil || string(analysis) != `{"objects":7}` {
		t.Errorf("analysis %s, %v", analysis, err)
	}
	if analysis, err := a.Analysis(first.ID); err != nil || analysis != nil {
		t.Errorf("analysis %s, %v of what has none", analysis, err)
	}
	file, err := a.OpenFile(second.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || info.Size() != second.Bytes || info.Mode().Perm() != 0o600 {
		t.Errorf("%+v, %v, want %d bytes for the owner alone", info, err, second.Bytes)
	}
}

func TestTheOldestMakesRoom(t *testing.T) {
	c := newClock()
	a := open(t, t.TempDir(), c, func(o *Options) { o.MaxCount = 3 })
	var all []string
	for range 5 {
		all = append(all, keep(t, a, c, 10).ID)
	}
	slices.Reverse(all)
	if got := ids(a.List()); !slices.Equal(got, all[:3]) {
		t.Errorf("kept %v, want the newest of %v", got, all)
	}
	if got := len(files(t, a.o.Dir)); got != 3 {
		t.Errorf("%d files, want 3", got)
	}
	if u := a.Usage(); u.Entries != 3 || u.PeakEntries != 3 {
		t.Errorf("%+v", u)
	}
}

func TestBytesAreBounded(t *testing.T) {
	c := newClock()
	a := open(t, t.TempDir(), c, func(o *Options) { o.MaxBytes = 5000 })
	keep(t, a, c, 2000)
	second := keep(t, a, c, 2000)
	third := keep(t, a, c, 2000)
	if got := ids(a.List()); !slices.Equal(got, []string{third.ID, second.ID}) {
		t.Errorf("kept %v", got)
	}
	if _, err := a.Create(5001); !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "4.9 KiB") {
		t.Errorf("a snapshot above the bound: %v", err)
	}
	draft, err := a.Create(100)
	if err != nil {
		t.Fatal(err)
	}
	if draft.LimitBytes != 5000 {
		t.Errorf("limit %d, want 5000", draft.LimitBytes)
	}
	write(t, draft, c, 6000)
	if _, err := draft.Keep(); !errors.Is(err, ErrNoRoom) {
		t.Errorf("a snapshot that became larger than the bound: %v", err)
	}
	if got := ids(a.List()); len(got) != 2 || len(files(t, a.o.Dir)) != 2 {
		t.Errorf("after a refused one: %v, files %v", got, files(t, a.o.Dir))
	}
	if _, err := a.Note(second.ID, json.RawMessage(`"`+strings.Repeat("x", 1000)+`"`), ""); err != nil {
		t.Fatal(err)
	}
	if got := a.Usage().Bytes; got < 5000 {
		t.Errorf("%d bytes: the analysis is not counted", got)
	}
	if _, err := a.Prune(); err != nil || len(a.List()) != 1 {
		t.Errorf("the analysis took the snapshots above the bound: %v, %v", ids(a.List()), err)
	}
}

func TestOldSnapshotsGo(t *testing.T) {
	c := newClock()
	a := open(t, t.TempDir(), c, func(o *Options) { o.MaxAge = time.Hour })
	old := keep(t, a, c, 10)
	c.at = c.at.Add(time.Hour)
	if len(a.List()) != 0 {
		t.Error("it is listed after its age")
	}
	if _, err := a.OpenFile(old.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("it can be opened: %v", err)
	}
	if freed, err := a.Prune(); err != nil || freed != old.Bytes {
		t.Errorf("freed %d, %v, want %d", freed, err, old.Bytes)
	}
	if got := files(t, a.o.Dir); len(got) != 0 {
		t.Errorf("files %v", got)
	}
	old = keep(t, a, c, 10)
	c.at = c.at.Add(2 * time.Hour)
	if a = open(t, a.o.Dir, c, func(o *Options) { o.MaxAge = time.Hour }); len(files(t, a.o.Dir)) != 0 {
		t.Errorf("%s is there after a start", old.ID)
	}
}

func TestADiskThatIsFull(t *testing.T) {
	free, problem := int64(1000), error(nil)
	a := open(t, t.TempDir(), newClock(), func(o *Options) {
		o.SpareBytes = 200
		o.Free = func(string) (int64, error) { return free, problem }
	})
	if _, err := a.Create(801); !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "1000 B free") {
		t.Errorf("801 of 800 bytes: %v", err)
	}
	draft, err := a.Create(800)
	if err != nil {
		t.Fatal(err)
	}
	if draft.LimitBytes != 800 {
		t.Errorf("limit %d, want 800", draft.LimitBytes)
	}
	if err := errors.Join(draft.Discard(), draft.Discard()); err != nil {
		t.Error(err)
	}
	problem = errors.ErrUnsupported
	if draft, err = a.Create(800); err != nil {
		t.Fatalf("where free space cannot be told: %v", err)
	}
	draft.Discard()
	problem = io.ErrUnexpectedEOF
	if _, err := a.Create(800); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("where it cannot be asked: %v", err)
	}
	if got := files(t, a.o.Dir); len(got) != 0 {
		t.Errorf("files %v are left", got)
	}
}

func TestWhatACrashLeaves(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	a := open(t, dir, c, nil)
	whole := keep(t, a, c, 10)
	half, err := a.Create(0)
	if err != nil {
		t.Fatal(err)
	}
	half.Write([]byte("half"))
	for name, text := range map[string]string{
		"20260102T150405Z-00000000.json":          `{}`, // of a snapshot that was being removed
		"20260102T000000Z-0badf11e" + ".snapshot": "not a snapshot",
		"README":                             "somebody else's",
		"notes.snapshot":                     "somebody else's",
		whole.ID + notesSuffix:               "{",
		"20269902T150405Z-0badf11e.snapshot": "nor is this",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a = open(t, dir, c, nil)
	got := map[string]string{}
	for _, r := range a.List() {
		got[r.ID] = r.Failure
	}
	if len(got) != 3 || !strings.Contains(got["20260102T000000Z-0badf11e"], "damaged") || !strings.Contains(got[whole.ID], "cannot be read") {
		t.Errorf("found %q", got)
	}
	if got := files(t, dir); slices.ContainsFunc(got, func(name string) bool { return strings.HasSuffix(name, temporary) }) ||
		slices.Contains(got, "20260102T150405Z-00000000.json") || !slices.Contains(got, "README") || !slices.Contains(got, "notes.snapshot") {
		t.Errorf("files %v", got)
	}
	if _, err := half.Keep(); err == nil {
		t.Error("what another start has removed was kept")
	}
}

func TestDelete(t *testing.T) {
	c := newClock()
	a := open(t, t.TempDir(), c, nil)
	one := keep(t, a, c, 10)
	if _, err := a.Note(one.ID, json.RawMessage(`{}`), ""); err != nil {
		t.Fatal(err)
	}
	file, err := a.OpenFile(one.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := a.Delete(one.ID); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(file); err != nil || int64(len(body)) != one.Bytes {
		t.Errorf("a file that was open when it was deleted: %d bytes, %v", len(body), err)
	}
	if got := files(t, a.o.Dir); len(got) != 0 || a.Usage().Entries != 0 || a.Usage().Bytes != 0 {
		t.Errorf("files %v, %+v", got, a.Usage())
	}
	for _, err := range []error{
		a.Delete(one.ID), a.Delete("../../etc/passwd"),
		second(a.Get(one.ID)), second(a.Get("")), second(a.OpenFile("../x")), second(a.Note(one.ID, nil, "x")), second(a.Analysis(one.ID)),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestFilesThatGo(t *testing.T) {
	c := newClock()
	a := open(t, t.TempDir(), c, nil)
	one := keep(t, a, c, 10)
	if _, err := a.Note(one.ID, json.RawMessage(`{}`), ""); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{a.path(one.ID), a.notesPath(one.ID)} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{second(a.OpenFile(one.ID)), second(a.Analysis(one.ID))} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}
	}
	if err := a.Delete(one.ID); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(a.o.Dir); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Create(0); err == nil {
		t.Error("a snapshot begins in a directory that is not there")
	}
}

func TestNotesAreBounded(t *testing.T) {
	c := newClock()
	a := open(t, t.TempDir(), c, nil)
	one := keep(t, a, c, 10)
	if _, err := a.Note(one.ID, json.RawMessage(`"`+strings.Repeat("x", maxNotesBytes)+`"`), ""); err == nil {
		t.Error("an analysis of 64 MiB is kept")
	}
	if _, err := a.Note(one.ID, json.RawMessage(`{`), ""); err == nil {
		t.Error("what is no JSON is kept")
	}
	if err := os.WriteFile(a.notesPath(one.ID), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(a.notesPath(one.ID), maxNotesBytes+1); err != nil {
		t.Fatal(err)
	}
	if got := open(t, a.o.Dir, c, nil).List(); !strings.Contains(got[0].Failure, "64.0 MiB") {
		t.Errorf("a large file of notes: %q", got[0].Failure)
	}
}

func TestOptions(t *testing.T) {
	good := Options{Dir: t.TempDir(), MaxCount: 1, MaxAge: 1, MaxBytes: 1, Now: time.Now}
	if _, err := Open(good); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Options){
		"dir": func(o *Options) { o.Dir = "" }, "count": func(o *Options) { o.MaxCount = 0 }, "age": func(o *Options) { o.MaxAge = 0 },
		"bytes": func(o *Options) { o.MaxBytes = 0 }, "clock": func(o *Options) { o.Now = nil }, "spare": func(o *Options) { o.SpareBytes = -1 },
		"a file": func(o *Options) {
			o.Dir = filepath.Join(o.Dir, "file")
			if err := os.WriteFile(o.Dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		o := good
		spoil(&o)
		if _, err := Open(o); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	a, err := Open(good)
	if err != nil {
		t.Fatal(err)
	}
	if a.Name() != "heap_snapshots" || a.Shrink(t.Context(), math.MaxInt64) != 0 {
		t.Error("the owner is another")
	}
	if free, err := FreeBytes(good.Dir); err == nil && free <= 0 {
		t.Errorf("free space %s", bytesize.Format(free))
	}
	if _, err := FreeBytes(filepath.Join(good.Dir, "none")); err == nil {
		t.Error("the free space of what is not there")
	}
}

func TestCreateFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	file, err := CreateFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file.Write([]byte("new"))
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there before it is whole")
	}
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := file.Commit(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); string(text) != "new" {
		t.Errorf("%q, %v", text, err)
	}
	if err := file.Commit(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a second Commit: %v", err)
	}
	if err := file.Discard(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", dir + "/", dir + "/..", filepath.Join(dir, "none", "s")} {
		if _, err := CreateFile(bad); err == nil {
			t.Errorf("%q was begun", bad)
		}
	}
	if got := files(t, dir); !slices.Equal(got, []string{"s"}) {
		t.Errorf("files %v", got)
	}
	t.Chdir(dir)
	if file, err = CreateFile("here"); err != nil {
		t.Fatal(err)
	}
	if err := file.Commit(); err != nil {
		t.Error(err)
	}
}
