//go:build unix

package tests

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/pgtest"
	"github.com/memwarden/memwarden/internal/scratch"
	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// The service is killed while it is written to, again and again, and must have all that it had acknowledged.

func TestKilledOnSQLite(t *testing.T) {
	t.Parallel()
	killAgainAndAgain(t, map[string]string{"DATA_DIR": scratch.Dir(t)})
}

func TestKilledOnPostgres(t *testing.T) {
	t.Parallel()
	killAgainAndAgain(t, map[string]string{"DATA_DIR": scratch.Dir(t), "DATABASE_URL": pgtest.Start(t).NewDatabase(t)})
}

const (
	killRounds  = 5
	killWriters = 2
	// auditEntries is the most that the audit log answers, and keeps.
	auditEntries = 1000
)

func killAgainAndAgain(t *testing.T, env map[string]string) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	env["SAMPLE_INTERVAL"] = "100ms"
	how, promises := setup{Env: env}, &promises{patches: map[int64]string{}, points: acknowledged{}}
	for round := range killRounds {
		s := how.start(t)
		promises.check(t, s, round > 0)
		life := time.Duration(random.Int64N(int64(2 * time.Second)))
		if round%4 == 0 { // long enough for history to be stored
			life += 6 * time.Second
		}
		promises.collect(t, s, life)
	}
	s := how.start(t)
	promises.check(t, s, true)
	s.Stop(t)
	if len(promises.patches) < 10*killRounds || len(promises.points) < 3 {
		t.Errorf("only %d changes and %d points were acknowledged: that proves nothing", len(promises.patches), len(promises.points))
	}
	t.Logf("%d changes and %d points survived", len(promises.patches), len(promises.points))
}

// promises are what the service has acknowledged.
type promises struct {
	next atomic.Int64 // number of the next change

	mu      sync.Mutex
	patches map[int64]string // by version
	newest  int64
	points  acknowledged
}

// collect writes to the service and takes down what it acknowledges, until it is killed.
func (p *promises) collect(t *testing.T, s *service, life time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	for range killWriters {
		clients.Go(func() { p.write(t, ctx, s) })
	}
	clients.Go(func() { p.follow(t, ctx, s) })
	time.Sleep(life)
	s.Kill(t)
}

func (p *promises) write(t *testing.T, ctx context.Context, s *service) {
	for {
		body := patchBody(p.next.Add(1))
		got, err := s.Ask(ctx, http.MethodPatch, memory+"/config", body)
		if err != nil {
			return // killed
		}
		if got.Status != http.StatusOK {
			t.Errorf("%s: status %d: %s", body, got.Status, got.Body)
			return
		}
		var c config
		if err := json.Unmarshal(got.Body, &c); err != nil {
			t.Errorf("%v: %s", err, got.Body)
			return
		}
		p.mu.Lock()
		version := c.Version
		if other, taken := p.patches[version]; taken {
			t.Errorf("version %d was given to %s and to %s", version, other, body)
		}
		p.patches[version] = body
		p.newest = max(p.newest, version)
		p.mu.Unlock()
	}
}

func (p *promises) follow(t *testing.T, ctx context.Context, s *service) {
	for {
		got, err := s.Ask(ctx, http.MethodGet, memory+"/stats?history=1s", "")
		if err != nil {
			return // killed
		}
		var seen struct{ History past }
		if err := json.Unmarshal(got.Body, &seen); err != nil {
			t.Errorf("%v: %s", err, got.Body)
			return
		}
		p.mu.Lock()
		p.points.note(seen.History)
		p.mu.Unlock()
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// check looks for everything that was promised, by a service that was killed before or begins. Each writer may have had a
// change stored whose acknowledgement the kill cut off.
func (p *promises) check(t *testing.T, s *service, killed bool) {
	t.Helper()
	now := servicetest.Decode[config](t, s.Get(t, memory+"/config"))
	most := p.newest + killWriters
	if now.Version < p.newest || now.Version > most {
		t.Fatalf("version %d is in force, acknowledged was %d", now.Version, p.newest)
	}
	changes := s.audit(t, auditEntries)
	if int64(len(changes)) != min(now.Version, auditEntries) {
		t.Fatalf("the audit log has %d entries up to version %d", len(changes), now.Version)
	}
	for i, c := range changes {
		if c.Version != now.Version-int64(i) || c.Actor != "admin" {
			t.Fatalf("entry %d of the audit log is %+v", i, c)
		}
		if want, ok := p.patches[c.Version]; ok && string(c.Patch) != want {
			t.Errorf("version %d was acknowledged as %s and is %s", c.Version, want, c.Patch)
		}
		p.patches[c.Version] = string(c.Patch) // what came through without an answer stays, too
	}
	p.newest = now.Version
	if len(changes) > 0 {
		if want := patchBody(now.Config.Limit.Reserve); string(changes[0].Patch) != want {
			t.Errorf("in force is %s, the newest change was %s", want, changes[0].Patch)
		}
	}
	p.points.check(t, s.history(t))
	if report, _ := s.health(t); report.Status != "ok" {
		t.Errorf("health after a kill: %+v", report)
	}
	text := s.Out.String()
	if told := strings.Contains(text, "the last run was not closed"); told != killed {
		t.Errorf("that the last run was killed is told: %v, want %v:\n%s", told, killed, text)
	}
	for line := range strings.Lines(text) {
		if complains := strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, `"level":"WARN"`); complains && !strings.Contains(line, "the last run was not closed") {
			t.Errorf("the service complains after a kill:\n%s", text)
		}
	}
}
