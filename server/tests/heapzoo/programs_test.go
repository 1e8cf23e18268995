//go:build linux

package heapzoo

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program is one that no one here wrote, built from the module proxy.
type program struct {
	name     string // of the executable
	pkg      string // with its version
	run      func(t *testing.T, s *stranger)
	typed    float64 // share of bytes typed, in a default build
	holds    string  // a type of which there is much
	onlyLong bool
	// load works the program until it is stopped.
	load func(t *testing.T, s *stranger) *load
	// reader, if it is set, is the function in which the program has a goroutine for each connection, and spare how many more
	// may be there: of connections that the test keeps to ask what it needs to know.
	reader string
	spare  int
}

var programs = []program{
	{
		name: "nats-server", pkg: "github.com/nats-io/nats-server/v2@v2.15.2", run: runNATS, typed: 0.99, holds: "server.",
		load: loadNATS, reader: "/server.(*client).readLoop",
	},
	{
		name: "caddy", pkg: "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9", run: runCaddy, typed: 0.95, holds: "http.", onlyLong: true,
		load: loadCaddy, reader: "net/http.(*conn).serve", spare: 2,
	},
	{
		name: "prometheus", pkg: "github.com/prometheus/prometheus/cmd/prometheus@v0.316.0", run: runPrometheus, typed: 0.95, holds: "tsdb.", onlyLong: true,
		load: loadPrometheus,
	},
}

// stranger is such a program while it runs.
type stranger struct {
	path  string
	dir   string // of its data
	debug string // URL of its pprof routes
	pid   int
	// address is where clients connect to, and connections how many have that stay. For Prometheus, which connects to its
	// targets by itself, it is where the target is.
	address     string
	connections int
}

// TestStrangers loads programs, stops the load, collects twice, and holds what is reached against what the collector
// marked. Then it takes snapshots while there is load.
func TestStrangers(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			if p.onlyLong && !*long {
				t.Skip("SKIPPED: it takes minutes to build; make test-long runs it")
			}
			s := &stranger{path: install(t, p), dir: t.TempDir()}
			p.run(t, s)
			a := s.atRest(t)
			if a.TypedRatio < p.typed {
				t.Errorf("%.2f %% of the bytes are typed, %.2f %% of them inferred; want %.0f %%", 100*a.TypedRatio, 100*a.InferredRatio, 100*p.typed)
			}
			found := false
			for _, typ := range a.Types[:min(len(a.Types), 50)] {
				found = found || strings.Contains(typ.Name, p.holds)
			}
			if !found {
				t.Errorf("no type %s… among the first", p.holds)
			}
			t.Logf("%d objects, %d bytes reached, %d marked, typed %.4f, inferred %.4f, paused %v", a.Objects, a.ReachedBytes,
				a.RuntimeLiveBytes, a.TypedRatio, a.InferredRatio, time.Duration(a.PauseSeconds*1e9))
			begin := time.Now()
			s.underLoad(t, p)
			t.Logf("under load for %v", time.Since(begin))
		})
	}
}

// atRest looks at the program after two collections. It goes on with its own affairs: what it lets go of between the
// collection and the snapshot was marked and is not reached, so it has three tries.
func (s *stranger) atRest(t *testing.T) *analysis {
	t.Helper()
	for try := 1; ; try++ {
		s.collect(t)
		s.collect(t)
		a := capture(t, s.pid)
		err := a.gate()
		if err == nil {
			return a
		}
		if t.Log(err); try == 3 {
			t.Error("what is reached is not what the collector marked")
			return a
		}
	}
}

// install builds a program from the module proxy.
func install(t *testing.T, p program) string {
	t.Helper()
	cmd := exec.Command("go", "install", p.pkg)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOBIN="+built)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go install %s: %v\n%s", p.pkg, err, output)
	}
	return filepath.Join(built, p.name)
}

// start starts the program; it is told to end with the test.
func (s *stranger) start(t *testing.T, arguments ...string) {
	t.Helper()
	cmd := exec.Command(s.path, arguments...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir)
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		err := cmd.Wait()
		log.Close()
		if text, _ := os.ReadFile(log.Name()); err != nil && t.Failed() {
			t.Logf("%s ended with %v:\n%s", s.path, err, text)
		}
	})
}

