package notify

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memwarden/memwarden"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what is waited for.
const patience = time.Minute

// keyText is a key as the settings have it.
const keyText = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// mail is what has come to a receiver.
type mail struct {
	header http.Header
	path   string
	body   []byte
}

// inbox is a receiver.
type inbox struct {
	*httptest.Server
	mail chan mail
}

// newInbox answers with what answer says, 204 if it is nil.
func newInbox(t *testing.T, answer http.HandlerFunc) *inbox {
	t.Helper()
	in := &inbox{mail: make(chan mail, 1000)}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s, %v, %v", r.Method, r.Header, err)
		}
		in.mail <- mail{r.Header.Clone(), r.URL.Path, body}
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(in.Close)
	return in
}

// next waits for mail.
func (in *inbox) next(t *testing.T) mail {
	t.Helper()
	select {
	case m := <-in.mail:
		return m
	case <-time.After(patience):
		t.Fatal("nothing has come")
		return mail{}
	}
}

// empty wants that no mail has come.
func (in *inbox) empty(t *testing.T) {
	t.Helper()
	select {
	case m := <-in.mail:
		t.Errorf("there is mail: %s", m.body)
	default:
	}
}

func mustURLs(t *testing.T, texts ...string) (list []*url.URL) {
	t.Helper()
	list, err := ParseReceivers(strings.Join(texts, ","))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func mustKeys(t *testing.T, text string) Keys {
	t.Helper()
	keys, err := ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// logBook keeps what was logged.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// container is a tree of files that stands for a container's /proc and /sys, with a limit of 100 MiB.
type container struct {
	t    *testing.T
	root string
}

func newContainer(t *testing.T) *container {
	t.Helper()
	c := &container{t, t.TempDir()}
	c.write("proc/self/cgroup", "0::/\n")
	c.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
	c.write("proc/self/statm", "3000 512 0 0 0 0 0\n")
	c.write("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
	c.write("sys/fs/cgroup/memory.max", "104857600\n")
	c.write("sys/fs/cgroup/memory.stat", "inactive_file 0\n")
	c.use("20971520")
	return c
}

func (c *container) use(bytes string) { c.write("sys/fs/cgroup/memory.current", bytes+"\n") }

// write replaces a file in place: readers keep it open.
func (c *container) write(name, content string) {
	c.t.Helper()
	path := filepath.Join(c.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func startWarden(t *testing.T, o memwarden.Options) *memwarden.Warden {
	t.Helper()
	if o.Config == nil {
		c := memwarden.DefaultConfig()
		o.Config = &c
	}
	o.Config.Sampling.IntervalSeconds, o.Config.Pressure.FallDwellSeconds, o.Config.Limit.Manage = 0.1, 0, false
	o.Logger = slog.New(slog.DiscardHandler)
	o.LookupEnv = func(string) (string, bool) { return "", false }
	w, err := memwarden.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// start starts a Notifier that ends before the test does.
func start(t *testing.T, o Options) *Notifier {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		n.Close(ctx)
	})
	return n
}
