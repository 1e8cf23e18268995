//go:build linux

package chaos

import (
	"net/url"
	"testing"

	"github.com/memwarden/memwarden/internal/faultproxy"
	"github.com/memwarden/memwarden/internal/pgtest"
	"github.com/memwarden/memwarden/internal/redistest"
	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// verySlow is a network on which not even a ping comes through in the time that a check has, in bytes a second.
const verySlow = 20

// networkFaults are what a network does between the service and a server.
func networkFaults(t *testing.T, p *faultproxy.Proxy) []fault {
	return []fault{
		{name: "network cut", done: "connections reset, new ones refused", begin: p.Refuse, end: func() { p.Accept(t) }},
		{
			name: "network slow", done: "20 bytes a second in each direction", begin: func() { p.Slow(verySlow) },
			end: func() { p.Slow(0) },
		},
		{
			name: "network silent", done: "all bytes swallowed, connections stay open",
			begin: func() { p.Swallow(faultproxy.Both) }, end: func() { p.Swallow(faultproxy.Nowhere) },
		},
	}
}

// through is a URL with the proxy for its host.
func through(t *testing.T, rawURL string, p *faultproxy.Proxy) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.Addr()
	return u.String()
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		server := pgtest.Start(t)
		suffer(t, servicetest.Setup{Env: map[string]string{"DATABASE_URL": server.NewDatabase(t)}}, func(*servicetest.Service) fault {
			return fault{
				name: "PostgreSQL killed", done: "kill -9 of all its processes, then started again",
				begin: func() { server.Kill(t) }, end: func() { server.Restart(t) }, seen: level("database", "down"), says: "database down",
			}
		})
	})
	t.Run("network", func(t *testing.T) {
		t.Parallel()
		server := pgtest.Start(t)
		for i := range 3 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				p := faultproxy.Start(t, server.Host())
				suffer(t, servicetest.Setup{Env: map[string]string{"DATABASE_URL": through(t, server.NewDatabase(t), p)}}, func(*servicetest.Service) fault {
					f := networkFaults(t, p)[i]
					f.name, f.seen, f.says = "PostgreSQL: "+f.name, level("database", "down"), "database down"
					return f
				})
			})
		}
	})
}

func TestRedis(t *testing.T) {
	t.Parallel()
	env := func(u string) servicetest.Setup {
		return servicetest.Setup{Env: map[string]string{"REDIS_URL": u, "RATE_LIMIT": "10000", "RATE_BURST": "10000"}}
	}
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t)
		suffer(t, env(server.URL()), func(*servicetest.Service) fault {
			return fault{
				name: "Redis killed", done: "kill -9, then started again, empty", accepts: true,
				begin: func() { server.Kill(t) }, end: func() { server.Restart(t) }, seen: level("redis", "degraded"), says: "redis degraded",
			}
		})
	})
	t.Run("network", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t)
		for i := range 3 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				p := faultproxy.Start(t, server.Host())
				suffer(t, env(through(t, server.URL(), p)), func(*servicetest.Service) fault {
					f := networkFaults(t, p)[i]
					f.name, f.accepts, f.seen, f.says = "Redis: "+f.name, true, level("redis", "degraded"), "redis degraded"
					return f
				})
			})
		}
	})
}
