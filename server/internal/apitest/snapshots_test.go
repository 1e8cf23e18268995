package apitest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/heap/archive"
	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/internal/testprogram"
)

// keeping keeps snapshots, also made ones, which are old.
func keeping(t *testing.T) memwarden.SnapshotOptions {
	return memwarden.SnapshotOptions{
		Dir: t.TempDir(), MaxAge: 100 * 366 * 24 * time.Hour, Cooldown: -1, Deadline: 10 * time.Minute,
		Helper: testprogram.SnapshotHelper(t),
	}
}

// keep puts a file into a warden's directory of snapshots.
func keep(t *testing.T, w *memwarden.Warden, file []byte) archive.Record {
	t.Helper()
	kept, err := w.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	draft, err := kept.Create(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := draft.Write(file); err != nil {
		t.Fatal(err)
	}
	record, err := draft.Keep()
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// shop is a made snapshot that has something of everything: a leak of so many sessions, what two hold together,
// goroutines, a word that may be no pointer, a string that pins a page.
func shop(sessions int, warnings ...string) []byte {
	b := heaptest.New()
	b.Header.BuildID = "abc/def"
	b.Summary.Warnings = warnings
	session := b.Struct("main.Session", heaptest.F("Next", b.Ptr("main.Session")), heaptest.F("Name", b.String()), heaptest.F("Data", b.Array(40, b.Int())))
	head := b.Object(session)
	b.Global("main.sessions", b.Ptr("main.Session")).Set("", head)
	b.Sampled(head, b.Frame("main.newSession", 88), b.Frame("main.handle", 31))
	for at := head; sessions > 1; sessions-- {
		next := b.Object(session)
		b.Field(at, "Next", next)
		at = next
	}
	b.Field(head, "Name", b.Bytes(1<<20).Text(0, 16))
	common := b.Struct("main.Config", heaptest.F("Values", b.Array(20_000, b.Int())), heaptest.F("Parent", b.Ptr("main.Config")))
	config := b.Object(common)
	b.Global("main.config", b.Ptr("main.Config")).Set("", config)
	worker := b.Goroutine("chan receive", b.Function("main.main", "main.go", 1), b.Frame("main.worker", 12))
	worker.Local(0, "config", b.Ptr("main.Config")).Set("", config)
	worker.Local(0, "job", b.Ptr("main.Session")).Conservative().Set("", b.Object(session))
	return b.Build().Data
}

func testSnapshots(t *testing.T, b *book) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: heap snapshots are taken on Linux alone")
	}
	w := startWarden(t, memwarden.Options{Snapshot: keeping(t)})
	s := b.serveHTTP(t, w, administered(t))
	take := request{operation: "POST " + snapshots, token: token}
	for _, bad := range malformed {
		take.kind, take.body = bad.kind, bad.body
		s.send(t, bad.status, take)
	}
	take.kind, take.body = "", ""
	var taken struct {
		ID       string
		Analyzed bool
	}
	if s.send(t, 201, take).into(t, &taken); !taken.Analyzed {
		t.Error("the snapshot was not analysed")
	}
	one := func(operation, id, rest string) request {
		operation = operation + " " + snapshots + "/{id}"
		path := snapshots + "/" + id + rest
		if strings.HasPrefix(rest, "/") {
			operation += rest
		}
		return request{operation: operation, path: path, token: token}
	}
	s.send(t, 200, one("GET", taken.ID, ""))
	early, late := keep(t, w, shop(2000, "something could not be read")), keep(t, w, shop(4000))
	for _, id := range []string{early.ID, late.ID} {
		s.send(t, 200, one("GET", id, "?top=1000"))
	}
	damaged := keep(t, w, []byte("no snapshot"))
	s.send(t, 200, one("GET", damaged.ID, ""))
	s.send(t, 200, request{operation: "GET " + snapshots, token: token})
	s.send(t, 400, one("GET", early.ID, "?top=0"))
	s.send(t, 404, one("GET", "none", ""))

	compare := func(query string) request {
		return request{operation: "GET " + snapshots + "/compare", path: snapshots + "/compare" + query, token: token}
	}
	s.send(t, 200, compare("?from="+early.ID+"&to="+late.ID))
	s.send(t, 200, compare("?from="+late.ID+"&to="+taken.ID))
	s.send(t, 400, compare("?from="+early.ID))
	s.send(t, 404, compare("?from="+early.ID+"&to=none"))
	s.send(t, 503, compare("?from="+early.ID+"&to="+damaged.ID))

	download := one("GET", early.ID, "/download")
	if got := s.send(t, 200, download); int64(len(got.body)) != early.Bytes {
		t.Errorf("downloaded %d bytes, want %d", len(got.body), early.Bytes)
	}
	download.header = []string{"Range", "bytes=5-9"}
	s.send(t, 206, download)
	download.header = []string{"Range", "bytes=999999999-"}
	s.send(t, 416, download)
	s.send(t, 404, one("GET", "none", "/download"))

	s.send(t, 204, one("DELETE", early.ID, ""))
	s.send(t, 404, one("DELETE", early.ID, ""))
	testSnapshotsRefused(t, b, w, s, late.ID)
}

func testSnapshotsRefused(t *testing.T, b *book, w *memwarden.Warden, s target, id string) {
	t.Helper()
	none := b.serveHTTP(t, startWarden(t, memwarden.Options{}), administered(t))
	for _, r := range admin() {
		if strings.Contains(r.operation, snapshots) {
			r.token = token
			none.send(t, 409, r)
		}
	}
	cool := keeping(t)
	cool.Cooldown = time.Hour
	warm := b.serveHTTP(t, startWarden(t, memwarden.Options{Snapshot: cool}), administered(t))
	warm.send(t, 201, request{operation: "POST " + snapshots, token: token})
	warm.send(t, 429, request{operation: "POST " + snapshots, token: token})
	poor := keeping(t)
	poor.BudgetBytes = 1 << 20
	b.serveHTTP(t, startWarden(t, memwarden.Options{Snapshot: poor}), administered(t)).send(t, 503, request{operation: "POST " + snapshots, token: token})

	g, ended := &gate{make(chan struct{}, 1), make(chan struct{})}, make(chan error, 1)
	go func() {
		_, err := w.Snapshot(context.Background(), g)
		ended <- err
	}()
	select {
	case <-g.reached:
	case err := <-ended:
		t.Fatal(err)
	}
	s.send(t, 409, request{operation: "POST " + snapshots, token: token})
	close(g.opened)
	if err := <-ended; err != nil {
		t.Error(err)
	}

	// A file that cannot be removed.
	kept, err := w.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	file, err := kept.OpenFile(id)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := errors.Join(os.Remove(file.Name()), os.Mkdir(file.Name(), 0o700), os.WriteFile(filepath.Join(file.Name(), "x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s.send(t, 503, request{operation: "DELETE " + snapshots + "/{id}", path: snapshots + "/" + id, token: token})
}

// gate is a writer that takes nothing until it is opened.
type gate struct{ reached, opened chan struct{} }

func (g *gate) Write(p []byte) (int, error) {
	select {
	case g.reached <- struct{}{}:
	default:
	}
	<-g.opened
	return len(p), nil
}
