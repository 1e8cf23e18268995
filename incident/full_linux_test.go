package incident

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/memwarden/memwarden/internal/scratch"
)

// TestFullDisk fills a small file system: a part that finds no room is missing, and a bundle whose manifest finds none is
// not there at all.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	scratch.SmallDisk(t, dir, 1<<20)
	c := &clock{epoch}
	s := open(t, dir, c, nil) // which takes the disk for a large one
	d := begin(t, s)
	if err := d.Add("small.txt", "", text("x")); err != nil {
		t.Fatal(err)
	}
	if err := d.Add("big.txt", "", text(strings.Repeat("x", 2<<20))); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	r, err := d.Publish()
	if err != nil || len(r.Parts) != 1 || !strings.Contains(r.Missing[0].Reason, "no space left") {
		t.Errorf("published %+v, %v", r, err)
	}
	d = begin(t, s)
	fill := func(w io.Writer) error {
		block := make([]byte, 4096)
		for {
			if _, err := w.Write(block); err != nil {
				return nil // full
			}
		}
	}
	if err := d.Add("fills.txt", "", fill); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Publish(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if left := inside(t, dir); len(left) != 1 || left[0] != r.ID {
		t.Errorf("left are %v", left)
	}
	if again := open(t, dir, c, nil).List(); len(again) != 1 || again[0].Damage != "" {
		t.Errorf("read again %+v", again)
	}
	// Really full: Begin asks.
	s = open(t, dir, c, func(o *Options) { o.Free = nil })
	if _, err := s.Begin(Cause{}, Program{}); !errors.Is(err, ErrNoRoom) {
		t.Errorf("got %v", err)
	}
}

// TestReadOnlyDirectory: nothing can be begun, and what is there can be read.
func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	c := &clock{epoch}
	s := open(t, dir, c, nil)
	r := write(t, s, c, "content")
	if err := errors.Join(syscall.Mount(dir, dir, "", syscall.MS_BIND, ""), syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")); err != nil {
		_ = syscall.Unmount(dir, 0) // if the first has come about
		t.Skipf("NOT TESTED ON A READ-ONLY DISK: nothing can be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Begin(Cause{}, Program{}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("got %v", err)
	}
	if err := s.NoteRun(Run{}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("got %v", err)
	}
	if err := s.Delete(r.ID); !errors.Is(err, syscall.EROFS) || len(s.List()) != 1 {
		t.Errorf("got %v", err)
	}
	if err := s.WriteTar(r.ID, io.Discard); err != nil {
		t.Error(err)
	}
}
