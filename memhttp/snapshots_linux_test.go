package memhttp

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/heap/archive"
	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/testprogram"
)

const snapshotsPath = "/api/monitoring/memory/snapshots"

// ages keeps snapshots that the tests make, which are old.
const ages = 366 * 24 * time.Hour * 100

// addSessions puts a made snapshot into a warden's directory.
func addSessions(t *testing.T, w *memwarden.Warden, n uint64) archive.Record {
	t.Helper()
	var file bytes.Buffer
	if err := heaptest.WriteSessions(&file, n); err != nil {
		t.Fatal(err)
	}
	return addSnapshot(t, w, file.Bytes())
}

func addSnapshot(t *testing.T, w *memwarden.Warden, text []byte) archive.Record {
	t.Helper()
	kept, err := w.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	draft, err := kept.Create(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := draft.Write(text); err != nil {
		t.Fatal(err)
	}
	record, err := draft.Keep()
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func keeping(t *testing.T) *memwarden.Warden {
	return startWarden(t, memwarden.Options{Snapshot: memwarden.SnapshotOptions{
		Dir: t.TempDir(), MaxAge: ages, Cooldown: time.Hour, Deadline: 10 * time.Minute, Helper: testprogram.SnapshotHelper(t),
	}})
}

func TestTakeSnapshot(t *testing.T) {
	w := keeping(t)
	h := mustHandler(t, w, Options{})
	answer := ask(h, "POST", snapshotsPath, "")
	wantStatus(t, answer, http.StatusCreated)
	var taken snapshotDocument
	decodeInto(t, answer, &taken)
	if !taken.Analyzed || taken.Failure != "" || taken.Objects == 0 || taken.PauseSeconds <= 0 || taken.Method != string(snapshot.Fork) ||
		taken.Executable == "" || answer.Header().Get("Location") != "snapshots/"+taken.ID {
		t.Errorf("taken %+v, at %q", taken, answer.Header().Get("Location"))
	}
	again := ask(h, "POST", snapshotsPath, "{}")
	wantProblem(t, again, http.StatusTooManyRequests, "MEMWARDEN_SNAPSHOT_COOLDOWN")
	if wait, err := strconv.Atoi(again.Header().Get("Retry-After")); err != nil || wait < 3500 || wait > 3600 {
		t.Errorf("Retry-After %q", again.Header().Get("Retry-After"))
	}
	wantStatus(t, ask(h, "POST", snapshotsPath, `{"what":1}`), http.StatusBadRequest)
	var list snapshotsDocument
	decodeInto(t, ask(h, "GET", snapshotsPath, ""), &list)
	if len(list.Snapshots) != 1 || list.Snapshots[0].ID != taken.ID || !list.Snapshots[0].Analyzed || list.Snapshots[0].Analysis != nil {
		t.Errorf("the list has %+v", list)
	}
	var one snapshotDocument
	decodeInto(t, ask(h, "GET", snapshotsPath+"/"+taken.ID+"?top=3", ""), &one)
	if one.Analysis == nil || len(one.Analysis.Types) != 3 || one.Analysis.TypeCount <= 3 || one.Analysis.TypedRatio < 0.5 {
		t.Errorf("the record is %+v", one)
	}
	file := ask(h, "GET", snapshotsPath+"/"+taken.ID+"/download", "")
	if r, err := snapshot.Open(bytes.NewReader(file.Body.Bytes()), int64(file.Body.Len())); err != nil || r.Summary().Objects != taken.Objects {
		t.Errorf("the file has %d bytes: %v", file.Body.Len(), err)
	}
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

func TestASecondSnapshotWhileOneRuns(t *testing.T) {
	w := keeping(t)
	h := mustHandler(t, w, Options{})
	waiting := addSessions(t, w, 10)
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
	wantProblem(t, ask(h, "POST", snapshotsPath, ""), http.StatusConflict, "being taken")
	var document snapshotDocument
	decodeInto(t, ask(h, "GET", snapshotsPath+"/"+waiting.ID, ""), &document)
	if document.Analyzed || !strings.Contains(document.Failure, "being taken") {
		t.Errorf("meanwhile: %+v", document)
	}
	close(g.opened)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	decodeInto(t, ask(h, "GET", snapshotsPath+"/"+waiting.ID, ""), &document)
	if !document.Analyzed || document.Analysis == nil {
		t.Errorf("afterwards: %+v", document)
	}
}

// TestAClientThatGoes: the copy and the helper do not outlive the request.
func TestAClientThatGoes(t *testing.T) {
	w := keeping(t)
	h := mustHandler(t, w, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, newRequest("POST", snapshotsPath, "").WithContext(ctx))
	wantStatus(t, answer, http.StatusServiceUnavailable)
	kept, err := w.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	if list := kept.List(); len(list) > 0 {
		t.Errorf("kept %+v", list)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			t.Errorf("a child is left: %s", text)
		}
	}
}

func TestSnapshotRoutesRefuse(t *testing.T) {
	remote := mustHandler(t, startWarden(t, memwarden.Options{PID: os.Getpid()}), Options{})
	none := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	routes := []struct{ method, path string }{
		{"POST", ""}, {"GET", ""}, {"GET", "/x"}, {"DELETE", "/x"}, {"GET", "/x/download"}, {"GET", "/compare?from=x&to=y"},
	}
	w := keeping(t)
	known := mustHandler(t, w, Options{})
	for _, r := range routes {
		wantProblem(t, ask(remote, r.method, snapshotsPath+r.path, ""), http.StatusConflict, "observed but not governed")
		wantProblem(t, ask(none, r.method, snapshotsPath+r.path, ""), http.StatusConflict, "MEMWARDEN_SNAPSHOT_DIR")
		if r.path != "" {
			wantProblem(t, ask(known, r.method, snapshotsPath+r.path, ""), http.StatusNotFound, "no such snapshot")
		}
	}
	wantProblem(t, ask(known, "GET", snapshotsPath+"/compare?from=x", ""), http.StatusNotFound, "no such snapshot")
	wantProblem(t, ask(known, "GET", snapshotsPath+"/compare", ""), http.StatusBadRequest, "from")
	id := addSessions(t, w, 10).ID
	wantProblem(t, ask(known, "GET", snapshotsPath+"/compare?from="+id, ""), http.StatusBadRequest, "to")
	wantProblem(t, ask(known, "GET", snapshotsPath+"/"+id+"?top=0", ""), http.StatusBadRequest, "top")
	wantStatus(t, ask(known, "GET", snapshotsPath+"/..%2f..%2fetc%2fpasswd", ""), http.StatusNotFound)
	wantStatus(t, ask(known, "PUT", snapshotsPath+"/"+id, ""), http.StatusMethodNotAllowed)
}

func TestCompareSnapshots(t *testing.T) {
	w := keeping(t)
	h := mustHandler(t, w, Options{})
	few, many := addSessions(t, w, 1000), addSessions(t, w, 2000)
	answer := ask(h, "GET", snapshotsPath+"/compare?from="+few.ID+"&to="+many.ID, "")
	wantStatus(t, answer, http.StatusOK)
	var document comparisonDocument
	decodeInto(t, answer, &document)
	if document.From.ID != few.ID || document.To.ID != many.ID || !document.From.Analyzed || document.Difference.ReachedBytesGrowth <= 0 ||
		len(document.Difference.Types) == 0 || len(document.Difference.Suspects) == 0 {
		t.Errorf("the difference is %s", answer.Body)
	}
	damaged := addSnapshot(t, w, []byte("no snapshot"))
	wantProblem(t, ask(h, "GET", snapshotsPath+"/compare?from="+few.ID+"&to="+damaged.ID, ""), http.StatusServiceUnavailable, "damaged")
	var broken snapshotDocument
	decodeInto(t, ask(h, "GET", snapshotsPath+"/"+damaged.ID, ""), &broken)
	if broken.Analyzed || !strings.Contains(broken.Failure, "damaged") {
		t.Errorf("a damaged one: %+v", broken)
	}
}

func TestHeadStartsNoAnalysis(t *testing.T) {
	w := keeping(t)
	h := mustHandler(t, w, Options{})
	id := addSessions(t, w, 10).ID
	wantStatus(t, ask(h, "HEAD", snapshotsPath+"/"+id, ""), http.StatusOK)
	kept, err := w.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	if r, err := kept.Get(id); err != nil || r.Analyzed {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestDownloadSnapshot(t *testing.T) {
	w := keeping(t)
	h := mustHandler(t, w, Options{})
	record := addSessions(t, w, 100)
	path := snapshotsPath + "/" + record.ID + "/download"
	whole := ask(h, "GET", path, "")
	wantStatus(t, whole, http.StatusOK)
	if int64(whole.Body.Len()) != record.Bytes || whole.Header().Get("Content-Disposition") != `attachment; filename="`+record.ID+`.snapshot"` ||
		whole.Header().Get("Content-Type") != "application/octet-stream" || whole.Header().Get("ETag") != `"`+record.ID+`"` || whole.Header().Get("Last-Modified") != "" {
		t.Errorf("%d bytes, %v", whole.Body.Len(), whole.Header())
	}
	part := ask(h, "GET", path, "", "Range", "bytes=10-19", "If-Range", whole.Header().Get("ETag"))
	if part.Code != http.StatusPartialContent || !bytes.Equal(part.Body.Bytes(), whole.Body.Bytes()[10:20]) {
		t.Errorf("a part: %d, %q", part.Code, part.Body)
	}
	for _, header := range [][]string{
		{"Range", "bytes=0-1,5-6"}, {"Range", "bytes=0-1", "If-Range", `"another"`}, {"If-None-Match", whole.Header().Get("ETag")}, {"If-Match", `"another"`},
		{"Range", "bytes=0-"},
	} {
		if got := ask(h, "GET", path, "", header...); got.Code != http.StatusOK && !slices.Contains(header, "bytes=0-") || got.Body.Len() != whole.Body.Len() {
			t.Errorf("%v: %d, %d bytes", header, got.Code, got.Body.Len())
		}
	}
	beyond := ask(h, "GET", path, "", "Range", "bytes=99999999-")
	wantProblem(t, beyond, http.StatusRequestedRangeNotSatisfiable, "Content-Range")
	if got := beyond.Header().Get("Content-Range"); got != "bytes */"+strconv.FormatInt(record.Bytes, 10) || beyond.Header().Get("Content-Disposition") != "" || beyond.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("Content-Range %q, %v", got, beyond.Header())
	}
	head := ask(h, "HEAD", path, "")
	if head.Code != http.StatusOK || head.Body.Len() != 0 || head.Header().Get("Content-Length") != strconv.FormatInt(record.Bytes, 10) {
		t.Errorf("HEAD: %d, %v", head.Code, head.Header())
	}
	gone := ask(h, "DELETE", snapshotsPath+"/"+record.ID, "")
	if gone.Code != http.StatusNoContent || gone.Body.Len() != 0 {
		t.Errorf("DELETE: %d, %s", gone.Code, gone.Body)
	}
	wantStatus(t, ask(h, "GET", path, ""), http.StatusNotFound)
	if _, err := (&rangeWriter{ResponseWriter: httptest.NewRecorder()}).Write([]byte("x")); err != nil {
		t.Error(err)
	}
}

func TestWithoutRoom(t *testing.T) {
	w := startWarden(t, memwarden.Options{Snapshot: memwarden.SnapshotOptions{Dir: t.TempDir(), BudgetBytes: 1 << 20, MaxAge: ages}})
	h := mustHandler(t, w, Options{})
	wantProblem(t, ask(h, "POST", snapshotsPath, ""), http.StatusServiceUnavailable, "MEMWARDEN_SNAPSHOT_BUDGET")
	var document snapshotDocument
	decodeInto(t, ask(h, "GET", snapshotsPath+"/"+addSessions(t, w, 10).ID, ""), &document)
	if document.Analyzed || !strings.Contains(document.Failure, "analyse it elsewhere") {
		t.Errorf("%+v", document)
	}
}
