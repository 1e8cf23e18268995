package auto

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/settings"
)

// begin starts an instance from an environment of its own; what it logs goes to the builder.
func begin(t *testing.T, environment ...string) (*instance, *strings.Builder) {
	t.Helper()
	before := debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	var log strings.Builder
	a := start(func(name string) (string, bool) {
		for _, entry := range environment {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}, slog.New(slog.NewTextHandler(&log, nil)))
	if a != nil {
		t.Cleanup(func() {
			if err := a.close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return a, &log
}

func get(t *testing.T, a *instance, path, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.listener.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestTheImportWatches(t *testing.T) {
	if Warden() == nil || Warden().State() == nil {
		t.Fatal("nothing was started by the import")
	}
	if Addr() != nil {
		t.Errorf("a listener on %v that nobody asked for", Addr())
	}
}

func TestDisabled(t *testing.T) {
	if a, log := begin(t, "MEMWARDEN_DISABLED=1", "MEMWARDEN_ADDR=127.0.0.1:0"); a != nil || log.Len() > 0 {
		t.Errorf("%+v, log:\n%s", a, log)
	}
}

func TestListenerServes(t *testing.T) {
	a, _ := begin(t, "MEMWARDEN_ADDR=127.0.0.1:0", "MEMWARDEN_ADMIN_TOKEN=correct-horse-battery", "MEMWARDEN_READS_NEED_TOKEN=true")
	for _, c := range []struct {
		path, token string
		status      int
	}{
		{"/api/health", "", 200}, {"/livez", "", 200},
		{"/api/monitoring/memory/stats", "", 401}, {"/api/monitoring/memory/stats", "correct-horse-battery", 200},
		{"/api/monitoring/memory/config", "wrong-horse-battery", 401}, {"/api/monitoring/memory/config", "correct-horse-battery", 200},
	} {
		if status, body := get(t, a, c.path, c.token); status != c.status {
			t.Errorf("%s: %d, want %d: %s", c.path, status, c.status, body)
		}
	}
}

// TestLeakSettings: each variable changes its own field of what the warden has in force, and nothing else; none is left out.
func TestLeakSettings(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range []struct {
		name, text string
		change     func(*memwarden.LeakConfig)
	}{
		{"MEMWARDEN_LEAK_DETECTION", "false", func(c *memwarden.LeakConfig) { c.Enabled = false }},
		{"MEMWARDEN_LEAK_PAUSED", "true", func(c *memwarden.LeakConfig) { c.Paused = true }},
		{"MEMWARDEN_LEAK_SAMPLE_INTERVAL", "2s", func(c *memwarden.LeakConfig) { c.IntervalSeconds = 2 }},
		{"MEMWARDEN_LEAK_WINDOW", "1h", func(c *memwarden.LeakConfig) { c.WindowSeconds = 3600 }},
		{"MEMWARDEN_LEAK_MIN_RISE", "30%", func(c *memwarden.LeakConfig) { c.MinRiseRatio = 0.3 }},
		{"MEMWARDEN_LEAK_SNAPSHOTS", "true", func(c *memwarden.LeakConfig) { c.Snapshots = true }},
		{"MEMWARDEN_LEAK_GOROUTINE_PROFILE", "false", func(c *memwarden.LeakConfig) { c.GoroutineProfile = false }},
		{"MEMWARDEN_LEAK_TRACK_COLLECTIONS", "7", func(c *memwarden.LeakConfig) { c.TrackCollections = 7 }},
		{"MEMWARDEN_LEAK_AUTO_CLEANUP", "true", func(c *memwarden.LeakConfig) { c.AutoCleanup = true }},
	} {
		tested[c.name] = true
		want := memwarden.DefaultConfig().Leaks
		c.change(&want)
		a, log := begin(t, c.name+"="+c.text)
		if got := a.warden.Config().Config.Leaks; got != want {
			t.Errorf("%s=%s: %+v, want %+v; the log is\n%s", c.name, c.text, got, want, log)
		}
		refused := map[string]error{"MEMWARDEN_LEAK_PAUSED": memwarden.ErrLeaksPaused, "MEMWARDEN_LEAK_DETECTION": memwarden.ErrLeaksOff}[c.name]
		if _, err := a.warden.CheckLeaks(t.Context()); !errors.Is(err, refused) {
			t.Errorf("%s=%s: who has leaks looked for gets %v, want %v", c.name, c.text, err, refused)
		}
	}
	for _, s := range memwarden.ConfigSettings() {
		if strings.HasPrefix(s.Name, "MEMWARDEN_LEAK_") && !tested[s.Name] {
			t.Errorf("%s is not tested", s.Name)
		}
	}
}

func TestMistakesAreLoggedAndTheDefaultsHold(t *testing.T) {
	a, log := begin(t, "MEMWARDEN_PRESSURE_HIGH=lots", "MEMWARDEN_ADMIN_TOKEN=short", "MEMWARDEN_PRESSURE_ELEVATED=0.85", "MEMWARDEN_ADDR=127.0.0.1:0")
	for _, want := range []string{"MEMWARDEN_PRESSURE_HIGH", "MEMWARDEN_ADMIN_TOKEN", "MEMWARDEN_PRESSURE_ELEVATED"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s is not named:\n%s", want, log)
		}
	}
	if strings.Contains(log.String(), "short") && strings.Contains(log.String(), "=short") {
		t.Errorf("the token is logged:\n%s", log)
	}
	if got := a.warden.Config().Config.Pressure.ElevatedRatio; got != 0.7 {
		t.Errorf("elevated at %v, want the default", got)
	}
	if status, _ := get(t, a, "/api/monitoring/memory/config", "short"); status != http.StatusForbidden {
		t.Errorf("admin routes answer %d with a token that was refused", status)
	}
}

func TestAPortInUseDoesNotStopTheWatch(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	a, log := begin(t, "MEMWARDEN_ADDR="+taken.Addr().String())
	if a == nil || a.listener != nil || !strings.Contains(log.String(), taken.Addr().String()) || !strings.Contains(log.String(), "MEMWARDEN_ADDR") {
		t.Errorf("%+v, log:\n%s", a, log)
	}
	a, log = begin(t, "MEMWARDEN_ADDR=127.0.0.1:0", "MEMWARDEN_READS_NEED_TOKEN=true")
	if a == nil || a.listener != nil || !strings.Contains(log.String(), "nobody could read") {
		t.Errorf("reads that need a token that nobody has: %+v, log:\n%s", a, log)
	}
}

// TestCloseAndNil closes the import's own instance, in a process of its own.
func TestCloseAndNil(t *testing.T) {
	if os.Getenv("MEMWARDEN_TEST_CLOSE") != "" {
		wanted := os.Getenv("MEMWARDEN_DISABLED") == ""
		if (Warden() != nil) != wanted || (Addr() != nil) != wanted {
			t.Errorf("warden %v, address %v", Warden(), Addr())
		}
		for range 2 {
			if err := Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		return
	}
	for _, disabled := range []string{"", "1"} {
		child := exec.Command(os.Args[0], "-test.run=^TestCloseAndNil$")
		child.Env = append(os.Environ(), "MEMWARDEN_TEST_CLOSE=1", "MEMWARDEN_ADDR=127.0.0.1:0", "MEMWARDEN_DISABLED="+disabled)
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("disabled %q: %v\n%s", disabled, err, out)
		}
	}
}

func TestSettingsAreComplete(t *testing.T) {
	for _, s := range Settings() {
		if !strings.HasPrefix(s.Name, settings.Prefix) || s.Help == "" {
			t.Errorf("%+v", s)
		}
	}
}

func TestAListenerThatEndsIsLogged(t *testing.T) {
	a, log := begin(t, "MEMWARDEN_ADDR=127.0.0.1:0")
	if err := a.listener.Close(); err != nil {
		t.Fatal(err)
	}
	a.serving.Wait()
	if !strings.Contains(log.String(), "no longer served") {
		t.Errorf("log:\n%s", log)
	}
}

// TestIncidentDirectoryThatCannotBeUsed: memory is watched all the same, also if that of snapshots cannot be used either.
func TestIncidentDirectoryThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a, log := begin(t, "MEMWARDEN_INCIDENT_DIR="+file, "MEMWARDEN_SNAPSHOT_DIR="+file)
	if a == nil || !strings.Contains(log.String(), "memory incident bundles are not written") {
		t.Fatalf("%v\n%s", a, log)
	}
	if _, err := a.warden.Incidents(); !errors.Is(err, memwarden.ErrNoIncidents) {
		t.Error(err)
	}
	dir := t.TempDir()
	a, _ = begin(t, "MEMWARDEN_INCIDENT_DIR="+dir)
	if _, err := a.warden.Incidents(); err != nil {
		t.Error(err)
	}
}

// TestSnapshotDirectoryThatCannotBeUsed: memory is watched all the same.
func TestSnapshotDirectoryThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a, log := begin(t, "MEMWARDEN_SNAPSHOT_DIR="+file)
	if a == nil || !strings.Contains(log.String(), "memory snapshots are not kept") {
		t.Fatalf("%v\n%s", a, log)
	}
	if _, err := a.warden.Snapshots(); !errors.Is(err, memwarden.ErrNoSnapshotDir) {
		t.Error(err)
	}
	dir := t.TempDir()
	a, _ = begin(t, "MEMWARDEN_SNAPSHOT_DIR="+dir)
	if _, err := a.warden.Snapshots(); err != nil {
		t.Error(err)
	}
}
