package memhttp

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/incident"
)

const incidentsPath = "/api/monitoring/memory/incidents"

func incidentOptions(dir string) memwarden.Options {
	return memwarden.Options{Incidents: memwarden.IncidentOptions{Dir: dir, NoSnapshots: true}}
}

// TestIncidentRoutes writes a bundle, lists it, downloads it and deletes it.
func TestIncidentRoutes(t *testing.T) {
	h := mustHandler(t, startWarden(t, incidentOptions(t.TempDir())), Options{})
	made := ask(h, "POST", incidentsPath, `{"reason":"somebody\nasks"}`)
	var r incident.Record
	if err := json.Unmarshal(made.Body.Bytes(), &r); err != nil || made.Code != http.StatusCreated || made.Header().Get("Location") != "incidents/"+r.ID || r.Cause.Reason != "somebody asks" {
		t.Fatalf("%d: %v: %s", made.Code, err, made.Body)
	}
	again := ask(h, "POST", incidentsPath, "")
	wantProblem(t, again, http.StatusTooManyRequests, "asked for a moment ago")
	if again.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	wantProblem(t, ask(h, "POST", incidentsPath, `{"cause":1}`), http.StatusBadRequest, "cause")
	if list := ask(h, "GET", incidentsPath, ""); list.Code != http.StatusOK || !strings.Contains(list.Body.String(), r.ID) || strings.Contains(list.Body.String(), "previous_run") {
		t.Errorf("%d: %s", list.Code, list.Body)
	}
	if one := ask(h, "GET", incidentsPath+"/"+r.ID, ""); one.Code != http.StatusOK || !strings.Contains(one.Body.String(), "heap.pb.gz") {
		t.Errorf("%d: %s", one.Code, one.Body)
	}
	if head := ask(h, "HEAD", incidentsPath+"/"+r.ID+"/download", ""); head.Code != http.StatusOK || head.Body.Len() != 0 {
		t.Errorf("%d: %d bytes", head.Code, head.Body.Len())
	}
	file := ask(h, "GET", incidentsPath+"/"+r.ID+"/download", "")
	if kind := file.Header().Get("Content-Type"); file.Code != http.StatusOK || kind != "application/gzip" {
		t.Errorf("%d of %q", file.Code, kind)
	}
	plain, err := gzip.NewReader(file.Body)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names[header.Name] = true
	}
	if !names[r.ID+"/manifest.json"] || !names[r.ID+"/heap.pb.gz"] || !names[r.ID+"/goroutine.pb.gz"] {
		t.Errorf("downloaded %v", names)
	}
	if gone := ask(h, "DELETE", incidentsPath+"/"+r.ID, ""); gone.Code != http.StatusNoContent {
		t.Errorf("%d: %s", gone.Code, gone.Body)
	}
	for _, id := range []string{r.ID, "x", "..", "..%2f..%2fetc", ".run.json.partial"} {
		if got := ask(h, "GET", incidentsPath+"/"+id, ""); got.Code == http.StatusOK {
			t.Errorf("%s: %d: %s", id, got.Code, got.Body)
		}
	}
}

func TestIncidentRoutesRefuse(t *testing.T) {
	remote := mustHandler(t, startWarden(t, memwarden.Options{PID: os.Getpid()}), Options{})
	none := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	dir := filepath.Join(t.TempDir(), "incidents")
	w := startWarden(t, incidentOptions(dir))
	known := mustHandler(t, w, Options{})
	for _, r := range []struct{ method, path string }{{"POST", ""}, {"GET", ""}, {"GET", "/x"}, {"DELETE", "/x"}, {"GET", "/x/download"}} {
		wantProblem(t, ask(remote, r.method, incidentsPath+r.path, ""), http.StatusConflict, "observed but not governed")
		wantProblem(t, ask(none, r.method, incidentsPath+r.path, ""), http.StatusConflict, "MEMWARDEN_INCIDENT_DIR")
		if r.path != "" {
			wantProblem(t, ask(known, r.method, incidentsPath+r.path, ""), http.StatusNotFound, "no such incident bundle")
		}
	}
	// A bundle whose files are not what they were.
	r, err := w.RecordIncident(t.Context(), "a test")
	if err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(dir, r.ID, "config.json")
	if err := errors.Join(os.Remove(part), os.Mkdir(part, 0o700)); err != nil {
		t.Fatal(err)
	}
	broken := ask(known, "GET", incidentsPath+"/"+r.ID+"/download", "")
	if _, err := gzip.NewReader(bytes.NewReader(broken.Body.Bytes())); err == nil {
		plain, _ := gzip.NewReader(broken.Body)
		if _, err := io.Copy(io.Discard, plain); err == nil {
			t.Error("half a file looks whole")
		}
	}
	// It is moved away rather than removed: parts may still be added to the bundle.
	if err := errors.Join(os.Rename(dir, dir+".old"), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, ask(known, "GET", incidentsPath+"/"+r.ID+"/download", ""), http.StatusServiceUnavailable, "incident")
	wantProblem(t, ask(known, "DELETE", incidentsPath+"/"+r.ID, ""), http.StatusServiceUnavailable, "delete bundle")
	if err := os.Remove(dir); err != nil { // the warden notes there that it was closed
		t.Fatal(err)
	}
}

// TestTheStreamTellsOfBundles says to everyone no more than that there is one.
func TestTheStreamTellsOfBundles(t *testing.T) {
	l := &Live{}
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	r := incident.Record{Manifest: incident.Manifest{ID: "i", At: at, Cause: incident.Cause{Rule: "growth", Reason: "secret"}}}
	text, err := l.encode(memwarden.Event{Kind: memwarden.EventIncident, At: at, Data: r})
	if want := `{"id":"i","at":"2026-01-02T15:04:05Z","rule":"growth"}`; err != nil || string(text) != want {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
}
