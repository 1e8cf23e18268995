package apitest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/health"
	"github.com/memwarden/memwarden/history"
	"github.com/memwarden/memwarden/internal/scratch"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/pressure"
	"github.com/memwarden/memwarden/server"
	"github.com/memwarden/memwarden/server/internal/store"
)

// roomy is what the pod holds where it is not the fuller group.
const roomy = "330000000\n"

// container writes the files of /proc and /sys of a process in a container, so that there is every figure that a
// sample can have. Its control group is in another one, which holds so many bytes of its 1 GiB.
func container(t *testing.T, podCurrent string) (root string) {
	t.Helper()
	root = t.TempDir()
	const group = "sys/fs/cgroup/pod/app/"
	for name, content := range map[string]string{
		"proc/meminfo":           "MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\nSwapTotal: 2000000 kB\nSwapFree: 1500000 kB\n",
		"proc/self/statm":        "30000 25600 1200 300 0 9000 0\n",
		"proc/self/status":       "Name:\tapp\nVmHWM:\t  204800 kB\nRssAnon:\t   81920 kB\nVmSwap:\t    2048 kB\nThreads:\t9\n",
		"proc/self/limits":       "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 4096                 files     \n",
		"proc/self/fd/0":         "",
		"proc/self/cgroup":       "0::/pod/app\n",
		"proc/self/mountinfo":    "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		"proc/self/smaps_rollup": "00400000-7ffc330c5000 ---p 00000000 00:00 0    [rollup]\nRss: 102400 kB\nPss: 92160 kB\nAnonymous: 71680 kB\nSwap: 1024 kB\n",

		"sys/fs/cgroup/cgroup.procs":            "1\n",
		"sys/fs/cgroup/pod/memory.max":          "1073741824\n",
		"sys/fs/cgroup/pod/memory.high":         "1000000000\n",
		"sys/fs/cgroup/pod/memory.current":      podCurrent,
		"sys/fs/cgroup/pod/memory.stat":         "inactive_file 120000000\n",
		"sys/fs/cgroup/pod/memory.events":       "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n",
		"sys/fs/cgroup/pod/memory.events.local": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n",

		group + "cgroup.events":       "populated 1\nfrozen 0\n",
		group + "memory.max":          "max\n",
		group + "memory.high":         "838860800\n",
		group + "memory.current":      "314572800\n",
		group + "memory.peak":         "367001600\n",
		group + "memory.swap.current": "8192\n",
		group + "memory.stat":         "inactive_file 104857600\n",
		group + "memory.events":       "low 0\nhigh 12\nmax 3\noom 2\noom_kill 1\n",
		group + "memory.events.local": "low 0\nhigh 12\nmax 3\noom 2\noom_kill 1\n",
		group + "memory.pressure":     "some avg10=10.00 avg60=5.00 avg300=0.10 total=1000000\nfull avg10=2.00 avg60=1.00 avg300=0.05 total=500000\n",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// startWarden starts a warden that ends with the test. The environment has nothing to say to it.
func startWarden(t *testing.T, o memwarden.Options) *memwarden.Warden {
	t.Helper()
	if o.Config == nil {
		c := memwarden.DefaultConfig()
		o.Config = &c
	}
	o.Config.Sampling.IntervalSeconds = 0.1
	o.LookupEnv = func(string) (string, bool) { return "", false }
	o.Logger = slog.New(slog.DiscardHandler)
	w, err := memwarden.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil && o.Store == nil {
			t.Error(err)
		}
	})
	return w
}

// serveHTTP serves a warden's routes as the service does, but for the index.
func (b *book) serveHTTP(t *testing.T, w *memwarden.Warden, o memhttp.Options) target {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	o.OpenAPI = server.OpenAPI()
	handler, err := memhttp.Handler(w, o)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	client := s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return target{b, s.URL, client}
}

func parseToken(t *testing.T, text string) memhttp.Token {
	t.Helper()
	parsed, err := memhttp.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// openStore opens a database that holds some history, and is closed by the test or at its end.
func openStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{DataDir: scratch.Dir(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	var rows []memwarden.HistoryRow
	begin := time.Now().Truncate(time.Minute).Add(-5 * time.Minute)
	for i := range 4 {
		at := begin.Add(time.Duration(i) * time.Minute)
		point := history.Point{At: at.Unix()}
		rows = append(rows, memwarden.HistoryRow{Resolution: time.Minute, At: at, Data: point.AppendBinary(nil)})
	}
	if err := s.SaveHistory(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	return s
}

// entries is an owner that counts entries alone.
type entries struct{}

func (entries) Name() string { return "connections" }

func (entries) Usage() bounded.Usage {
	const none = bounded.NotApplicable
	return bounded.Usage{Entries: 3, MaxEntries: 20, PeakEntries: 7, Bytes: none, MaxBytes: none, PeakBytes: none}
}

func (entries) Shrink(context.Context, int64) int64 { return 0 }

// broken is an owner that cannot be asked.
type broken struct{ entries }

func (broken) Name() string { return "broken" }

func (broken) Usage() bounded.Usage { panic("no figures") }

// addTasks adds a task of each kind and returns the means to begin and end the slow ones: a task says on began that it
// runs.
func addTasks(t *testing.T, w *memwarden.Warden) (began chan string, release chan struct{}) {
	t.Helper()
	began, release = make(chan string, 2), make(chan struct{})
	for _, task := range []cleanup.Task{
		{Name: "caches", Interval: time.Hour, AtLevel: pressure.High, OnLeak: true, AtShutdown: true, Priority: 3,
			Run: func(context.Context, cleanup.Trigger) (int64, error) { return 4096, nil }},
		{Name: "fails", Run: func(context.Context, cleanup.Trigger) (int64, error) { return 0, errors.New("nothing to free") }},
		{Name: "panics", Run: func(context.Context, cleanup.Trigger) (int64, error) { panic("out of luck") }},
		{Name: "slow", Run: func(ctx context.Context, _ cleanup.Trigger) (int64, error) {
			began <- "slow"
			select {
			case <-release:
			case <-ctx.Done():
			}
			return 1, nil
		}},
		{Name: "stuck", Timeout: time.Millisecond, Run: func(context.Context, cleanup.Trigger) (int64, error) {
			<-release // whatever its context says
			return 0, nil
		}},
	} {
		if _, err := w.Cleanup().Add(task); err != nil {
			t.Fatal(err)
		}
	}
	return began, release
}

// addCheck adds a health check, of the level that is asked for each time, to all probes.
func addCheck(t *testing.T, w *memwarden.Warden, level func() health.Level) {
	t.Helper()
	if _, err := w.Health().Add(health.Check{
		Name: "disk", Probes: health.Live | health.Ready | health.Startup, TTL: time.Nanosecond, FailAfter: 1,
		Run: func(context.Context) health.Result {
			now := level()
			return health.Result{Level: now, Message: fmt.Sprintf("the disk is %v", now), Details: map[string]any{"free_bytes": 5}}
		},
	}); err != nil {
		t.Fatal(err)
	}
}
