package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// leaky is the source of a program that knows nothing of memwarden, leaks 20,000 sessions, and answers a line with one
// that shows it to be alive.
const leaky = `package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
)

type User struct{ Name string }

type Session struct {
	User  *User
	Token [512]byte
}

type cache struct{ sessions map[int]*Session }

var globalCache = &cache{map[int]*Session{}}

//go:noinline
func newSession(i int) *Session { return &Session{User: &User{fmt.Sprint("user ", i)}} }

func main() {
	runtime.MemProfile(nil, false) // a program that never asks for it has no profile
	for i := range 20000 {
		globalCache.sessions[i] = newSession(i)
	}
	runtime.GC()
	runtime.GC()
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println("alive", len(globalCache.sessions))
	}
}
`

// buildLeaky builds the program in a module of its own.
var buildLeaky = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(built, "leaky")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for name, text := range map[string]string{"go.mod": "module example.com/leaky\n\ngo 1.24\n", "main.go": leaky} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("go", "build", "-o", "leaky", ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return filepath.Join(dir, "leaky"), nil
})

// victim is a program that runs.
type victim struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

func startLeaky(t *testing.T) *victim {
	t.Helper()
	path, err := buildLeaky()
	if err != nil {
		t.Fatal(err)
	}
	return startVictim(t, path)
}

func startVictim(t *testing.T, path string) *victim {
	t.Helper()
	v := &victim{cmd: exec.Command(path)}
	var err error
	if v.in, err = v.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.lines = bufio.NewScanner(out)
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = v.cmd.Process.Kill()
		_ = v.cmd.Wait()
	})
	if !v.lines.Scan() || v.lines.Text() != "ready" {
		t.Fatalf("the program says %q", v.lines.Text())
	}
	return v
}

func (v *victim) pid() string { return fmt.Sprint(v.cmd.Process.Pid) }

// alive wants the program to run on, unharmed.
func (v *victim) alive(t *testing.T) {
	t.Helper()
	fmt.Fprintln(v.in, "are you there?")
	if !v.lines.Scan() || v.lines.Text() != "alive 20000" {
		t.Errorf("the program says %q", v.lines.Text())
	}
}

// TestSnapshotAndAnalyze: what a stranger does with a program that nobody here wrote.
func TestSnapshotAndAnalyze(t *testing.T) {
	v := startLeaky(t)
	for _, stop := range []string{"allow", "only"} {
		t.Run(stop, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "s")
			newCall(t, "snapshot", "--pid", v.pid(), "-o", file, "--stop", stop).want(t, 0, "leaky, process "+v.pid()+", stood still for ", "")
			v.alive(t)
			newCall(t, "snapshot", "--pid", v.pid(), "-o", file).want(t, 1, "", "is there already: --force replaces it")
			newCall(t, "snapshot", "--pid", v.pid(), "-o", file, "--force", "--stop", stop).want(t, 0, "memwarden analyze "+file, "")

			text := newCall(t, "analyze", file)
			text.want(t, 0, "SUSPECTS", "")
			for _, want := range []string{"20,000 main.Session", "main.globalCache.sessions", "main.newSession (main.go:"} {
				if !strings.Contains(text.out.String(), want) {
					t.Errorf("no %q in\n%s", want, &text.out)
				}
			}
			asJSON := newCall(t, "analyze", "--json", file)
			asJSON.want(t, 0, `"suspects": [`, "")
			var a retain.Analysis
			if err := json.Unmarshal(asJSON.out.Bytes(), &a); err != nil || a.TypedRatio < 0.9 || a.Objects < 40_000 || a.PauseSeconds <= 0 || a.PID != int64(v.cmd.Process.Pid) {
				t.Errorf("%v: %s", err, &asJSON.out)
			}
			newCall(t, "analyze", "--type", "main.Session", file).want(t, 0, "main.Session: 20,000 objects", "")
			newCall(t, "analyze", "--path-to", "Session", "--json", file).want(t, 0, `"paths": [`, "")
			newCall(t, "analyze", "--path-to", "User", file).want(t, 0, "HELD BY", "")
			newCall(t, "analyze", "--type", "Session", "--json", file).want(t, 0, `"instances": [`, "")
			newCall(t, "analyze", "--type", "main.Nothing", file).want(t, 1, "", "no such type")
			newCall(t, "analyze", "--top", "1", file).want(t, 0, "more\n", "")
			newCall(t, "analyze", "--top", "0", file).want(t, 0, "main.User", "")
		})
	}
	v.alive(t)
}

