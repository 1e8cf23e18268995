//go:build linux

// Package alertmanager holds the service's alerts against a real Alertmanager, built from the module proxy.
package alertmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memwarden/memwarden/internal/freeport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	long    = flag.Bool("long", false, "build an Alertmanager, which takes a minute, and hold the alerts against it")
	program = flag.String("alertmanager", "", "file of an Alertmanager, not to be built again")
)

const (
	module   = "github.com/prometheus/alertmanager@v0.35.0"
	patience = 2 * time.Minute
)

// build builds an Alertmanager. What its release packs beside the module, the pages that a browser sees, is left empty.
func build(t *testing.T) string {
	t.Helper()
	if *program != "" {
		return *program
	}
	dir := t.TempDir()
	run := func(in string, name string, arguments ...string) []byte {
		t.Helper()
		command := exec.CommandContext(t.Context(), name, arguments...)
		command.Dir = in
		command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		var said bytes.Buffer
		command.Stderr = &said
		out, err := command.Output()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, arguments, err, &said)
		}
		return out
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(run(dir, "go", "mod", "download", "-json", module), &downloaded); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(dir, "source")
	run(dir, "cp", "-r", downloaded.Dir, source)
	run(dir, "chmod", "-R", "u+w", source)
	for _, page := range []string{"index.html", "elm/index.html", "mantine/index.html"} {
		file := filepath.Join(source, "ui", "app", "dist", page)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("none"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "alertmanager")
	run(source, "go", "build", "-o", file, "./cmd/alertmanager")
	return file
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// process starts a program, with its output in a file, and ends it with the test.
func process(t *testing.T, command *exec.Cmd) (log func() string) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = file, file
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	log = func() string {
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	stop := sync.OnceFunc(func() {
		_ = command.Process.Signal(os.Interrupt) // it may have ended
		_ = command.Wait()                       // how is its own business
		_ = file.Close()
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("%s:\n%s", command.Path, log())
		}
	})
	return log
}

// alert is one as GET /api/v2/alerts lists it.
type alert struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	GeneratorURL        string
	Status              struct{ State string }
}

// client asks programs.
type client struct{ http.Client }

func (c *client) do(ctx context.Context, method, url, body string) (int, []byte, error) {
	q, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer "+token)
	answer, err := c.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	_, err = text.ReadFrom(answer.Body)
	return answer.StatusCode, text.Bytes(), err
}

// until asks for the alerts until they are as wanted.
func (c *client) until(t *testing.T, url, what string, wanted func([]alert) bool) []alert {
	t.Helper()
	var got []alert
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		status, text, err := c.do(t.Context(), http.MethodGet, url+"/api/v2/alerts", "")
		if err != nil || status != http.StatusOK {
			continue // it does not listen yet
		}
		got = nil
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if wanted(got) {
			return got
		}
	}
	t.Fatalf("%s: the alerts are %+v", what, got)
	return nil
}

const token = "correct horse battery staple"

// TestAlertmanager takes the service's alerts, and lets them go when they are over.
func TestAlertmanager(t *testing.T) {
	if !*long && *program == "" {
		t.Skip("SKIPPED: it takes minutes to build an Alertmanager; make test-long runs it")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(config, []byte("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	log := process(t, exec.CommandContext(t.Context(), build(t), "--config.file="+config, "--storage.path="+dir,
		"--web.listen-address="+address, "--web.route-prefix=/am", "--cluster.listen-address="))
	alertmanager := "http://" + address + "/am"

	file := filepath.Join(dir, "memwarden")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, "../../cmd/memwarden").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port := freePort(t)
	service := exec.CommandContext(t.Context(), file, "serve")
	service.Dir = dir
	service.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, fmt.Sprintf("MEMWARDEN_ADDR=127.0.0.1:%d", port), "MEMWARDEN_ADMIN_TOKEN=" + token,
		"MEMWARDEN_WEBHOOK_URL=" + alertmanager, "MEMWARDEN_WEBHOOK_FORMAT=alertmanager", "MEMWARDEN_DRAIN_DELAY=0s",
		"MEMWARDEN_MEMORY_LIMIT=16777216", "MEMWARDEN_LIMIT_MANAGE=false", // which is less than it takes
		"MEMWARDEN_PRESSURE_FALL_DWELL=0s", "MEMWARDEN_PRESSURE_RISE_DWELL=0s",
		"MEMWARDEN_LEAK_WINDOW=1s", "MEMWARDEN_LEAK_SAMPLE_INTERVAL=100ms", "MEMWARDEN_LEAK_MIN_RISE=0.1",
		"MEMWARDEN_MAX_LIVE_CLIENTS=1000", "MEMWARDEN_RATE_LIMIT=0",
	}
	process(t, service)
	api := fmt.Sprintf("http://127.0.0.1:%d", port)
	c := &client{http.Client{Transport: &http.Transport{}}}
	t.Cleanup(c.CloseIdleConnections)

	of := func(list []alert, name, kind string) *alert {
		for i := range list {
			if list[i].Labels["alertname"] == name && list[i].Labels["kind"] == kind {
				return &list[i]
			}
		}
		return nil
	}
	list := c.until(t, alertmanager, "pressure", func(list []alert) bool { return of(list, "MemwardenPressure", "") != nil })
	if a := of(list, "MemwardenPressure", ""); a.Labels["severity"] != "critical" || !strings.HasSuffix(a.Labels["instance"], fmt.Sprintf(":%d", port)) ||
		!strings.HasPrefix(a.Annotations["summary"], "memory pressure is critical: ") || a.GeneratorURL == "" || !a.EndsAt.After(time.Now()) {
		t.Errorf("%+v", a)
	}
	patch := func(body string) {
		t.Helper()
		if status, text, err := c.do(t.Context(), http.MethodPatch, api+"/api/monitoring/memory/config", body); err != nil || status != http.StatusOK {
			t.Fatalf("%v, %d: %s", err, status, text)
		}
	}
	none := func(list []alert) bool { return len(list) == 0 } // it lists what goes on
	patch(`{"limit":{"memory_bytes":17179869184}}`)
	c.until(t, alertmanager, "no pressure", none)

	// Goroutines leak: streams are opened, one after the other, and nobody leaves.
	ctx, leave := context.WithCancel(t.Context())
	var streams sync.WaitGroup
	for i := range 900 {
		streams.Go(func() {
			select {
			case <-time.After(time.Duration(i) * 10 * time.Millisecond):
				_, _, _ = c.do(ctx, http.MethodGet, api+"/api/monitoring/live", "") // until it leaves
			case <-ctx.Done():
			}
		})
	}
	list = c.until(t, alertmanager, "leak", func(list []alert) bool { return of(list, "MemwardenLeak", "goroutines") != nil })
	if a := of(list, "MemwardenLeak", "goroutines"); a.Annotations["summary"] == "" || a.Annotations["report"] == "" || !strings.Contains(a.GeneratorURL, "/api/monitoring/memory/leaks/") {
		t.Errorf("%+v", a)
	}
	leave()
	streams.Wait()
	patch(`{"leaks":{"enabled":false}}`)
	c.until(t, alertmanager, "over", none)
	if text := log(); strings.Contains(text, "level=WARN") && strings.Contains(text, "alert") {
		t.Errorf("it complains:\n%s", text)
	}
}
