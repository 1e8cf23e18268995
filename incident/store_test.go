package incident

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bounded"
)

var _ bounded.Owner = (*Store)(nil)

// clock is a time that the test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func open(t *testing.T, dir string, c *clock, change func(*Options)) *Store {
	t.Helper()
	o := Options{
		Dir: dir, MaxCount: 5, MaxAge: 24 * time.Hour, MaxBytes: 1 << 30, Now: c.now,
		Free: func(string) (int64, error) { return 1 << 40, nil },
	}
	if change != nil {
		change(&o)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text(content string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	}
}

func begin(t *testing.T, s *Store) *Draft {
	t.Helper()
	d, err := s.Begin(Cause{Rule: Manual, Reason: "a test\nof two lines"}, Program{PID: 7, StartedAt: epoch})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// write keeps a bundle of one part and moves the clock on by a minute.
func write(t *testing.T, s *Store, c *clock, content string) Record {
	t.Helper()
	d := begin(t, s)
	if err := d.Add("part.txt", "a part", text(content)); err != nil {
		t.Fatal(err)
	}
	r, err := d.Publish()
	if err := errors.Join(err, d.Sync()); err != nil {
		t.Fatal(err)
	}
	c.at = c.at.Add(time.Minute)
	return r
}

func ids(list []Record) (ids []string) {
	for _, r := range list {
		ids = append(ids, r.ID)
	}
	return ids
}

// inside lists a directory, hidden files included.
func inside(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestABundleGrows: under a temporary name, then whole in steps, and what another store reads is the same.
func TestABundleGrows(t *testing.T) {
	c, dir := &clock{epoch}, filepath.Join(t.TempDir(), "a", "b")
	s := open(t, dir, c, nil)
	d := begin(t, s)
	if err := d.Add("first.txt", "the first", text("one")); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("it\tfailed")
	if err := d.Add("bad.txt", "fails", func(w io.Writer) error { return errors.Join(text("half")(w), failure) }); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"", "../up", "a/b", manifestName, ".hidden", "CAPITAL"} {
		if err := d.Add(name, "", text("")); err == nil {
			t.Errorf("a part %q is taken", name)
		}
	}
	d.Expect("late.txt", "never.txt")
	if len(s.List()) != 0 || !slices.Equal(inside(t, dir), []string{"." + d.ID() + partial}) {
		t.Errorf("before it is published there are %v and %v", s.List(), inside(t, dir))
	}
	r, err := d.Publish()
	if err != nil {
		t.Fatal(err)
	}
	if r.Complete || r.Cause.Reason != "a test of two lines" || r.Parts[0].Bytes != 3 || r.Missing[0] != (Missing{"bad.txt", "it failed"}) ||
		!slices.Equal(r.Pending, []string{"late.txt", "never.txt"}) {
		t.Errorf("published %+v", r)
	}
	if got := inside(t, filepath.Join(dir, r.ID)); !slices.Equal(got, []string{"first.txt", manifestName}) {
		t.Errorf("its files are %v", got)
	}
	// A process that died here would leave this.
	if again := open(t, dir, c, nil).List(); len(again) != 1 || again[0].Complete || len(again[0].Pending) != 2 || again[0].Damage != "" {
		t.Errorf("read again %+v", again)
	}
	c.at = c.at.Add(2 * time.Second)
	if err := errors.Join(d.Add("late.txt", "late", text("later")), d.Sync(), d.Finish(), d.Discard()); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(r.ID)
	if err != nil || !got.Complete || len(got.Parts) != 2 || len(got.Pending) != 0 || got.Missing[1] != (Missing{"never.txt", "it was not taken"}) {
		t.Errorf("finished %+v, %v", got, err)
	}
	again, err := open(t, dir, c, nil).Get(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	was, _ := json.Marshal(got)
	is, _ := json.Marshal(again)
	if !bytes.Equal(was, is) {
		t.Errorf("wrote %s\nread  %s", was, is)
	}
}

func TestBounds(t *testing.T) {
	c := &clock{epoch}
	dir := t.TempDir()
	s := open(t, dir, c, func(o *Options) { o.MaxCount = 3 })
	var all []string
	for range 5 {
		all = append(all, write(t, s, c, "x").ID)
	}
	slices.Reverse(all)
	if got := ids(s.List()); !slices.Equal(got, all[:3]) {
		t.Errorf("kept %v of %v", got, all)
	}
	if u := s.Usage(); u.Entries != 3 || u.MaxEntries != 3 || u.Bytes <= 0 || u.PeakBytes < u.Bytes || s.Name() != "incident_bundles" || s.Shrink(context.Background(), 1) != 0 {
		t.Errorf("usage %+v", u)
	}
	s.OutsideHeap()
	// Fewer bytes.
	s = open(t, dir, c, func(o *Options) { o.MaxBytes = s.Usage().Bytes / 3 * 2 })
	if got := ids(s.List()); !slices.Equal(got, all[:2]) {
		t.Errorf("of fewer bytes kept %v of %v", got, all)
	}
	if err := s.Delete(all[0]); err != nil || !errors.Is(s.Delete(all[0]), ErrNotFound) {
		t.Errorf("delete: %v", err)
	}
	c.at = c.at.Add(25 * time.Hour)
	if len(s.List()) != 0 {
		t.Error("what is too old is listed")
	}
	if freed, err := s.Prune(); freed <= 0 || err != nil {
		t.Errorf("freed %d, %v", freed, err)
	}
	if got := inside(t, dir); len(got) != 0 {
		t.Errorf("left are %v", got)
	}
	if _, err := s.Get(all[1]); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestPartsKeepTheirBound: a part beyond the room is missing, the rest is there.
func TestPartsKeepTheirBound(t *testing.T) {
	c := &clock{epoch}
	s := open(t, t.TempDir(), c, func(o *Options) { o.Free = func(string) (int64, error) { return 5 << 20, nil } })
	d := begin(t, s)
	big := strings.Repeat("x", 3<<20)
	if err := d.Add("one.txt", "", text(big)); err != nil || d.Room() != 2<<20 {
		t.Errorf("%v, room %d", err, d.Room())
	}
	for name, write := range map[string]func(io.Writer) error{
		"write.txt": func(w io.Writer) error { _, err := w.Write([]byte(big)); return err },
		"copy.txt":  func(w io.Writer) error { _, err := io.Copy(w, strings.NewReader(big)); return err },
		"text.txt":  text(big), "buffered.txt": Buffered(text(big)),
	} {
		if err := d.Add(name, "", write); !errors.Is(err, ErrNoRoom) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := d.Add("direct.txt", "", func(w io.Writer) error {
		if Underlying(io.Discard) != nil {
			t.Error("io.Discard is no part")
		}
		_, err := Underlying(w).WriteString("ok")
		return err
	}); err != nil {
		t.Error(err)
	}
	if r, err := d.Publish(); err != nil || len(r.Parts) != 2 || len(r.Missing) != 4 || !strings.Contains(r.Missing[0].Reason, "2.0 MiB are left") {
		t.Errorf("published %+v, %v", r, err)
	}
}

func TestNoRoomOnTheDisk(t *testing.T) {
	c := &clock{epoch}
	dir := t.TempDir()
	full := errors.New("no such disk")
	for want, free := range map[error]func(string) (int64, error){
		ErrNoRoom: func(string) (int64, error) { return 10 << 20, nil },
		full:      func(string) (int64, error) { return 0, full },
	} {
		s := open(t, dir, c, func(o *Options) { o.SpareBytes, o.Free = 9<<20, free })
		if _, err := s.Begin(Cause{}, Program{}); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	s := open(t, dir, c, func(o *Options) { o.Free = func(string) (int64, error) { return 0, errors.ErrUnsupported } })
	write(t, s, c, "x") // writing tells
}

// TestARemovedBundleStaysRemoved: parts that come late do not bring back what somebody has deleted.
func TestARemovedBundleStaysRemoved(t *testing.T) {
	c, dir := &clock{epoch}, filepath.Join(t.TempDir(), "incidents")
	s := open(t, dir, c, nil)
	d := begin(t, s)
	d.Expect("late.txt", "later.txt")
	if _, err := d.Publish(); err != nil {
		t.Fatal(err)
	}
	remove := func(w io.Writer) error { return errors.Join(text("half")(w), s.Delete(d.ID())) }
	if err := d.Add("late.txt", "removes its bundle", remove); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := d.Add("later.txt", "comes after that", text("x")); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := d.Finish(); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if kept := s.List(); len(kept) != 0 || len(inside(t, dir)) != 0 {
		t.Errorf("there are %v and %v", kept, inside(t, dir))
	}
}

// TestTheDirectoryGoes: removed meanwhile it is made anew, for a bundle and within one; in place of a file it cannot be.
func TestTheDirectoryGoes(t *testing.T) {
	c := &clock{epoch}
	dir := filepath.Join(t.TempDir(), "incidents")
	s := open(t, dir, c, nil)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	write(t, s, c, "x")
	d := begin(t, s)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := d.Add("x", "", text("")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := d.Publish(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	d = begin(t, s)
	if _, err := d.Publish(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := d.Add("x", "", text("")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(d.Sync(), d.Finish()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := s.WriteTar(d.ID(), io.Discard); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := s.Delete(d.ID()); err != nil { // nothing is left to remove
		t.Error(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(Cause{}, Program{}); err == nil {
		t.Error("a bundle is begun in a file")
	}
	if err := s.NoteRun(Run{}); err == nil {
		t.Error("a run is noted in a file")
	}
	if _, err := Open(Options{Dir: dir, MaxCount: 1, MaxAge: 1, MaxBytes: 1, Now: c.now}); err == nil {
		t.Error("a file is opened")
	}
	if _, err := Open(Options{}); err == nil || !strings.Contains(err.Error(), "want a directory, a clock and positive bounds") {
		t.Errorf("got %v", err)
	}
}

// TestLeftByTheDead: what a killed process has left becomes a bundle that says so, or goes.
func TestLeftByTheDead(t *testing.T) {
	c := &clock{epoch}
	dir := t.TempDir()
	s := open(t, dir, c, nil)
	whole := write(t, s, c, "x") // with a part that was being written
	half, almost, empty, removed := begin(t, s), begin(t, s), begin(t, s), write(t, s, c, "x")
	for _, d := range []*Draft{half, almost} {
		if err := d.Add("part.txt", "a part", text("half")); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		writeJSON(filepath.Join(almost.dir, manifestName), almost.manifest),
		os.WriteFile(filepath.Join(half.dir, "Not a part"), nil, 0o600),
		os.WriteFile(gone(whole.ID+"/late.txt"+partial), []byte("hal"), 0o600),
		os.WriteFile(gone("."+runName+partial), nil, 0o600),
		os.Rename(gone(removed.ID), gone(".removed-"+removed.ID+partial)),
		os.WriteFile(gone("a stranger"), nil, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, c, nil)
	got := inside(t, dir)
	want := []string{whole.ID, half.ID(), almost.ID(), "a stranger"}
	if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("left are %v, want %v; %s was empty", got, want, empty.ID())
	}
	r, err := s.Get(half.ID())
	if err != nil || r.Cause.Rule != "unknown" || r.Complete || len(r.Parts) != 1 || r.Parts[0].Name != "part.txt" || r.Parts[0].Bytes != 4 || r.Damage != "" {
		t.Errorf("the half is %+v, %v", r, err)
	}
	if r, err = s.Get(almost.ID()); err != nil || r.Cause.Rule != Manual || r.Damage != "" {
		t.Errorf("the one without a name is %+v, %v", r, err)
	}
	if r, err = s.Get(whole.ID); err != nil || r.Damage != "" || len(inside(t, gone(whole.ID))) != 2 {
		t.Errorf("the whole one is %+v, %v", r, err)
	}
}

func TestDamageIsSaid(t *testing.T) {
	c := &clock{epoch}
	dir := t.TempDir()
	s := open(t, dir, c, func(o *Options) { o.MaxCount = 20 })
	for want, damage := range map[string]func(bundle string) error{
		"part.txt is not there as it was written": func(b string) error { return os.Truncate(filepath.Join(b, "part.txt"), 1) },
		"the manifest cannot be read":             func(b string) error { return os.WriteFile(filepath.Join(b, manifestName), []byte("{"), 0o600) },
		"no such file":                            func(b string) error { return os.Remove(filepath.Join(b, manifestName)) },
		"want at most 1048576":                    func(b string) error { return os.Truncate(filepath.Join(b, manifestName), maxManifestBytes+1) },
		"the manifest is that of 20260102T150405Z-00000000": func(b string) error {
			return os.WriteFile(filepath.Join(b, manifestName), []byte(`{"version":1,"id":"20260102T150405Z-00000000"}`), 0o600)
		},
	} {
		r := write(t, s, c, "xyz")
		if err := damage(filepath.Join(dir, r.ID)); err != nil {
			t.Fatal(err)
		}
		again := open(t, dir, c, func(o *Options) { o.MaxCount = 20 })
		if got, err := again.Get(r.ID); err != nil || !strings.Contains(got.Damage, want) || got.At.IsZero() {
			t.Errorf("got %+v, %v; want %q", got, err, want)
		}
		var out bytes.Buffer
		if err := again.WriteTar(r.ID, &out); err != nil && !strings.Contains(want, "no such file") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// unpack reads a tar file, by name.
func unpack(t *testing.T, packed io.Reader) map[string]string {
	t.Helper()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil || h.Typeflag != tar.TypeReg {
			t.Fatal(h, err)
		}
		files[h.Name] = string(content)
	}
}

func TestTar(t *testing.T) {
	c := &clock{epoch}
	dir := t.TempDir()
	s := open(t, dir, c, nil)
	r := write(t, s, c, "content")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.WriteFile(secret, []byte("secret"), 0o600), os.WriteFile(filepath.Join(dir, r.ID, "stranger"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := s.WriteTar(r.ID, &out); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, &out)
	if len(files) != 2 || files[r.ID+"/part.txt"] != "content" || !strings.Contains(files[r.ID+"/manifest.json"], r.ID) {
		t.Errorf("packed %v", files)
	}
	if err := s.WriteTar("none", &out); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	// A link leads nowhere.
	part := filepath.Join(dir, r.ID, "part.txt")
	if err := errors.Join(os.Remove(part), os.Symlink(secret, part)); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteTar(r.ID, io.Discard); err == nil {
		t.Error("a link is followed")
	}
	if err := errors.Join(os.Remove(part), os.Mkdir(part, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteTar(r.ID, io.Discard); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("got %v", err)
	}
}