func TestSnapshotBadInput(t *testing.T) {
	v := startLeaky(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "s")
	for _, args := range [][]string{
		{"snapshot"}, {"snapshot", "--pid", "1"}, {"snapshot", "-o", file}, {"snapshot", "--pid", "-1", "-o", file}, {"snapshot", "--pid", "x", "-o", file},
		{"snapshot", "--pid", "1", "-o", ""}, {"snapshot", "--pid", "1", "-o", file, "--stop", "perhaps"}, {"snapshot", "--pid", "1", "-o", file, "--deadline", "0s"},
		{"analyze"}, {"analyze", "a", "b"}, {"analyze", "--top", "-1", "a"}, {"analyze", "--type", "a", "--path-to", "b", "c"},
	} {
		newCall(t, args...).want(t, 2, "", "memwarden: ")
	}
	sleep := exec.Command("sleep", "100")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = sleep.Process.Kill(), sleep.Wait() }()
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		errs string
	}{
		"not Go":               {[]string{"--pid", fmt.Sprint(sleep.Process.Pid), "-o", file}, "Go"},
		"gone":                 {[]string{"--pid", fmt.Sprint(gone.Process.Pid), "-o", file}, "there is no process"},
		"no directory":         {[]string{"--pid", v.pid(), "-o", filepath.Join(dir, "none", "s")}, "no such file or directory"},
		"a directory":          {[]string{"--pid", v.pid(), "-o", dir}, "is a directory"},
		"a directory by force": {[]string{"--pid", v.pid(), "-o", dir, "--force"}, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			call := newCall(t, append([]string{"snapshot"}, c.args...)...)
			call.want(t, 1, "", c.errs)
			if lines := strings.Count(call.errs.String(), "\n"); lines != 1 {
				t.Errorf("%d lines of errors, want one sentence:\n%s", lines, &call.errs)
			}
		})
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files %v are left, %v", left, err)
	}
	v.alive(t)
}

func TestSnapshotIsInterrupted(t *testing.T) {
	v := startLeaky(t)
	dir := t.TempDir()
	c := newCall(t, "snapshot", "--pid", v.pid(), "-o", filepath.Join(dir, "s"))
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGTERM
	c.notify = func(...os.Signal) (<-chan os.Signal, func()) { return signals, func() {} }
	if code := execute(c.world); code != 1 && code != 0 { // it may have been faster
		t.Errorf("code %d\n%s", code, &c.errs)
	} else if left, err := os.ReadDir(dir); code == 1 && (err != nil || len(left) > 0 || !strings.Contains(c.errs.String(), "interrupted by terminated")) {
		t.Errorf("files %v are left, %v\n%s", left, err, &c.errs)
	}
	v.alive(t)
}

func TestAnalyzeBadFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, change func([]byte) []byte) string {
		path := filepath.Join(dir, name)
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		err = heaptest.WriteSessions(file, 100)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, string(change(text)))
		return path
	}
	for name, c := range map[string]struct{ path, errs string }{
		"missing":   {filepath.Join(dir, "none"), "no such file"},
		"directory": {dir, "is not a file"},
		"empty":     {write("empty", func([]byte) []byte { return nil }), "not a heap snapshot"},
		"text":      {write("text", func([]byte) []byte { return []byte(strings.Repeat("text\n", 100)) }), "not a heap snapshot"},
		"cut off":   {write("cut", func(b []byte) []byte { return b[:len(b)/2] }), "cut: "},
		"damaged":   {write("damaged", func(b []byte) []byte { b[len(b)/2] ^= 0xff; return b }), "damaged: "},
	} {
		t.Run(name, func(t *testing.T) {
			call := newCall(t, "analyze", c.path)
			call.want(t, 1, "", c.errs)
			if lines := strings.Count(call.errs.String(), "\n"); lines != 1 {
				t.Errorf("%d lines of errors, want one sentence:\n%s", lines, &call.errs)
			}
		})
	}
	good := write("good", func(b []byte) []byte { return b })
	c := newCall(t, "analyze", good)
	c.stdout = brokenPipe{}
	c.want(t, 1, "", io.ErrClosedPipe.Error())
	c = newCall(t, "analyze", good)
	signals := make(chan os.Signal, 1)
	c.notify = func(...os.Signal) (<-chan os.Signal, func()) { return signals, func() {} }
	c.terminal = true
	c.want(t, 0, "SUSPECTS", "\r")
}

// TestAnalyzeWantsRoom: what does not fit is refused before it takes any memory, and what a file only claims gets none.
func TestAnalyzeWantsRoom(t *testing.T) {
	const objects = 2_000_000
	var file bytes.Buffer
	if err := heaptest.WriteLeaves(&file, objects); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	writeFile(t, path, file.String())
	reader, err := snapshot.Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	need := retain.MemoryBytes(reader.Totals())
	for free, code := range map[int64]int{need - 1024: 1, need + 1024: 0} {
		c := newCall(t, "analyze", path)
		c.root = t.TempDir()
		if err := os.Mkdir(filepath.Join(c.root, "proc"), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(c.root, "proc", "meminfo"), fmt.Sprintf("MemTotal: 64000000 kB\nMemAvailable: %d kB\n", free/1024))
		if code == 0 {
			c.want(t, 0, "2,000,000", "")
			continue
		}
		c.want(t, 1, "", fmt.Sprintf("memwarden: %s: the analysis of %d objects with 0 pointers needs about %s of memory, and only %s are free (the machine has ",
			path, objects, bytesize.Format(need), bytesize.Format(free/1024*1024)))
		if lines := strings.Count(c.errs.String(), "\n"); lines != 1 || !strings.Contains(c.errs.String(), "analyse it where there is more") {
			t.Errorf("want one sentence that says what to do:\n%s", &c.errs)
		}
	}
	unknown := newCall(t, "analyze", path)
	unknown.root = t.TempDir()
	unknown.want(t, 0, "2,000,000", "")
	chunks := heaptest.Chunks(file.Bytes())
	for i := range chunks {
		if c := &chunks[i]; c.Kind == heaptest.ChunkSpans {
			c.Payload[len(c.Payload)-1] &^= 1
		}
	}
	writeFile(t, path, string(heaptest.Sign(chunks)))
	newCall(t, "analyze", path).want(t, 1, "", "it has 1999999 objects instead of 2000000")
}

func TestProgress(t *testing.T) {
	now := time.Unix(0, 0)
	var out strings.Builder
	p := &progress{out: &out, now: func() time.Time { return now }}
	p.end()
	now = now.Add(time.Second)
	p.show("freezing", 0, 0)
	p.show("freezing", 0, 0) // too soon
	now = now.Add(time.Second)
	p.show("reading the heap", 1, 3)
	now = now.Add(time.Second)
	p.show("x", 4, 3)
	p.end()
	want := "\rfreezing …\rreading the heap       [##########....................]  33 %\rx                      [##############################] 100 %"
	if got, ok := strings.CutPrefix(out.String(), want); !ok || strings.Trim(got, " \r") != "" {
		t.Errorf("drawn %q", out.String())
	}
	silent := &progress{}
	silent.show("x", 1, 2)
	silent.end()
	if isTerminal(os.Stdin) && os.Getenv("CI") != "" {
		t.Error("a CI has a terminal")
	}
}
