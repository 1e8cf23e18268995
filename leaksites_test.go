package memwarden

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/leak"
)

var keptBySites [][]byte

//go:noinline
func allocateForSites(n int) {
	for range n {
		keptBySites = append(keptBySites, make([]byte, 1<<20))
	}
}

// TestHeapSites: what a function allocates is found under its name, and by as much as it is.
func TestHeapSites(t *testing.T) {
	defer func() { keptBySites = nil }()
	const mib = 32
	allocateForSites(mib)
	runtime.GC()
	runtime.GC()
	sites, stacks := heapSites()
	var found float64
	for _, s := range sites {
		if stack := frames(stacks[s.Name]); len(stack) > 0 && strings.Contains(stack[0], "allocateForSites") {
			found += s.Value
		}
	}
	if found < mib<<20*3/4 || found > mib<<20*5/4 {
		t.Errorf("%.1f MiB of %d", found/(1<<20), mib)
	}
}

// TestGoroutineSites: goroutines with one stack are one site, and it is known what they wait for.
func TestGoroutineSites(t *testing.T) {
	const n = 100
	release := make(chan struct{})
	var ready, ended sync.WaitGroup
	ready.Add(n)
	for range n {
		ended.Go(func() {
			ready.Done()
			<-release
		})
	}
	defer ended.Wait()
	defer close(release)
	ready.Wait()
	most := leak.Site{}
	var stacks siteStacks
	for most.Value < n { // some may not be waiting yet
		var sites []leak.Site
		sites, stacks = goroutineSites()
		most = leak.Site{}
		for _, s := range sites {
			if s.Value > most.Value && strings.Contains(strings.Join(frames(stacks[s.Name]), " "), "TestGoroutineSites") {
				most = s
			}
		}
		runtime.Gosched()
	}
	if what := doing(stacks[most.Name]); most.Value != n || what != "waiting to receive from a channel" {
		t.Errorf("%v goroutines, %q", most.Value, what)
	}
	if frames(nil) != nil || doing(nil) != "" {
		t.Error("nothing has frames")
	}
}

// crowding is what the child of TestTooManyGoroutines does: it prints the evidence of a leak of goroutines while there are
// some, and while there are more than are looked at.
func crowding(t *testing.T) {
	w := begin(t, Options{})
	i := &investigator{w: w}
	for _, want := range []int{100, maxProfiledGoroutines + 1} {
		for n := runtime.NumGoroutine(); n < want; n = runtime.NumGoroutine() { // some of the warden's come and go
			go func() { select {} }()
		}
		f := leak.Finding{Kind: leak.Goroutines, Verdict: leak.Suspect, Since: time.Unix(int64(want), 0), Reason: "goroutines rose"}
		i.look(t.Context(), leakCase{finding: f, sweeps: true, told: true})
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			list := leaksOf(t, w, 0, 1)
			if len(list) == 0 || list[0].Case != caseOf(f) {
				continue // it is kept by another goroutine
			}
			fmt.Printf("crowd: %d goroutines, %q\n", runtime.NumGoroutine(), list[0].Evidence)
			break
		}
	}
	os.Exit(0)
}

// TestTooManyGoroutines: where there are more than are looked at, the report of a leak of them says so, and how many.
func TestTooManyGoroutines(t *testing.T) {
	const child = "MEMWARDEN_TEST_CROWD"
	if os.Getenv(child) != "" {
		crowding(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestTooManyGoroutines$") // what runs of so many stays
	command.Env = append(os.Environ(), child+"=1")
	out, err := command.CombinedOutput()
	lines := regexp.MustCompile(`(?m)^crowd: (\d+) goroutines, (.*)$`).FindAllStringSubmatch(string(out), -1)
	if err != nil || len(lines) != 2 || strings.Contains(lines[0][2], "are looked at") ||
		!regexp.MustCompile(`^\["no stacks of goroutines: there are 500\d\d goroutines, more than the 50000 that are looked at: `).MatchString(lines[1][2]) {
		t.Errorf("%v: %q\n%s", err, lines, out)
	}
}

func TestUnsample(t *testing.T) {
	for _, c := range []struct{ objects, bytes, rate, want float64 }{
		{10, 10 << 20, 512 << 10, 10 << 20 / 0.8647}, {1, 64, 512 << 10, 524320}, {3, 300, 1, 300},
	} {
		if got := unsample(c.objects, c.bytes, c.rate); got < c.want*0.999 || got > c.want*1.001 {
			t.Errorf("%v: %v, want %v", c, got, c.want)
		}
	}
}

// TestMostTelling: of goroutines that grow alike those of the program's own are named, then those of which it is known what
// leaves them behind: here responses whose bodies are not closed, not the server that has sent them.
func TestMostTelling(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 10)) }))
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stop := make(chan struct{})
	defer close(stop)
	go func() { <-stop }()

	names := map[string]string{}
	var stacks siteStacks
	for deadline := time.Now().Add(time.Minute); len(names) < 3; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not all are seen: %v", names)
		}
		clear(names)
		_, stacks = goroutineSites()
		for name, pcs := range stacks {
			text := strings.Join(frames(pcs), "\n")
			for what, function := range map[string]string{"own": "TestMostTelling.func2", "client": "net/http.(*persistConn).readLoop", "server": "bufio.(*Reader).Peek"} {
				// The client's may yet be on its way to where it waits for the body to be closed.
				if strings.Contains(text, function) && (what != "client" || strings.HasPrefix(text, function)) {
					names[what] = name
				}
			}
		}
	}
	for _, c := range []struct {
		grown []leak.SiteGrowth
		want  string
	}{
		{[]leak.SiteGrowth{{Name: names["server"], By: 500}, {Name: names["client"], By: 499}}, "client"},
		{[]leak.SiteGrowth{{Name: names["client"], By: 500}, {Name: names["server"], By: 499}}, "client"},
		{[]leak.SiteGrowth{{Name: names["client"], By: 500}, {Name: names["own"], By: 499}}, "own"},
		{[]leak.SiteGrowth{{Name: names["server"], By: 500}, {Name: names["client"], By: 400}, {Name: names["own"], By: 400}}, "server"},
		{[]leak.SiteGrowth{{Name: "not known", By: 500}, {Name: names["client"], By: 499}}, "client"},
	} {
		if got := mostTelling(c.grown, stacks); got.Name != names[c.want] {
			t.Errorf("of %v it is %s:\n%s", c.grown, got.Name, strings.Join(frames(stacks[got.Name]), "\n"))
		}
	}
}
