//go:build linux

package chaos

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/pgtest"
	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// TestKilled kills the service while it is written to, again and again.
func TestKilled(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		killAgainAndAgain(t, "SQLite", map[string]string{})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		killAgainAndAgain(t, "PostgreSQL", map[string]string{"DATABASE_URL": pgtest.Start(t).NewDatabase(t)})
	})
}

func killAgainAndAgain(t *testing.T, database string, env map[string]string) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	env["DATA_DIR"], env["REPORT_RATE_LIMIT"], env["SAMPLE_INTERVAL"] = servicetest.OpenDir(t), "10000", "100ms"
	how, l := servicetest.Setup{Env: env}, newLedger()
	row := outcome{fault: "kill -9, " + database, said: "ok after each start", done: fmt.Sprintf("%d kills, each at a random moment, started again", kills())}
	defer func() {
		row.failed = t.Failed()
		outcomes.add(row)
	}()
	for round := range kills() {
		s := how.Start(t)
		row.recovered = max(row.recovered, await(t, s, time.Now(), "ok", state.well))
		if row.lost += l.check(t, s); row.lost > 0 {
			t.Fatalf("after kill %d", round)
		}
		before := l.accepted()
		clients := startLoad(t, s, l)
		servicetest.Within(t, servicetest.Patience, "accepted something", func() bool { return l.accepted() > before+20 })
		time.Sleep(time.Duration(random.Int64N(int64(700 * time.Millisecond))))
		row.peakRSS = max(row.peakRSS, peakRSS(t, s))
		s.Kill(t)
		clients.stop()
	}
	s := how.Start(t)
	row.lost += l.check(t, s)
	row.accepted = l.accepted()
	s.Stop(t)
}

// TestStopped stops the process as a debugger does, or a machine that is suspended.
func TestStopped(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"SQLite", "PostgreSQL"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{}
			if database == "PostgreSQL" {
				env["DATABASE_URL"] = pgtest.Start(t).NewDatabase(t)
			}
			suffer(t, servicetest.Setup{Env: env}, func(s *servicetest.Service) fault {
				return fault{
					name: "SIGSTOP, " + database, done: "SIGSTOP, then SIGCONT",
					begin: func() { s.Signal(t, syscall.SIGSTOP) }, end: func() { s.Signal(t, syscall.SIGCONT) },
					seen: func(now state) bool { return now.silent }, says: "no answer",
				}
			})
		})
	}
}

// fewFiles is a bound on open files that the service works with, and idleClients would exceed.
const fewFiles, idleClients = 128, 400

// TestFilesRunOut opens more connections than the process may have files.
func TestFilesRunOut(t *testing.T) {
	t.Parallel()
	var clients []net.Conn
	suffer(t, servicetest.Setup{Before: fmt.Sprintf("ulimit -n %d", fewFiles)}, func(s *servicetest.Service) fault {
		return fault{
			name: "file descriptors run out", done: fmt.Sprintf("%d idle connections to a process that may open %d files", idleClients, fewFiles),
			accepts: true, seen: state.well, says: "ok: idle connections make room",
			begin: func() {
				for range idleClients {
					conn, err := net.DialTimeout("tcp", strings.TrimPrefix(s.URL, "http://"), soon)
					if err != nil {
						t.Fatal(err)
					}
					clients = append(clients, conn)
				}
			},
			end: func() {
				for _, conn := range clients {
					conn.Close()
				}
			},
		}
	})
}
