package memhttp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden"
)

// leaky is a program of somebody who imports the library for its effect, and leaks sessions. It tracks its carts, and
// leaks some.
const leaky = `package main

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/auto"
)

type Session struct {
	User string
	Data [100]int64
}

type cache struct{ sessions map[int]*Session }

var globalCache = &cache{map[int]*Session{}}

type Cart struct{ Items []string }

type Shop struct{ byVisitor map[string]*Cart }

var shop = &Shop{map[string]*Cart{}}

func closeCart(visitor string) {
	cart := &Cart{make([]string, 100)}
	shop.byVisitor[visitor] = cart
	h, err := memwarden.Track(auto.Warden(), cart, "carts")
	if err != nil {
		panic(err)
	}
	h.Release()
}

//go:noinline
func newSession(i int) *Session { return &Session{User: fmt.Sprint("user ", i)} }

func main() {
	fmt.Fprintln(os.Stderr, "main was entered")
	for i := range 20000 {
		globalCache.sessions[i] = newSession(i)
	}
	for i := range 12 {
		closeCart(fmt.Sprint("visitor ", i))
	}
	runtime.GC()
	runtime.GC()
	fmt.Fprintln(os.Stderr, "ready")
	io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(globalCache)
	runtime.KeepAlive(shop)
}
`

// growing is a program that leaks all the time, and says what is found of the heap.
const growing = `package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/auto"
)

type Session struct {
	User string
	Data [1000]int64
}

type cache struct{ sessions map[int]*Session }

var globalCache = &cache{map[int]*Session{}}

//go:noinline
func newSession(i int) *Session { return &Session{User: fmt.Sprint("user ", i)} }

func main() {
	fmt.Fprintln(os.Stderr, "main was entered")
	for i, last := 0, time.Now(); ; i++ {
		globalCache.sessions[i] = newSession(i)
		time.Sleep(5 * time.Millisecond)
		if time.Since(last) < time.Second {
			continue
		}
		last = time.Now()
		list, err := auto.Warden().LeakReports(context.Background(), memwarden.LeakQuery{Limit: 100})
		if err != nil {
			panic(err)
		}
		for _, l := range list {
			if l.Kind == "heap" && l.Status == "confirmed" {
				json.NewEncoder(os.Stdout).Encode(l)
				return
			}
		}
	}
}
`

// TestThreeVariablesNameALeak: a program that imports the library for its effect finds and names its leak by the window, the
// interval and the permission to take snapshots alone. The snapshots are in a directory of its own among temporary files.
func TestThreeVariablesNameALeak(t *testing.T) {
	temporary := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, buildProgram(t, growing))
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "MEMWARDEN_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "TMPDIR="+temporary, "MEMWARDEN_LEAK_WINDOW=5s", "MEMWARDEN_LEAK_SAMPLE_INTERVAL=500ms", "MEMWARDEN_LEAK_SNAPSHOTS=true")
	var said strings.Builder
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	var l memwarden.KeptLeak
	if err := json.Unmarshal(text, &l); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if l.Type != "main.Session" || !strings.HasPrefix(strings.Join(l.Path, ""), "main.globalCache.sessions[") || l.RetainedBytes < 1<<20 ||
		!strings.Contains(strings.Join(l.AllocStack, " "), "main.newSession") || !strings.Contains(l.Sentence, "objects of main.Session") {
		t.Errorf("%+v\n%s", l, &said)
	}
	found, err := filepath.Glob(filepath.Join(temporary, fmt.Sprintf("memwarden-program-%d", os.Geteuid()), "1", "*.snapshot"))
	if err != nil || len(found) == 0 || len(found) > 5 || len(l.Evidence) != 2 || l.Evidence[0] == l.Evidence[1] {
		t.Errorf("the snapshots are %v, %v, evidence %q", found, err, l.Evidence)
	}
	for _, line := range l.Evidence { // of the confirmation, and of the suspicion before
		if id, ok := strings.CutPrefix(line, "snapshot "); !ok || !strings.Contains(strings.Join(found, " "), id) {
			t.Errorf("the snapshots are %v, evidence %q", found, l.Evidence)
		}
	}
	if entered := strings.Count(said.String(), "main was entered"); entered != 1 {
		t.Errorf("main was entered %d times:\n%s", entered, &said)
	}
	t.Log(l.Sentence)
}

