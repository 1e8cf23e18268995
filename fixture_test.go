package memwarden

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/leak"
)

// container is a tree of files that stands for a container's /proc and /sys: cgroup version 2, one group.
type container struct {
	t    *testing.T
	root string
}

func newContainer(t *testing.T, limit string) *container {
	t.Helper()
	c := &container{t, t.TempDir()}
	c.write("proc/self/cgroup", "0::/\n")
	c.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
	c.write("proc/self/statm", "30000 5120 0 0 0 0 0\n")
	c.write("proc/self/status", "Name:\tapp\nVmHWM:\t  20480 kB\nThreads:\t5\n")
	c.write("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
	c.write("sys/fs/cgroup/memory.max", limit+"\n")
	c.write("sys/fs/cgroup/memory.high", "max\n")
	c.write("sys/fs/cgroup/memory.stat", "inactive_file 0\n")
	c.write("sys/fs/cgroup/memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n")
	c.use(20 << 20)
	return c
}

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

func (c *container) use(bytes int64) { c.write("sys/fs/cgroup/memory.current", fmt.Sprintln(bytes)) }

// options are those of a warden in the container, with an environment of its own and a log that can be read.
func (c *container) options(environment ...string) (Options, *logBook) {
	log := &logBook{}
	return Options{Root: c.root, Logger: slog.New(slog.NewTextHandler(log, nil)), LookupEnv: lookup(environment...)}, log
}

func lookup(environment ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, entry := range environment {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

// logBook keeps what was logged.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
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

func begin(t *testing.T, o Options) *Warden {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LookupEnv == nil {
		o.LookupEnv = lookup()
	}
	w, err := Start(t.Context(), o)
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

func subscribe(t *testing.T, w *Warden) *Subscription {
	t.Helper()
	s, err := w.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// waiting takes the events that wait for a reader, in a bubble.
func waiting(s *Subscription) (list []Event) {
	for {
		synctest.Wait()
		select {
		case e := <-s.Events:
			list = append(list, e)
		default:
			return list
		}
	}
}

var errDown = errors.New("the store is down")

// mapStore keeps what it is given in memory. It can be down, and can lose its answer after it has stored a change.
type mapStore struct {
	mu         sync.Mutex
	down       bool // every call fails
	loseAnswer bool // SaveConfig stores, and then fails
	changes    []ConfigChange
	rows       map[time.Duration]map[int64]HistoryRow
}

func (s *mapStore) set(down, loseAnswer bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.loseAnswer = down, loseAnswer
}

func (s *mapStore) SaveConfig(_ context.Context, change ConfigChange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	if change.Version != int64(len(s.changes))+1 {
		return fmt.Errorf("version %d does not follow %d", change.Version, len(s.changes))
	}
	s.changes = append(s.changes, change)
	if s.loseAnswer {
		return errDown
	}
	return nil
}

func (s *mapStore) LatestConfig(context.Context) (ConfigChange, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return ConfigChange{}, false, errDown
	}
	if len(s.changes) == 0 {
		return ConfigChange{}, false, nil
	}
	return s.changes[len(s.changes)-1], true, nil
}

func (s *mapStore) ConfigChanges(_ context.Context, limit int) ([]ConfigChange, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errDown
	}
	var newest []ConfigChange
	for i := len(s.changes) - 1; i >= 0 && len(newest) < limit; i-- {
		newest = append(newest, s.changes[i])
	}
	return newest, nil
}

func (s *mapStore) SaveHistory(_ context.Context, rows []HistoryRow) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	if s.rows == nil {
		s.rows = map[time.Duration]map[int64]HistoryRow{}
	}
	for _, row := range rows {
		if s.rows[row.Resolution] == nil {
			s.rows[row.Resolution] = map[int64]HistoryRow{}
		}
		s.rows[row.Resolution][row.At.Unix()] = row
	}
	return nil
}

func (s *mapStore) LoadHistory(_ context.Context, resolution time.Duration, since time.Time, take func(HistoryRow) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	for _, at := range sortedInts(s.rows[resolution]) {
		if at >= since.Unix() {
			if err := take(s.rows[resolution][at]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *mapStore) TrimHistory(_ context.Context, resolution time.Duration, before time.Time) (removed int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return 0, errDown
	}
	for at := range s.rows[resolution] {
		if at < before.Unix() {
			delete(s.rows[resolution], at)
			removed++
		}
	}
	return removed, nil
}

func (s *mapStore) count(resolution time.Duration) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rows[resolution])
}

// awaitLeak waits for a report.
func awaitLeak(t *testing.T, w *Warden, kind leak.Kind, status string) KeptLeak {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		for _, l := range leaksOf(t, w, 0, 100) {
			if l.Kind == kind.String() && l.Status == status {
				return l
			}
		}
	}
	t.Fatalf("no %s leak of the %s: %+v", status, kind, w.Leaks())
	return KeptLeak{}
}

func awaitLog(t *testing.T, log *logBook, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(log.String(), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log lacks %q", text)
		}
	}
}
