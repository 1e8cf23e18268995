package serve

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/health"
	"github.com/memwarden/memwarden/internal/redistest"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/server/internal/servicetest"
	"github.com/memwarden/memwarden/server/internal/store"
	"github.com/memwarden/memwarden/shutdown"
)

// lingering is a connection that net/http closes half a second after its last answer, as long as goleak waits in all.
var lingering = goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, lingering) }

const (
	secret   = "correct horse battery staple"
	patience = time.Minute
	memory   = "/api/monitoring/memory"
)

// load makes a configuration of settings without their prefix.
func load(t *testing.T, settings map[string]string) config.Config {
	t.Helper()
	all := map[string]string{"ADDR": "127.0.0.1:0", "ADMIN_TOKEN": secret, "DRAIN_DELAY": "0s", "DATA_DIR": t.TempDir()}
	for name, value := range settings {
		all[name] = value
	}
	none := ""
	c, _, err := config.Load(config.Sources{EnvFile: &none, Flag: func(name string) (string, bool) {
		value, ok := all[strings.TrimPrefix(name, "MEMWARDEN_")]
		return value, ok
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// running is a service in this process.
type running struct {
	url         string
	banner, log *servicetest.Text
	client      *http.Client
	stop        context.CancelFunc
	ended       chan struct{}
	report      shutdown.Report // once ended is closed, and err
	err         error
}

func start(t *testing.T, settings map[string]string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{banner: &servicetest.Text{}, log: &servicetest.Text{}, client: &http.Client{Transport: &http.Transport{}}, stop: stop, ended: make(chan struct{})}
	o := Options{Config: load(t, settings), Version: "v1.2.3", Banner: r.banner, Logger: slog.New(slog.NewTextHandler(r.log, nil))}
	go func() {
		defer close(r.ended)
		r.report, r.err = Run(ctx, o)
	}()
	t.Cleanup(func() {
		stop()
		<-r.ended
		r.client.CloseIdleConnections()
	})
	url := regexp.MustCompile(`http://[^/\s]+`)
	for deadline := time.Now().Add(patience); r.url == ""; time.Sleep(time.Millisecond) {
		select {
		case <-r.ended:
			t.Fatal(r.err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the service does not say where it listens")
		}
		r.url = url.FindString(r.banner.String())
	}
	return r
}

// end stops the service, which must go well.
func (r *running) end(t *testing.T) {
	t.Helper()
	r.client.CloseIdleConnections()
	r.stop()
	<-r.ended
	if r.err != nil || r.report.ExitCode() != shutdown.ExitClean {
		t.Errorf("%v, %v", r.err, r.report.Err())
	}
}

func (r *running) send(t *testing.T, want int, method, path, body string) []byte {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+secret)
	q.Header.Set("Content-Type", "application/json")
	response, err := r.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != want {
		t.Errorf("%s %s: status %d, want %d: %s", method, path, response.StatusCode, want, content)
	}
	return content
}

func TestRun(t *testing.T) {
	redis := redistest.Start(t)
	settings := map[string]string{"REDIS_URL": redis.URL(), "DATA_DIR": t.TempDir(), "READS_NEED_TOKEN": "true"}
	r := start(t, settings)
	for path, want := range map[string]string{
		"/": `"version": "v1.2.3"`, "/livez": "ok", "/api/health": `"redis"`, memory + "/stats": `"uptime_seconds"`, memory + "/limits": `"redis_connections"`,
		"/openapi.yaml": "openapi:", "/metrics": "memwarden_",
	} {
		if got := string(r.send(t, http.StatusOK, http.MethodGet, path, "")); !strings.Contains(got, want) {
			t.Errorf("%s answers without %s: %s", path, want, got)
		}
	}
	limits := string(r.send(t, http.StatusOK, http.MethodGet, memory+"/limits", ""))
	for _, owner := range []string{"requests", "websocket", "live_clients", "connection_pool", "reports", "event_bus", "cache"} {
		if !strings.Contains(limits, `"name":"`+owner+`"`) {
			t.Errorf("%s is not among the limits: %s", owner, limits)
		}
	}
	r.send(t, http.StatusOK, http.MethodPatch, memory+"/config", `{"gc":{"relief":false}}`)
	r.end(t)
	if !strings.Contains(r.banner.String(), "memwarden v1.2.3 watches itself") || !strings.Contains(r.banner.String(), "admin routes are open") {
		t.Errorf("the banner is %s", r.banner)
	}
	if strings.Contains(r.log.String()+r.banner.String(), redis.Password()) || strings.Contains(r.log.String(), secret) {
		t.Error("a secret is in the log or the banner")
	}

	again := start(t, settings)
	var document struct{ Version int64 }
	if err := json.Unmarshal(again.send(t, http.StatusOK, http.MethodGet, memory+"/config", ""), &document); err != nil || document.Version != 1 {
		t.Errorf("version %d after a restart, %v", document.Version, err)
	}
	again.end(t)
}

func TestIndex(t *testing.T) {
	r := start(t, map[string]string{"ADMIN_TOKEN": "", "RATE_LIMIT": "0", "ADMIN_RATE_LIMIT": "0"})
	if !strings.Contains(r.banner.String(), "admin routes are closed: set MEMWARDEN_ADMIN_TOKEN") {
		t.Errorf("the banner is %s", r.banner)
	}
	var index struct {
		Routes []struct{ Method, Path, Access string }
	}
	if err := json.Unmarshal(r.send(t, http.StatusOK, http.MethodGet, "/", ""), &index); err != nil || len(index.Routes) != len(memhttp.Routes()) {
		t.Errorf("the index has %d routes of %d, %v", len(index.Routes), len(memhttp.Routes()), err)
	}
	r.send(t, http.StatusOK, http.MethodHead, "/", "")
	r.send(t, http.StatusMethodNotAllowed, http.MethodPost, "/", "")
	r.send(t, http.StatusNotFound, http.MethodGet, "/nothing", "")
	r.send(t, http.StatusForbidden, http.MethodGet, memory+"/config", "")
	r.end(t)
}

// TestRefusedStart fails at each step of a start. What was opened before must be closed, or the next one would find the
// port or the directory in use.
func TestRefusedStart(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().String()
	free := freeAddress(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, c := range map[string]struct {
		settings map[string]string
		pid      int
		change   func(*config.Config)
		says     string
	}{
		"port":      {settings: map[string]string{"ADDR": taken}, says: "cannot listen on " + taken + " (MEMWARDEN_ADDR)"},
		"directory": {settings: map[string]string{"ADDR": free, "DATA_DIR": file}, says: file},
		"redis":     {settings: map[string]string{"ADDR": free, "DATA_DIR": dir, "REDIS_URL": "redis://:hunter2@h/none"}, says: "MEMWARDEN_REDIS_URL"},
		"process":   {settings: map[string]string{"ADDR": free, "DATA_DIR": dir}, pid: 1 << 30, says: "there is no process 1073741824"},
		"warden":    {settings: map[string]string{"ADDR": free, "DATA_DIR": dir}, change: func(c *config.Config) { c.Warden.GC.TunerMinPercent = -1 }, says: "gc.tuner_min_percent"},
		"stream":    {settings: map[string]string{"ADDR": free, "DATA_DIR": dir}, change: func(c *config.Config) { c.MaxLiveClients = 0 }, says: "at most 0 clients"},
		"requests":  {settings: map[string]string{"ADDR": free, "DATA_DIR": dir}, change: func(c *config.Config) { c.MaxRequests = -1 }, says: "max concurrent -1"},
		"routes":    {settings: map[string]string{"ADDR": free, "DATA_DIR": dir}, change: func(c *config.Config) { c.RateBurst = -1 }, says: "RateBurst -1"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Config: load(t, c.settings), PID: c.pid, Banner: &servicetest.Text{}, Logger: slog.New(slog.DiscardHandler)}
			if c.change != nil {
				c.change(&o.Config)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			report, err := Run(ctx, o)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error is %v, want %q", err, c.says)
			}
			if len(report.Phases) > 0 {
				t.Errorf("there was a shutdown: %v", report)
			}
		})
	}
	start(t, map[string]string{"ADDR": free, "DATA_DIR": dir}).end(t)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// TestCancelledStart ends the context before the start is done: that is no reason to leave anything open.
func TestCancelledStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	settings := map[string]string{"ADDR": freeAddress(t), "DATA_DIR": t.TempDir()}
	o := Options{Config: load(t, settings), Banner: &servicetest.Text{}, Logger: slog.New(slog.DiscardHandler)}
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	start(t, settings).end(t)
}

// TestEndWithRequests has a request under way at the end that does not end, and connections without one.
func TestEndWithRequests(t *testing.T) {
	for name, c := range map[string]struct {
		sends string
		code  int
		says  string
	}{
		"a request":  {"PATCH " + memory + "/config HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + secret + "\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{", shutdown.ExitFailed, "1 requests were cut off"},
		"no request": {"", shutdown.ExitClean, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, map[string]string{"SHUTDOWN_TIMEOUT": "1s"})
			conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, c.sends); err != nil {
				t.Fatal(err)
			}
			// Asking for the change makes the server read the body, which does not come: it is under way once that other
			// request, which came later, was answered several times.
			for range 20 {
				r.send(t, http.StatusOK, http.MethodGet, "/livez", "")
				time.Sleep(time.Millisecond)
			}
			r.client.CloseIdleConnections()
			r.stop()
			<-r.ended
			if r.err != nil || r.report.ExitCode() != c.code {
				t.Errorf("exit code %d, want %d: %v", r.report.ExitCode(), c.code, r.err)
			}
			if err := r.report.Err(); c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("the report says %v", err)
			}
		})
	}
}

// TestPanicIsLogged: the server's own words are for whoever reads the log on its standard level.
func TestPanicIsLogged(t *testing.T) {
	log := &servicetest.Text{}
	s := &service{o: Options{Logger: slog.New(slog.NewTextHandler(log, nil))}}
	server := s.newServer(http.NotFoundHandler())
	server.ErrorLog.Print("http: panic serving somebody")
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "panic serving") {
		t.Errorf("the log has %q", log)
	}
}

