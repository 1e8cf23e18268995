package memhttp

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/incident"
)

func TestProfileList(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	got := ask(h, "GET", "/debug/pprof/", "")
	wantStatus(t, got, 200)
	for _, name := range []string{"heap ", "goroutine ", "allocs ", "profile\n", "trace\n", "flightrecorder\n"} {
		if !strings.Contains("\n"+got.Body.String(), "\n"+name) {
			t.Errorf("the list does not have %q:\n%s", name, got.Body)
		}
	}
}

func TestProfile(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	for path, want := range map[string]string{"heap": "alloc_space", "heap?gc=1": "inuse_space", "allocs": "alloc_space", "goroutine": "goroutine"} {
		got := ask(h, "GET", "/debug/pprof/"+path, "")
		wantStatus(t, got, 200)
		name, _, _ := strings.Cut(path, "?")
		wantHeaders(t, got.Header(), "Content-Type", "application/octet-stream", "Content-Disposition", `attachment; filename="`+name+`.pb.gz"`)
		if !strings.Contains(unzip(t, got.Body.Bytes()), want) {
			t.Errorf("%s: there is no %s in the profile", path, want)
		}
	}
	got := ask(h, "GET", "/debug/pprof/goroutine?debug=2", "")
	wantHeaders(t, got.Header(), "Content-Type", "text/plain; charset=utf-8", "Content-Disposition", "")
	if !strings.Contains(got.Body.String(), "TestProfile") {
		t.Error("this goroutine is not among the goroutines")
	}
	wantProblem(t, ask(h, "GET", "/debug/pprof/nothing", ""), 404, `no profile "nothing"`)
	for query, part := range map[string]string{
		"debug=3": "query debug", "debug=-1": "query debug", "gc=yes": "query gc", "seconds=5": "query seconds: unknown: want debug or gc",
	} {
		wantProblem(t, ask(h, "GET", "/debug/pprof/heap?"+query, ""), 400, part)
	}
}

