package apitest

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/server"
	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/server/internal/serve"
)

// banner waits for the service to say where it listens.
type banner struct {
	mu    sync.Mutex
	text  bytes.Buffer
	found chan string
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

func (w *banner) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if url := address.FindString(w.text.String()); url != "" {
		select {
		case w.found <- url:
		default:
		}
	}
	return len(p), nil
}

// testService asks the real service, as it is deployed.
func testService(t *testing.T, b *book) {
	flags := map[string]string{"MEMWARDEN_ADDR": "127.0.0.1:0", "MEMWARDEN_ADMIN_TOKEN": token, "MEMWARDEN_DATA_DIR": t.TempDir(), "MEMWARDEN_DRAIN_DELAY": "0s"}
	none := ""
	c, _, err := config.Load(config.Sources{EnvFile: &none, Flag: func(name string) (string, bool) { v, ok := flags[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	said, ended := &banner{found: make(chan string, 1)}, make(chan error, 1)
	go func() {
		report, err := serve.Run(ctx, serve.Options{Config: c, Version: "v0.0.0-test", Banner: said, Logger: slog.New(slog.DiscardHandler)})
		if err == nil && report.ExitCode() != 0 {
			t.Errorf("the shutdown went wrong: %v", report)
		}
		ended <- err
	}()
	var s target
	select {
	case url := <-said.found:
		s = target{b, url, &http.Client{Transport: &http.Transport{}}}
	case err := <-ended:
		t.Fatalf("the service ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the service does not say where it listens")
	}
	s.askService(t)
	s.client.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func (s target) askService(t *testing.T) {
	t.Helper()
	var index struct {
		Name, Version string
		Routes        []struct{ Method, Path, Access string }
	}
	s.send(t, 200, request{operation: "GET /"}).into(t, &index)
	for _, route := range memhttp.Routes() {
		want := struct{ Method, Path, Access string }{route.Method, route.Path, route.Access.String()}
		if !slices.Contains(index.Routes, want) {
			t.Errorf("the index does not have %v", want)
		}
	}
	if document := s.send(t, 200, request{operation: "GET /openapi.yaml"}); !bytes.Equal(document.body, server.OpenAPI()) {
		t.Error("the service serves another document")
	}
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/api/health", memory + "/stats", memory + "/health", memory + "/limits", "/metrics"} {
		s.send(t, 200, request{operation: "GET " + path})
	}
	for _, path := range []string{memory + "/config", memory + "/config/audit", memory + "/cleanup", "/debug/pprof/"} {
		s.send(t, 200, request{operation: "GET " + path, token: token})
		s.send(t, 401, request{operation: "GET " + path})
	}
	s.send(t, 200, request{operation: "PATCH " + memory + "/config", body: `{"gc":{"relief":false}}`, token: token})
	s.send(t, 200, request{operation: "POST " + memory + "/gc", token: token})
	s.send(t, 404, request{operation: "POST " + memory + "/cleanup/{name}/run", path: memory + "/cleanup/none/run", token: token})
	s.sendAside(t, "MethodNotAllowed", 405, "POST", "/")
	s.sendAside(t, "NotFound", 404, "GET", "/nothing")
	conn := s.dial(t)
	var first message
	if err := conn.ReadJSON(&first); err != nil {
		t.Error(err)
	} else {
		s.checkMessage(t, first)
	}
	conn.Close()
}