// buildProgram builds a program in a module of its own.
func buildProgram(t *testing.T, source string) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  fmt.Sprintf("module example.com/leaky\n\ngo 1.26\n\nrequire github.com/memwarden/memwarden v0.0.0\n\nreplace github.com/memwarden/memwarden => %q\n", root),
		"main.go": source,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", "program", ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "program")
}

var served = regexp.MustCompile(`url=(http://[^ "]+)`)

// TestAProgramThatLeaks takes a snapshot of a real program over HTTP: the analysis names the leak, and nobody has entered
// the program's main a second time. What the program tracks and holds is listed with who holds it.
func TestAProgramThatLeaks(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), buildProgram(t, leaky))
	cmd.Env = append(os.Environ(), "MEMWARDEN_ADDR=127.0.0.1:0", "MEMWARDEN_ADMIN_TOKEN="+secret, "MEMWARDEN_SNAPSHOT_DIR="+t.TempDir(), "MEMWARDEN_SNAPSHOT_DEADLINE=10m",
		"MEMWARDEN_SNAPSHOT_COOLDOWN=0s", "MEMWARDEN_LEAK_WINDOW=2s", "MEMWARDEN_LEAK_SAMPLE_INTERVAL=100ms", "MEMWARDEN_LEAK_SNAPSHOTS=true")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	url := ""
	lines := bufio.NewScanner(said)
	for lines.Scan() && lines.Text() != "ready" {
		fmt.Fprintln(&text, lines.Text())
		if found := served.FindStringSubmatch(lines.Text()); found != nil {
			url = found[1]
		}
	}
	if url == "" {
		t.Fatalf("it is not served:\n%s", &text)
	}
	call := func(method, path string, into any) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+secret)
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode >= 300 {
			t.Fatalf("%s %s: %d %s", method, path, response.StatusCode, body)
		}
		if err := json.Unmarshal(body, into); err != nil {
			t.Fatal(err)
		}
	}
	var leaks struct{ Leaks []memwarden.KeptLeak }
	for deadline := time.Now().Add(2 * time.Minute); len(leaks.Leaks) == 0 || leaks.Leaks[0].Status != "confirmed"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the carts are not listed: %+v", leaks)
		}
		call("GET", memoryPath+"/leaks", &leaks)
	}
	l := leaks.Leaks[0]
	if l.Kind != memwarden.KindRetained || l.Owner != "carts" || l.Type != "main.Cart" || strings.Join(l.Path, "") != "main.shop.byVisitor[…]" ||
		l.RetainedBytes < 12*1600 || !strings.Contains(l.AllocStack[0], "main.closeCart (main.go:") ||
		!strings.HasPrefix(l.Sentence, "12 objects of main.Cart (owner carts) are still held ") ||
		!strings.Contains(l.Sentence, ", by main.shop.byVisitor[…]; with what they hold, ") {
		t.Errorf("%+v", l)
	}
	t.Log(l.Sentence)
	var taken, one snapshotDocument
	call("POST", snapshotsPath, &taken)
	call("GET", snapshotsPath+"/"+taken.ID, &one)
	if one.Analysis == nil || len(one.Analysis.Suspects) == 0 {
		t.Fatalf("no suspects: %+v", one)
	}
	suspect := one.Analysis.Suspects[0]
	if suspect.Count != 20_000 || suspect.Type != "main.Session" || !strings.HasPrefix(strings.Join(suspect.Path, ""), "main.globalCache.sessions[") ||
		!strings.Contains(strings.Join(suspect.AllocStack, " "), "main.newSession (main.go:39)") {
		t.Errorf("the first suspect is %+v", suspect)
	}
	in.Close()
	rest, err := io.ReadAll(said)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if entered := strings.Count(text.String(), "main was entered") + bytes.Count(rest, []byte("main was entered")); entered != 1 {
		t.Errorf("main was entered %d times:\n%s%s", entered, &text, rest)
	}
}
