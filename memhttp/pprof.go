package memhttp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/incident"
)

// The profiles are served from runtime/pprof, not by net/http/pprof: importing that puts them on
// http.DefaultServeMux, open to everyone whom the host program serves with it.

const (
	defaultProfileSeconds = 30
	maxProfileSeconds     = 300
)

// serveProfiles lists the profiles, one a line with its count. The mux sends every other path below it here too.
func (h *handler) serveProfiles(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/debug/pprof/" {
		NewProblem(http.StatusNotFound, "there is nothing at "+r.URL.Path).ServeHTTP(w, r)
		return
	}
	var list bytes.Buffer
	for _, p := range pprof.Profiles() {
		fmt.Fprintf(&list, "%s %d\n", p.Name(), p.Count())
	}
	list.WriteString("profile\ntrace\nflightrecorder\n")
	writeBody(w, http.StatusOK, "text/plain; charset=utf-8", list.Bytes())
}

// serveProfile answers with one of the runtime's profiles; gc=1 collects before a heap profile.
func (h *handler) serveProfile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("profile")
	profile := pprof.Lookup(name)
	if profile == nil {
		NewProblem(http.StatusNotFound, fmt.Sprintf("there is no profile %q: /debug/pprof/ lists them", name)).ServeHTTP(w, r)
		return
	}
	debug, err := numberIn(r, "debug", 0, 0, 2)
	collect, err2 := numberIn(r, "gc", 0, 0, 1)
	if err := errors.Join(err, err2); err != nil {
		NewProblem(http.StatusBadRequest, err.Error()).ServeHTTP(w, r)
		return
	}
	if !h.roomForProfile(w, r, name, debug) {
		return
	}
	if collect == 1 && slices.Contains([]string{"heap", "allocs"}, name) {
		runtime.GC()
	}
	var body bytes.Buffer
	if err := profile.WriteTo(&body, debug); err != nil {
		h.internal(w, r, "write profile "+name, err)
		return
	}
	contentType := "application/octet-stream"
	if debug > 0 {
		contentType = "text/plain; charset=utf-8"
	} else {
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.pb.gz"`)
	}
	writeBody(w, http.StatusOK, contentType, body.Bytes())
}

// roomForProfile refuses what might take the memory that is left: hundreds of thousands of goroutines have large profiles,
// and their stacks as text larger ones. If there is no room it has answered.
func (h *handler) roomForProfile(w http.ResponseWriter, r *http.Request, name string, debug int) bool {
	if !strings.HasPrefix(name, "goroutine") {
		return true
	}
	if n := runtime.NumGoroutine(); debug == 2 && n >= incident.MaxStacks {
		NewProblem(http.StatusServiceUnavailable, fmt.Sprintf("there are %d goroutines: each by itself is written of fewer than %d; debug=1 counts those of one stack", n, incident.MaxStacks)).ServeHTTP(w, r)
		return false
	}
	if err := h.warden.GoroutineProfileRoom(); err != nil {
		NewProblem(http.StatusServiceUnavailable, err.Error()).ServeHTTP(w, r)
		return false
	}
	return true
}

// serveFlightRecorder sends what the flight recorder has, to one client at a time: it has some MiB.
func (h *handler) serveFlightRecorder(w http.ResponseWriter, r *http.Request) {
	if !h.sendsTrace.TryLock() {
		NewProblem(http.StatusConflict, "the flight recorder's trace is being sent to another client").ServeHTTP(w, r)
		return
	}
	defer h.sendsTrace.Unlock()
	body, err := h.warden.RecentTrace()
	switch {
	case errors.Is(err, memwarden.ErrNoFlightRecorder):
		NewProblem(http.StatusConflict, err.Error()).ServeHTTP(w, r)
		return
	case err != nil:
		h.internal(w, r, "read the flight recorder", err)
		return
	}
	w.Header().Set("Content-Disposition", `attachment; filename="flightrecorder.out"`)
	writeBody(w, http.StatusOK, "application/octet-stream", body)
}

func (h *handler) serveCPUProfile(w http.ResponseWriter, r *http.Request) {
	h.record(w, r, "cpu.pb.gz", func(out io.Writer) (func(), error) {
		return pprof.StopCPUProfile, pprof.StartCPUProfile(out)
	})
}

func (h *handler) serveTrace(w http.ResponseWriter, r *http.Request) {
	h.record(w, r, "trace.out", func(out io.Writer) (func(), error) {
		return trace.Stop, trace.Start(out)
	})
}

// record streams a recording for the seconds asked for, or until the client has gone or live streams are closed: a trace
// can be larger than what memory allows, and a shutdown must not wait for it.
func (h *handler) record(w http.ResponseWriter, r *http.Request, file string, start func(io.Writer) (stop func(), err error)) {
	length, err := numberIn(r, "seconds", defaultProfileSeconds, 1, maxProfileSeconds)
	if err != nil {
		NewProblem(http.StatusBadRequest, err.Error()).ServeHTTP(w, r)
		return
	}
	if err := allowTime(w, time.Duration(length)*time.Second); err != nil {
		h.internal(w, r, "extend the write deadline", err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+file+`"`)
	if r.Method == http.MethodHead {
		return
	}
	stop, err := start(&okWriter{out: w})
	if err != nil {
		w.Header().Del("Content-Disposition")
		NewProblem(http.StatusConflict, "another recording runs: "+err.Error()).ServeHTTP(w, r)
		return
	}
	timer := time.NewTimer(time.Duration(length) * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-h.o.Live.over.Done():
	case <-h.warden.Done():
	}
	stop()
}

// allowTime lets an answer take its time, and then as long as a client may need to take it in. The server's own write
// timeout is meant for short answers; the server sets it anew for the next one.
func allowTime(w http.ResponseWriter, longest time.Duration) error {
	err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(longest + 30*time.Second))
	if errors.Is(err, http.ErrNotSupported) {
		return nil // a writer that knows no deadlines
	}
	return err
}

// numberIn reads a whole number from the query.
func numberIn(r *http.Request, name string, missing, least, most int) (int, error) {
	query := r.URL.Query()
	if !query.Has(name) {
		return missing, nil
	}
	text := query.Get(name)
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("query %s: %q: want a whole number from %d to %d", name, text, least, most)
	}
	return n, nil
}

// okWriter says with the first bytes that all is well: a router may have set another status before, as gin does for
// what none of its routes takes.
type okWriter struct {
	out   http.ResponseWriter
	begun bool
}

func (w *okWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.begun = true
		w.out.WriteHeader(http.StatusOK)
	}
	return w.out.Write(p)
}