// get asks until the program answers 200.
func get(t *testing.T, address string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			body, readErr := io.ReadAll(response.Body)
			response.Body.Close()
			if readErr == nil && response.StatusCode == http.StatusOK {
				return body
			}
			err = fmt.Errorf("%s: %.200s", response.Status, body)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("GET %s: %v", address, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// collect has the program collect its garbage: its heap profile does, when asked for the state after a collection.
func (s *stranger) collect(t *testing.T) { get(t, s.debug+"/debug/pprof/heap?gc=1") }

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// connect opens a connection that lives as long as the test.
func connect(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); { // it may not listen yet
		time.Sleep(20 * time.Millisecond)
		c, err = net.DialTimeout("tcp", address, 10*time.Second)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// runNATS gives the server 300 subscribers, and as many messages as it may keep in memory.
func runNATS(t *testing.T, s *stranger) {
	address, debug := freeAddress(t), freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	_, profile, _ := net.SplitHostPort(debug)
	s.debug, s.address = "http://"+debug, address
	s.start(t, "--addr", "127.0.0.1", "--port", port, "--profile", profile, "--jetstream", "--store_dir", s.dir)
	get(t, s.debug+"/debug/pprof/cmdline")
	for i := range 300 {
		c, r := connect(t, address)
		s.connections++
		fmt.Fprintf(c, "CONNECT {}\r\nSUB subject.%d 1\r\nPING\r\n", i)
		await(t, r, "PONG")
	}
	c, r := connect(t, address)
	s.connections++
	messages := 70_000
	if *long {
		messages = 200_000
	}
	request := fmt.Sprintf(`{"name":"KEPT","subjects":["kept.>"],"storage":"memory","max_msgs":%d}`, messages)
	fmt.Fprintf(c, "CONNECT {}\r\nSUB answer 1\r\nPUB $JS.API.STREAM.CREATE.KEPT answer %d\r\n%s\r\n", len(request), request)
	await(t, r, `"name":"KEPT"`)
	w := bufio.NewWriterSize(c, 1<<20)
	for i := range messages {
		fmt.Fprintf(w, "PUB kept.%d 128\r\n%0128d\r\n", i%1000, i)
	}
	w.WriteString("PING\r\n")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	await(t, r, "PONG")
}

// await reads lines until one contains a text.
func await(t *testing.T, r *bufio.Reader, text string) {
	t.Helper()
	if err := readUntil(r, text); err != nil {
		t.Fatal(err)
	}
}

// readUntil reads lines until one contains a text.
func readUntil(r *bufio.Reader, text string) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", text, err)
		}
		if strings.Contains(line, text) {
			return nil
		}
	}
}

// runCaddy gives the server 500 connections that stay open after a request.
func runCaddy(t *testing.T, s *stranger) {
	address, admin := freeAddress(t), freeAddress(t)
	s.debug, s.address = "http://"+admin, address
	config := fmt.Sprintf(`{"admin":{"listen":%q},"apps":{"http":{"servers":{"test":{"listen":[%q],
		"automatic_https":{"disable":true},"routes":[{"handle":[{"handler":"static_response","body":"hello\n"}]}]}}}}}`, admin, address)
	file := filepath.Join(s.dir, "config.json")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t, "run", "--config", file)
	get(t, "http://"+address+"/")
	for range 500 {
		c, r := connect(t, address)
		s.connections++
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
		await(t, r, "hello")
	}
}

// series are 20,000 for Prometheus to scrape.
func series(w http.ResponseWriter, _ *http.Request) {
	for i := range 20_000 {
		fmt.Fprintf(w, "requests_total{path=\"/route/%d\",method=\"GET\",code=\"%d\"} %d\n", i/10, 200+i%10, i)
	}
}

// runPrometheus has the server scrape some times.
func runPrometheus(t *testing.T, s *stranger) {
	target := httptest.NewServer(http.HandlerFunc(series))
	address := freeAddress(t)
	s.debug, s.address = "http://"+address, target.Listener.Addr().String()
	config := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: test\n  static_configs:\n  - targets: [%q]\n", s.address)
	file := filepath.Join(s.dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t, "--config.file", file, "--storage.tsdb.path", filepath.Join(s.dir, "data"), "--web.listen-address", address)
	query := s.debug + "/api/v1/query?query=" + url.QueryEscape(`count_over_time(up{job="test"}[10m])`)
	for scraped := 0; scraped < 5; {
		var answer struct {
			Data struct {
				Result []struct{ Value [2]any }
			}
		}
		if err := json.Unmarshal(get(t, query), &answer); err != nil {
			t.Fatal(err)
		}
		if len(answer.Data.Result) == 1 {
			fmt.Sscan(fmt.Sprint(answer.Data.Result[0].Value[1]), &scraped)
		}
		time.Sleep(100 * time.Millisecond) // between two questions
	}
	target.Close() // the load has stopped
}
