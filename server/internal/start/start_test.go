package start

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memwarden/memwarden/internal/freeport"
	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/server/internal/doctor"
	"github.com/memwarden/memwarden/server/internal/launch"
	"github.com/memwarden/memwarden/server/internal/servicetest"
)

var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "memwarden-start-"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(built)
		os.Exit(code)
	}))
}

// program is the real one: its commands are what is started.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "memwarden")
	if output, err := exec.Command("go", "build", "-o", path, "../../cmd/memwarden").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return path, nil
})

// options of a service in a directory of its own, and a channel for its signals.
func options(t *testing.T, settings string) (o Options, out *servicetest.Text, signals chan os.Signal) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: Windows has no signals that end a program in order")
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "env")
	text := "MEMWARDEN_ADDR=" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + "\nMEMWARDEN_DRAIN_DELAY=0s\n" + settings
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Load(config.Sources{EnvFile: &file})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := launch.Prepare(launch.Options{Command: []string{path}, Environ: []string{"PATH=" + os.Getenv("PATH")}, Config: c, CPUs: 2, Service: true, MaxProcs: 2})
	if err != nil {
		t.Fatal(err)
	}
	plan.Dir, plan.Apart = dir, true
	out, signals = &servicetest.Text{}, make(chan os.Signal, 4)
	return Options{
		Config: c, Plan: plan, MaxProcs: 2, Out: out, Err: io.Discard, Signals: signals, Now: time.Now,
		Examine: func() []doctor.Finding {
			return []doctor.Finding{{Status: doctor.OK, Summary: "fine"}, {Status: doctor.Warn, Summary: "doubtful"}, {Status: doctor.Broken, Summary: "bad"}}
		},
		NewLogger: func(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) },
	}, out, signals
}

// TestRun starts, waits until it is said to be ready, and ends.
func TestRun(t *testing.T) {
	o, out, signals := options(t, "")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if strings.Contains(out.String(), "the service is ready") {
				break
			}
		}
		signals <- syscall.SIGTERM
	}()
	code, err := Run(o)
	<-done
	if code != 0 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
	log, err := os.ReadFile(filepath.Join(o.Plan.Dir, "logs", "application.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the service is ready", "level=WARN msg=doubtful", "level=ERROR msg=bad", `"msg":"shutdown done"`} {
		if !strings.Contains(out.String(), want) || !strings.Contains(string(log), want) {
			t.Errorf("no %q in the output or the log:\n%s", want, log)
		}
	}
	if strings.Contains(out.String(), "fine") {
		t.Error("what is fine is told of")
	}
}

func TestRunIsToldToEndBefore(t *testing.T) {
	o, out, signals := options(t, "MEMWARDEN_DATABASE_URL=postgres://127.0.0.1:1/d?sslmode=disable\n")
	if code, err := Run(o); code != 1 || err != nil || !strings.Contains(out.String(), "the service was not started") {
		t.Errorf("a migration that fails: code %d, %v:\n%s", code, err, out)
	}
	signals <- syscall.SIGHUP
	signals <- syscall.SIGTERM
	if s, ended := o.toldToEnd(); !ended || s != syscall.SIGTERM {
		t.Errorf("%v, %v", s, ended)
	}
	if _, ended := o.toldToEnd(); ended {
		t.Error("it was told once")
	}
}

func TestRunFails(t *testing.T) {
	o, _, _ := options(t, "")
	o.Config.LogFile = filepath.Join(o.Config.EnvFile, "below")
	if _, err := Run(o); err == nil || !strings.Contains(err.Error(), "log file: ") {
		t.Errorf("a log file below a file: %v", err)
	}
	o, _, _ = options(t, "")
	o.Plan.Path = filepath.Join(o.Plan.Dir, "gone")
	if _, err := Run(o); err == nil || !strings.Contains(err.Error(), "migrate: ") {
		t.Errorf("no program: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	o.Config.Addr = listener.Addr().String()
	if _, err := Run(o); err == nil || !strings.Contains(err.Error(), o.Config.Addr) {
		t.Errorf("an address in use: %v", err)
	}
}

// TestReadiness asks a server that is not ready at first, and is told of by the service's own words alone.
func TestReadiness(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked < 3 {
			http.Error(w, "database: down", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	why := ask(t.Context(), server.Client(), server.URL)
	if why != "503 Service Unavailable: database: down" {
		t.Errorf("%q", why)
	}
	var out servicetest.Text
	r := watch(slog.New(slog.NewTextHandler(&out, nil)), time.Now)
	r.read([]byte("  memory   " + server.URL + "/api/monitoring/memory/stats"))
	r.read([]byte("  health   " + server.URL + "/api/health"))
	r.read([]byte("  health   http://elsewhere/api/health"))
	for deadline := time.Now().Add(time.Minute); !strings.Contains(out.String(), "the service is ready"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is never ready")
		}
	}
	r.stop()
	for _, url := range []string{"http://127.0.0.1:1/", ":"} {
		if ask(context.Background(), http.DefaultClient, url) == "" {
			t.Errorf("%s is ready", url)
		}
	}
}

type broken struct{ writes int }

func (b *broken) Write([]byte) (int, error) { b.writes++; return 0, io.ErrClosedPipe }

func TestTeeOutlivesItsStream(t *testing.T) {
	var lines []string
	out := &broken{}
	tee := newTee(out, func(line []byte) { lines = append(lines, string(line)) })
	for range 2 {
		if n, err := io.WriteString(tee, "a\nb\n"); n != 4 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if len(lines) != 4 || out.writes != 1 {
		t.Errorf("%q, %d writes", lines, out.writes)
	}
}

func TestDescribe(t *testing.T) {
	o, _, _ := options(t, "MEMWARDEN_MEMORY_LIMIT=512MiB\nMEMWARDEN_DATABASE_URL=postgres://u:hunter2@h/d\nOTHER=hunter2\nMEMWARDEN_LOG_FILE=/var/log/x.log\nMEMWARDEN_DATA_DIR=/data\n")
	var out bytes.Buffer
	if err := Describe(&out, o); err != nil {
		t.Fatal(err)
	}
	list, err := config.ParseEnvFile("output", strings.NewReader(out.String()))
	if err != nil || len(list) < len(config.Settings()) {
		t.Errorf("%d assignments, %v", len(list), err)
	}
	for _, want := range []string{"# 2. Bring the schema up to date of PostgreSQL", "\nMEMWARDEN_DATABASE_URL=********\n", "\nOTHER=********\n", "/var/log/x.log with at most 4"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Error("a secret is shown")
	}
}
