package check

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// patience bounds every wait. It is no measure of anything: where all is well nobody waits that long.
	patience = time.Minute
	token    = "a token for the tests alone"
)

// program is an example that runs.
type program struct {
	url  string // where it listens
	exit chan error
	cmd  *exec.Cmd

	mu  sync.Mutex
	log bytes.Buffer
}

// build compiles the example in a directory beside this one.
func build(t *testing.T, name string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), name)
	compile := exec.CommandContext(t.Context(), "go", "build", "-o", file, ".")
	compile.Dir = filepath.Join("..", name)
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("go build in %s: %v\n%s", name, err, out)
	}
	return file
}

var listening = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// run starts a program and waits until it has told where it listens, and written all of told besides. It is killed
// when the test ends, if it still runs.
func run(t *testing.T, file string, environment, arguments []string, told string) *program {
	t.Helper()
	p := &program{exit: make(chan error, 1), cmd: exec.CommandContext(t.Context(), file, arguments...)}
	p.cmd.Env = append(os.Environ(), environment...)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = in, in
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		waits := true
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.mu.Lock()
			fmt.Fprintln(&p.log, lines.Text())
			written := p.log.String()
			p.mu.Unlock()
			if url := listening.FindString(written); waits && url != "" && strings.Contains(written, told) {
				waits = false
				address <- url
			}
		}
	}()
	go func() { <-read; p.exit <- p.cmd.Wait() }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s wrote:\n%s", filepath.Base(file), p.text())
		}
	})
	select {
	case p.url = <-address:
	case err := <-p.exit:
		t.Fatalf("it ended without listening: %v", err)
	case <-time.After(patience):
		t.Fatal("it does not tell where it listens")
	}
	return p
}

// text is what the program wrote up to now.
func (p *program) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// answer is what came back for a request.
type answer struct {
	status int
	kind   string // Content-Type
	body   string
}

// ask sends a request and does not follow redirects.
func (p *program) ask(t *testing.T, method, path, bearer string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, p.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{response.StatusCode, response.Header.Get("Content-Type"), string(body)}
}

// follow opens the live stream and returns its first event, its name and its data, and the rest of the stream.
func (p *program) follow(t *testing.T, path string) (event, data string, rest *bufio.Reader) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("GET %s: %s, %s", path, response.Status, kind)
	}
	rest = bufio.NewReader(response.Body)
	for _, field := range []struct {
		prefix string
		into   *string
	}{{"event: ", &event}, {"data: ", &data}, {"", new(string)}} {
		line, err := rest.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, field.prefix) {
			t.Fatalf("stream: line %q, error %v, want a line that begins with %q", line, err, field.prefix)
		}
		*field.into = strings.TrimSuffix(strings.TrimPrefix(line, field.prefix), "\n")
	}
	return event, data, rest
}

// terminate sends SIGTERM and waits for the end.
func (p *program) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.exit:
		if err != nil {
			t.Errorf("after SIGTERM: %v, want exit code 0", err)
		}
	case <-time.After(patience):
		t.Error("it goes on after SIGTERM")
	}
}
