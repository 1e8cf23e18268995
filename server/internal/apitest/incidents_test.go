package apitest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/incident"
	"github.com/memwarden/memwarden/memstat"
)

// killedRun leaves in a directory what a run leaves that the kernel has killed in the container: a bundle that came to no
// end and has lost a file, and that it ran.
func killedRun(t *testing.T, root, dir string) (id string) {
	t.Helper()
	kept, err := incident.Open(incident.Options{Dir: dir, MaxCount: 10, MaxAge: time.Hour, MaxBytes: 1 << 30, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	began, left := time.Now().Add(-time.Minute).UTC(), 1.5
	draft, err := kept.Begin(incident.Cause{
		Rule: "growth", Reason: "the limit is near", Extent: "whole", UsedBytes: 1, TotalBytes: 2, LimitBytes: 3, EstimatedBytes: 2,
		GrowthPerSecond: 0.5, SecondsToLimit: &left, Collections: 4, Growing: []string{"1.0 GiB more than 2h0m0s ago"},
	}, incident.Program{Executable: "app", GoVersion: runtime.Version(), Platform: "linux/amd64", PID: 7, StartedAt: began})
	if err != nil {
		t.Fatal(err)
	}
	draft.Expect("heap.snapshot")
	err = draft.Add("heap.pb.gz", "heap profile", incident.Profile("heap"))
	draft.Miss("trace.out", "no flight recorder is running")
	_, published := draft.Publish()
	_, noted := kept.BeginRun(incident.Run{
		StartedAt: began, PID: 7, OOMKills: memstat.Known[int64](0),
		Group: incident.GroupIdentity(root, filepath.Join(root, "sys/fs/cgroup/pod/app")),
	})
	if err := errors.Join(err, published, noted, os.Remove(filepath.Join(dir, draft.ID(), "heap.pb.gz"))); err != nil {
		t.Fatal(err)
	}
	return draft.ID()
}

func testIncidents(t *testing.T, b *book) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: there are no control groups, by which a run is told that the one before was killed")
	}
	root, dir := container(t, roomy), filepath.Join(t.TempDir(), "incidents")
	boot := filepath.Join(root, "proc/sys/kernel/random/boot_id")
	if err := errors.Join(os.MkdirAll(filepath.Dir(boot), 0o700), os.WriteFile(boot, []byte("boot\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	left := killedRun(t, root, dir)
	w := startWarden(t, memwarden.Options{Root: root, Incidents: memwarden.IncidentOptions{Dir: dir, NoSnapshots: true}})
	s := b.serveHTTP(t, w, administered(t))
	ask := request{operation: "POST " + incidents, token: token}
	for _, bad := range malformed {
		ask.kind, ask.body = bad.kind, bad.body
		s.send(t, bad.status, ask)
	}
	ask.kind, ask.body = "", `{"reason":"a test asks"}`
	var taken incident.Record
	s.send(t, 201, ask).into(t, &taken)
	if taken.Cause.Reason != "a test asks" || taken.Cause.Rule != incident.Manual || len(taken.Pending) == 0 {
		t.Errorf("the bundle is %+v", taken)
	}
	ask.body = ""
	s.send(t, 429, ask)
	var all struct {
		Incidents   []struct{ ID, Damage string }
		PreviousRun *struct {
			Ended   string
			Bundles []string
		} `json:"previous_run"`
	}
	text := s.send(t, 200, request{operation: "GET " + incidents, token: token}).body
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Incidents) != 2 || all.Incidents[1].ID != left || all.Incidents[1].Damage == "" || all.PreviousRun == nil ||
		all.PreviousRun.Ended != string(incident.KilledForMemory) || !slices.Equal(all.PreviousRun.Bundles, []string{left}) {
		t.Errorf("the bundles are %s", text)
	}
	one := func(operation, id, rest string) request {
		return request{operation: operation + " " + incidents + "/{id}" + rest, path: incidents + "/" + id + rest, token: token}
	}
	s.send(t, 200, one("GET", left, ""))
	s.send(t, 200, one("GET", taken.ID, ""))
	s.send(t, 404, one("GET", "none", ""))
	if got := s.send(t, 200, one("GET", taken.ID, "/download")); len(got.body) < 1000 || !strings.Contains(got.header.Get("Content-Disposition"), taken.ID+".tar.gz") {
		t.Errorf("downloaded %d bytes: %v", len(got.body), got.header)
	}
	s.send(t, 404, one("GET", "none", "/download"))
	s.send(t, 204, one("DELETE", left, ""))
	s.send(t, 404, one("DELETE", left, ""))
	testIncidentsRefused(t, b)
}

func testIncidentsRefused(t *testing.T, b *book) {
	t.Helper()
	none := b.serveHTTP(t, startWarden(t, memwarden.Options{}), administered(t))
	for _, r := range admin() {
		if strings.Contains(r.operation, incidents) {
			r.token = token
			none.send(t, 409, r)
		}
	}
	// A directory in whose place there is a file now.
	dir := filepath.Join(t.TempDir(), "incidents")
	w := startWarden(t, memwarden.Options{Incidents: memwarden.IncidentOptions{Dir: dir, NoSnapshots: true}})
	s := b.serveHTTP(t, w, administered(t))
	taken, err := w.RecordIncident(t.Context(), "a test")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := w.Incidents()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); !taken.Complete; runtime.GC() { // its last parts are written after one
		if time.Now().After(deadline) {
			t.Fatalf("the bundle stays incomplete: %+v", taken)
		}
		if taken, err = kept.Get(taken.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Get(taken.ID); err != nil {
		t.Fatal(err)
	}
	s.send(t, 503, request{operation: "DELETE " + incidents + "/{id}", path: incidents + "/" + taken.ID, token: token})
	s.send(t, 503, request{operation: "GET " + incidents + "/{id}/download", path: incidents + "/" + taken.ID + "/download", token: token})
	other := b.serveHTTP(t, startWarden(t, memwarden.Options{Incidents: memwarden.IncidentOptions{Dir: filepath.Join(t.TempDir(), "i"), NoSnapshots: true, MaxBytes: 1 << 20}}), administered(t))
	other.send(t, 503, request{operation: "POST " + incidents, token: token})
	if err := os.Remove(dir); err != nil { // the warden notes there that it was closed
		t.Fatal(err)
	}
}