func unzip(t *testing.T, data []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestGoToolPprof: the tool that everyone uses gets its profiles, with the token as the password in its URL.
func TestGoToolPprof(t *testing.T) {
	program, err := exec.LookPath("go")
	if err != nil {
		t.Skip("SKIPPED: there is no go command to run go tool pprof with")
	}
	s := httptest.NewServer(mustHandler(t, startWarden(t, memwarden.Options{}), Options{}))
	t.Cleanup(s.Close)
	dir := t.TempDir()
	fetch := func(source string, flags ...string) ([]byte, string) {
		file := filepath.Join(dir, "profile.pb.gz")
		args := append(append([]string{"tool", "pprof", "-proto", "-output", file}, flags...), source)
		command := exec.CommandContext(t.Context(), program, args...)
		command.Env = append(os.Environ(), "PPROF_TMPDIR="+dir)
		said, err := command.CombinedOutput()
		if err != nil {
			return nil, string(said)
		}
		profile, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return profile, string(said)
	}
	with := strings.Replace(s.URL, "http://", "http://anyone:"+strings.ReplaceAll(secret, " ", "%20")+"@", 1)
	for path, want := range map[string]string{"/debug/pprof/heap": "inuse_space", "/debug/pprof/goroutine": "goroutine"} {
		if profile, said := fetch(with + path); profile == nil || !strings.Contains(unzip(t, profile), want) {
			t.Errorf("go tool pprof of %s has no %s: %s", path, want, said)
		}
	}
	if profile, said := fetch(with+"/debug/pprof/profile", "-seconds", "1"); profile == nil || !strings.Contains(unzip(t, profile), "nanoseconds") {
		t.Errorf("go tool pprof of a second of CPU: %s", said)
	}
	if profile, said := fetch(s.URL + "/debug/pprof/heap"); profile != nil || !strings.Contains(said, "401") {
		t.Errorf("go tool pprof without the token: %s, want a word about 401", said)
	}
}

func TestTrace(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	got := ask(h, "GET", "/debug/pprof/trace?seconds=1", "")
	wantStatus(t, got, 200)
	wantHeaders(t, got.Header(), "Content-Type", "application/octet-stream", "Content-Disposition", `attachment; filename="trace.out"`)
	if head := got.Body.Bytes()[:min(16, got.Body.Len())]; !bytes.HasPrefix(head, []byte("go 1.")) || !bytes.Contains(head, []byte(" trace\x00")) {
		t.Errorf("the trace begins with %q", head)
	}
}

// TestFlightRecorder: its trace is sent where there is one, to one client at a time.
func TestFlightRecorder(t *testing.T) {
	const path = "/debug/pprof/flightrecorder"
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	wantProblem(t, ask(h, "GET", path, ""), http.StatusConflict, "MEMWARDEN_INCIDENT_TRACE")

	h = mustHandler(t, startWarden(t, memwarden.Options{Incidents: memwarden.IncidentOptions{Dir: t.TempDir(), Trace: true}}), Options{})
	got := ask(h, "GET", path, "")
	wantStatus(t, got, 200)
	wantHeaders(t, got.Header(), "Content-Type", "application/octet-stream", "Content-Disposition", `attachment; filename="flightrecorder.out"`)
	if head := got.Body.Bytes()[:min(16, got.Body.Len())]; !bytes.HasPrefix(head, []byte("go 1.")) || !bytes.Contains(head, []byte(" trace\x00")) {
		t.Errorf("the trace begins with %q", head)
	}
	h.sendsTrace.Lock()
	wantProblem(t, ask(h, "GET", path, ""), http.StatusConflict, "another client")
	h.sendsTrace.Unlock()
	wantStatus(t, ask(h, "GET", path, ""), 200)
}

// TestManyGoroutines: a profile of them that would take much memory is refused, and nothing else is.
func TestManyGoroutines(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	end := make(chan struct{})
	var all sync.WaitGroup
	for range incident.MaxStacks {
		all.Go(func() { <-end })
	}
	wantProblem(t, ask(h, "GET", "/debug/pprof/goroutine?debug=2", ""), http.StatusServiceUnavailable, "debug=1 counts those of one stack")
	for _, path := range []string{"goroutine", "goroutine?debug=1", "heap?debug=2"} {
		wantStatus(t, ask(h, "GET", "/debug/pprof/"+path, ""), 200)
	}
	close(end)
	all.Wait()
	wantStatus(t, ask(h, "GET", "/debug/pprof/goroutine?debug=2", ""), 200)
}

// TestOneRecordingAtATime: the runtime has one CPU profile and one trace for the whole process.
func TestOneRecordingAtATime(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Fatal(err)
	}
	got := ask(h, "GET", "/debug/pprof/profile?seconds=300", "")
	pprof.StopCPUProfile()
	wantProblem(t, got, http.StatusConflict, "another recording runs")
	wantHeaders(t, got.Header(), "Content-Disposition", "")
	if err := trace.Start(io.Discard); err != nil {
		t.Fatal(err)
	}
	got = ask(h, "GET", "/debug/pprof/trace?seconds=300", "")
	trace.Stop()
	wantProblem(t, got, http.StatusConflict, "another recording runs")
	for _, seconds := range []string{"0", "-1", "301", "1.5", "soon"} {
		for _, path := range []string{"/debug/pprof/profile", "/debug/pprof/trace"} {
			wantProblem(t, ask(h, "GET", path+"?seconds="+seconds, ""), 400, "want a whole number from 1 to 300")
		}
	}
}

// TestRecordingEnds: after its seconds, with its client, with the live streams in a shutdown, and with the warden; it is
// complete up to then. The recording itself is one that needs no processor.
func TestRecordingEnds(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration
		end   func(*handler, context.CancelFunc)
	}{
		"seconds": {300 * time.Second, func(*handler, context.CancelFunc) {}},
		"client":  {0, func(_ *handler, leave context.CancelFunc) { leave() }},
		"hubs":    {0, func(h *handler, _ context.CancelFunc) { h.o.Live.Close() }},
		"warden":  {0, func(h *handler, _ context.CancelFunc) { _ = h.warden.Close(context.Background()) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				client := &deadlines{ResponseRecorder: httptest.NewRecorder()}
				begin, ended := time.Now(), make(chan struct{})
				go func() {
					defer close(ended)
					h.record(client, newRequest("GET", "/?seconds=300", "").WithContext(ctx), "file", func(out io.Writer) (func(), error) {
						return func() { _, _ = io.WriteString(out, "complete") }, nil
					})
				}()
				synctest.Wait()
				c.end(h, leave)
				<-ended
				if took := time.Since(begin); took != c.after || client.Body.String() != "complete" {
					t.Errorf("it ended after %v with %q, want %v", took, client.Body, c.after)
				}
				if client.longest < 300*time.Second {
					t.Errorf("the client has %v for a recording of 300 s", client.longest)
				}
			})
		})
	}
}