func TestDatabaseCheck(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	check := databaseCheck(s)
	if got := check.Run(t.Context()); got.Level != health.OK || got.Message != "" || got.Details["kind"] != "sqlite" {
		t.Errorf("%+v", got)
	}
	owner := databaseOwner{s}
	use := owner.Usage()
	if use.Entries < 1 || use.MaxEntries < use.Entries || use.PeakEntries < use.Entries || use.Bytes != bounded.NotApplicable {
		t.Errorf("use is %+v", use)
	}
	if owner.Name() != "connection_pool" || owner.Shrink(t.Context(), 1) != 0 {
		t.Errorf("%s: there is nothing to shrink", owner.Name())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := check.Run(t.Context()); got.Level != health.Down || !strings.Contains(got.Message, "the database does not answer") {
		t.Errorf("%+v", got)
	}
}

func TestDeadlines(t *testing.T) {
	for _, c := range []struct{ total, drain time.Duration }{{30 * time.Second, time.Second}, {time.Second, 0}, {time.Hour, 10 * time.Minute}, {11 * time.Second, 10 * time.Second}} {
		d := deadlines(c.total, c.drain)
		if got := d.Total(); got > c.total || got < c.total-time.Microsecond || d.Drain < c.drain {
			t.Errorf("of %v with a drain of %v: %v together, %+v", c.total, c.drain, got, d)
		}
		for _, phase := range []time.Duration{d.ReadinessOff, d.Drain, d.Hubs, d.Servers, d.Pools, d.Flush} {
			if phase <= 0 {
				t.Errorf("a phase of %v has no time: %+v", c.total, d)
			}
		}
	}
}

func TestURL(t *testing.T) {
	for address, want := range map[string]string{"127.0.0.1:0": "http://127.0.0.1:", ":0": "http://localhost:", "0.0.0.0:0": "http://localhost:", "[::1]:0": "http://[::1]:"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("%s cannot be listened on here: %v", address, err)
			continue
		}
		if got := (&service{listener: newConnections(listener)}).url(); !strings.HasPrefix(got, want) || strings.HasSuffix(got, ":0") {
			t.Errorf("%s is found at %s", address, got)
		}
		listener.Close()
	}
}
