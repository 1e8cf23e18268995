package launch

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPools(t *testing.T) {
	const (
		memory   = "MEMWARDEN_MAX_REQUEST_MEMORY"
		requests = "MEMWARDEN_MAX_REQUESTS"
		clients  = "MEMWARDEN_MAX_LIVE_CLIENTS"
		conns    = "MEMWARDEN_DATABASE_MAX_CONNS"
	)
	for name, c := range map[string]struct {
		environ []string
		procs   int
		want    map[string]string // of the program's environment
	}{
		"256 MiB":          {[]string{"MEMWARDEN_MEMORY_LIMIT=256MiB"}, 2, map[string]string{memory: "57MiB", requests: "230", clients: "230", conns: "20"}},
		"small":            {[]string{"MEMWARDEN_MEMORY_LIMIT=32MiB"}, 1, map[string]string{memory: "16MiB", requests: "64", clients: "28", conns: "10"}},
		"tiny":             {[]string{"GOMEMLIMIT=8MiB"}, 1, map[string]string{memory: "16MiB", requests: "64", clients: "25", conns: "10"}},
		"large":            {[]string{"GOMEMLIMIT=64GiB"}, 64, map[string]string{memory: "1024MiB", requests: "4096", clients: "1000", conns: "20"}},
		"no limit":         {nil, 0, map[string]string{conns: "10"}},
		"off":              {[]string{"GOMEMLIMIT=off", "GOMAXPROCS=1"}, 8, map[string]string{conns: "10"}},
		"set":              {[]string{"GOMEMLIMIT=1GiB", memory + "=32MiB", clients + "=7", conns + "=3"}, 2, map[string]string{memory: "32MiB", requests: "128", clients: "7", conns: "3"}},
		"requests are set": {[]string{"GOMEMLIMIT=1GiB", requests + "=5"}, 2, map[string]string{memory: "256MiB", requests: "5", clients: "1000", conns: "20"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := prepare(t, Options{Environ: c.environ, Config: load(t, c.environ, "", nil), Root: root(t, nil), Service: true, MaxProcs: c.procs})
			got := map[string]string{}
			for _, entry := range p.Env {
				if name, value, _ := strings.Cut(entry, "="); name == memory || name == requests || name == clients || name == conns {
					got[name] = value
				}
			}
			if !maps.Equal(got, c.want) || len(p.Decisions) != 8 {
				t.Errorf("got %v, want %v: %+v", got, c.want, p.Decisions)
			}
			for _, d := range p.Decisions {
				if d.Reason == "" {
					t.Errorf("no reason for %+v", d)
				}
			}
		})
	}
	p := prepare(t, Options{Environ: []string{"GOGC=50"}, Config: load(t, nil, "", nil), Root: root(t, nil)})
	if memory, gc, procs := p.InForce(3); memory != "off" || gc != "50" || procs != "3" {
		t.Errorf("%s %s %s", memory, gc, procs)
	}
	if again := p.With("a", "b"); len(again.Args) != 3 || again.Args[2] != "b" || len(p.Args) != 1 {
		t.Errorf("%q, %q", again.Args, p.Args)
	}
}

// TestMachine: a service that nothing limits has a share of the machine, unless somebody has said what it may have.
func TestMachine(t *testing.T) {
	const stated, share = "MEMWARDEN_MEMORY_LIMIT", "805306368" // of 1 GiB
	for name, c := range map[string]struct {
		environ     []string
		group       map[string]string
		meminfo     string
		want, limit string // of the program's environment
		reason      string
	}{
		"a machine":       {nil, nil, "MemTotal: 1048576 kB\n", share, "724775731", "three quarters of the machine's 1.0 GiB"},
		"a container":     {nil, limit100MiB, "MemTotal: 1048576 kB\n", "", "94371840", "the container has a limit"},
		"stated":          {[]string{stated + "=0"}, nil, "MemTotal: 1048576 kB\n", "0", "", "it is set"},
		"a limit for Go":  {[]string{"GOMEMLIMIT=1MiB"}, nil, "MemTotal: 1048576 kB\n", "", "1MiB", "GOMEMLIMIT is set"},
		"nothing is told": {nil, nil, "MemFree: 1 kB\n", "", "", "not known"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := root(t, c.group)
			if err := os.WriteFile(filepath.Join(dir, "proc", "meminfo"), []byte(c.meminfo), 0o600); err != nil {
				t.Fatal(err)
			}
			p := prepare(t, Options{Environ: c.environ, Config: load(t, c.environ, "", nil), Root: dir, Service: true})
			got := map[string]string{}
			for _, entry := range p.Env {
				name, value, _ := strings.Cut(entry, "=")
				got[name] = value
			}
			if got[stated] != c.want || got["GOMEMLIMIT"] != c.limit || !strings.Contains(p.Decisions[3].Reason, c.reason) {
				t.Errorf("%q and %q, want %q and %q: %+v", got[stated], got["GOMEMLIMIT"], c.want, c.limit, p.Decisions)
			}
		})
	}
	if p := prepare(t, Options{Config: load(t, nil, "", nil), Root: root(t, nil)}); len(p.Decisions) != 3 {
		t.Errorf("another program: %+v", p.Decisions)
	}
}
