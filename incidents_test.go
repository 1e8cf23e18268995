package memwarden

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/incident"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
	"github.com/memwarden/memwarden/settings"
)

func TestIncidentOptions(t *testing.T) {
	got, err := IncidentOptions{}.withDefaults()
	if want := (IncidentOptions{MaxCount: 20, MaxAge: 168 * time.Hour, MaxBytes: 1 << 30}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	values, err := settings.Resolve(IncidentSettings(), settings.Layer{Lookup: lookup(
		"MEMWARDEN_INCIDENT_ENABLED=no", "MEMWARDEN_INCIDENT_DIR=d", "MEMWARDEN_INCIDENT_MAX_COUNT=7", "MEMWARDEN_INCIDENT_MAX_AGE=2h",
		"MEMWARDEN_INCIDENT_MAX_BYTES=20MiB", "MEMWARDEN_INCIDENT_SNAPSHOTS=no", "MEMWARDEN_INCIDENT_TRACE=yes",
	)})
	if err != nil {
		t.Fatal(err)
	}
	own := IncidentOptions{Disabled: true, Dir: "d", MaxCount: 7, MaxAge: 2 * time.Hour, MaxBytes: 20 << 20, NoSnapshots: true, Trace: true}
	if got := IncidentOptionsFrom(values); got != own {
		t.Errorf("%+v, want %+v", got, own)
	}
	if got, err := own.withDefaults(); err != nil || got != own {
		t.Errorf("%+v, %v, want %+v", got, err, own)
	}
	_, err = Start(t.Context(), Options{Incidents: IncidentOptions{MaxCount: -1, MaxAge: -2, MaxBytes: -3}})
	if err == nil || !strings.Contains(err.Error(), "Incidents.MaxCount -1, MaxAge -2ns and MaxBytes -3 must not be negative") {
		t.Errorf("got %v", err)
	}
}

func TestIncidentsRefused(t *testing.T) {
	for want, o := range map[error]Options{
		ErrNoIncidents: {Incidents: IncidentOptions{Dir: t.TempDir(), Disabled: true}},
		ErrRemote:      {PID: os.Getpid(), Incidents: IncidentOptions{Dir: t.TempDir()}},
	} {
		w := begin(t, o)
		if _, err := w.Incidents(); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if _, err := w.RecordIncident(t.Context(), "a test"); !errors.Is(err, want) || w.PreviousRun() != nil {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{Incidents: IncidentOptions{Dir: file}}); !errors.Is(err, ErrIncidentDir) {
		t.Errorf("got %v", err)
	}
}

// incidentIn starts a warden in a container with a directory for bundles.
func incidentIn(t *testing.T, c *container, change func(*Options)) (*Warden, *logBook) {
	t.Helper()
	o, log := c.options()
	o.Incidents = IncidentOptions{Dir: filepath.Join(c.root, "incidents"), NoSnapshots: true}
	if change != nil {
		change(&o)
	}
	return begin(t, o), log
}

func bundles(t *testing.T, w *Warden) []incident.Record {
	t.Helper()
	store, err := w.Incidents()
	if err != nil {
		t.Fatal(err)
	}
	return store.List()
}

func partNames(r incident.Record) (names []string) {
	for _, p := range r.Parts {
		names = append(names, p.Name)
	}
	return names
}

// TestABundleUnderPressure: use that comes near the container's limit leaves a bundle that says why, with everything there
// is in it.
func TestABundleUnderPressure(t *testing.T) {
	// What is to come after a collection is not there before the one that this test runs.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	synctest.Test(t, func(t *testing.T) {
		c := newContainer(t, "1073741824")
		c.write("proc/sys/kernel/random/boot_id", "boot\n")
		w, log := incidentIn(t, c, nil)
		s := subscribe(t, w)
		time.Sleep(10 * time.Second)
		if list := bundles(t, w); len(list) != 0 {
			t.Fatalf("without pressure there is %+v", list)
		}
		for len(s.Events) > 0 {
			<-s.Events
		}
		c.use(920 << 20)
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		list := bundles(t, w)
		if len(list) != 1 || list[0].Cause.Rule != "high_water" && list[0].Cause.Rule != "growth" || list[0].Complete || list[0].Cause.LimitBytes != 1<<30 {
			t.Fatalf("there is %+v\n%s", list, log)
		}
		runtime.GC()
		time.Sleep(time.Second)
		synctest.Wait()
		r := bundles(t, w)[0]
		for _, want := range []string{partHeap, partGoroutines, partCgroup, partState, partConfig, partHeapAfter} {
			if !slices.Contains(partNames(r), want) {
				t.Errorf("%s is not among %v: %+v", want, partNames(r), r.Missing)
			}
		}
		if !r.Complete || len(r.Pending) != 0 || r.Damage != "" {
			t.Errorf("in the end it is %+v", r)
		}
		checkState(t, filepath.Join(c.root, "incidents", r.ID))
		told := false
		for _, e := range waiting(s) {
			record, ok := e.Data.(incident.Record)
			told = told || e.Kind == EventIncident && ok && record.ID == r.ID
		}
		if !told {
			t.Error("no event tells of it")
		}
		for _, want := range []string{"memory incident bundle written", "memory incident bundle is complete", "id=" + r.ID} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log)
			}
		}
		time.Sleep(30 * time.Minute)
		if list := bundles(t, w); len(list) != 1 {
			t.Errorf("use that stays leads to %d bundles", len(list))
		}
	})
}

// checkState reads what the warden knew.
func checkState(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, partState))
	var state struct {
		Sample struct {
			Cgroup struct {
				Max int64 `json:"max_bytes"`
			}
		}
		Owners []struct {
			Name  string
			Usage struct{ Bytes *int64 }
		}
	}
	if err := errors.Join(err, json.Unmarshal(text, &state)); err != nil {
		t.Fatal(err)
	}
	if state.Sample.Cgroup.Max != 1<<30 || len(state.Owners) < 3 {
		t.Errorf("the state is %s", text)
	}
	cgroup, err := os.ReadFile(filepath.Join(dir, partCgroup))
	if err != nil || !strings.Contains(string(cgroup), "== memory.max\n1073741824") || !strings.Contains(string(cgroup), "oom_kill 0") {
		t.Errorf("the control group is %s, %v", cgroup, err)
	}
}

// TestFastLeaksAreReadMoreOften: between two samples of the loop a second apart a leak of 400 MB/s comes from a third of
// the container to its end; the watch reads on its own.
func TestFastLeaksAreReadMoreOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newContainer(t, "1073741824")
		w, log := incidentIn(t, c, func(o *Options) {
			config := DefaultConfig()
			config.Sampling.IntervalSeconds = 1
			o.Config = &config
		})
		time.Sleep(3*time.Second + 25*time.Millisecond) // a file is empty for the moment in which it is written: not when it is read
		for mib := int64(20); mib < 1000; mib += 20 {
			c.use(mib << 20)
			time.Sleep(50 * time.Millisecond)
		}
		synctest.Wait()
		list := bundles(t, w)
		if len(list) < 2 {
			t.Fatalf("there are %+v\n%s", list, log)
		}
		if first := list[len(list)-1]; first.Cause.TotalBytes > 700<<20 || first.Cause.Rule != "growth" {
			t.Errorf("the first comes at %d MiB by %s", first.Cause.TotalBytes>>20, first.Cause.Rule)
		}
	})
}

func TestRecordIncident(t *testing.T) {
	c := newContainer(t, "1073741824")
	w, log := incidentIn(t, c, func(o *Options) { o.Incidents.Trace = true })
	r, err := w.RecordIncident(t.Context(), "somebody\nasked")
	if err != nil {
		t.Fatal(err)
	}
	if r.Cause.Rule != incident.Manual || r.Cause.Reason != "somebody asked" || r.Program.PID != os.Getpid() || r.Program.GoVersion != runtime.Version() ||
		!slices.Contains(partNames(r), partGoroutines) || !slices.Contains(partNames(r), partHeap) {
		t.Errorf("got %+v", r)
	}
	for deadline := time.Now().Add(time.Minute); !slices.Contains(partNames(bundles(t, w)[0]), partTrace); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("there is no trace: %+v", bundles(t, w)[0])
		}
	}
	var early *IncidentCooldownError
	if _, err := w.RecordIncident(t.Context(), "again"); !errors.As(err, &early) || early.RetryAfter <= 0 || !strings.Contains(err.Error(), "the next may be in") {
		t.Errorf("got %v", err)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.RecordIncident(t.Context(), "too late"); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	// What was under way says that it was broken off.
	store, _ := w.Incidents()
	if r, err := store.Get(r.ID); err != nil || !r.Complete || len(r.Missing) == 0 {
		t.Errorf("after the end it is %+v, %v\n%s", r, err, log)
	}
}

func TestNoRoomForABundle(t *testing.T) {
	for use, check := range map[int64]func(incident.Record, error) bool{
		1 << 30:        func(_ incident.Record, err error) bool { return errors.Is(err, ErrIncidentRoom) },
		1<<30 - 20<<20: func(r incident.Record, err error) bool { return err == nil && r.Cause.Extent == "smallest" },
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newContainer(t, "1073741824")
			c.use(use)
			w, log := incidentIn(t, c, nil)
			synctest.Wait()
			if r, err := w.RecordIncident(t.Context(), "a test"); !check(r, err) {
				t.Errorf("with %d used: %+v, %v", use, r, err)
			}
			if said := strings.Contains(log.String(), "there is too little left to write a bundle"); said != (use == 1<<30) {
				t.Errorf("with %d used the log says:\n%s", use, log)
			}
		})
	}
}

// TestADirectoryThatCannotBeWritten: the failure is logged and tried again, and nothing half is left.
func TestADirectoryThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newContainer(t, "1073741824")
		w, log := incidentIn(t, c, nil)
		dir := filepath.Join(c.root, "incidents")
		if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		c.use(920 << 20)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := strings.Count(log.String(), "memory incident bundle could not be written"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, log)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if list := bundles(t, w); len(list) != 1 {
			t.Errorf("it is not tried again: %+v\n%s", list, log)
		}
	})
}

// TestTheNextRunIsTold: of a run that was not closed, by the counters of cgroup version 2 here.
func TestTheNextRunIsTold(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: there are no control groups")
	}
	for name, c := range map[string]struct {
		kills  int
		closed bool
		want   incident.Ending
	}{
		"closed": {0, true, incident.Closed}, "killed": {2, false, incident.KilledForMemory}, "died": {1, false, incident.NotClosed},
	} {
		t.Run(name, func(t *testing.T) {
			group := newContainer(t, "1073741824")
			group.write("proc/sys/kernel/random/boot_id", "boot\n")
			first, _ := incidentIn(t, group, func(o *Options) {
				config := DefaultConfig()
				config.Leaks.Enabled = false // so that its bundles have nothing to say of what grew
				o.Config = &config
			})
			if first.PreviousRun() != nil {
				t.Errorf("before the first run there was %+v", first.PreviousRun())
			}
			// An earlier bundle, which had room to say what grew.
			draft, err := first.incidents.store.Begin(incident.Cause{Rule: "growth"}, first.incidents.program)
			if err != nil {
				t.Fatal(err)
			}
			draft.NoteGrowing([]string{"1.0 GiB more in main.leak"})
			earlier, err := draft.Publish()
			if err != nil {
				t.Fatal(err)
			}
			r, err := first.RecordIncident(t.Context(), "before the end")
			if err != nil || r.Cause.Growing != nil {
				t.Fatalf("%q, %v", r.Cause.Growing, err)
			}
			// One process of the group is killed while the first run lives on.
			group.write("sys/fs/cgroup/memory.events", "low 0\nhigh 0\nmax 0\noom 1\noom_kill 1\n")
			first.hurry()
			noted := filepath.Join(group.root, "incidents", "run.json")
			var text []byte
			for !strings.Contains(string(text), `"oom_kills": 1`) {
				if text, err = os.ReadFile(noted); err != nil {
					t.Fatal(err)
				}
				first.hurry()
				time.Sleep(10 * time.Millisecond)
			}
			if err := first.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			if !c.closed { // as it stood when the kernel killed it
				if err := os.WriteFile(noted, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			group.write("sys/fs/cgroup/memory.events", fmt.Sprintf("low 0\nhigh 0\nmax 0\noom 1\noom_kill %d\n", max(1, c.kills)))
			second, log := incidentIn(t, group, nil)
			p := second.PreviousRun()
			if p == nil || p.Ended != c.want || !slices.Equal(p.Bundles, []string{r.ID, earlier.ID}) {
				t.Errorf("told %+v", p)
			}
			if said := strings.Contains(log.String(), "the last run was not closed") && strings.Contains(log.String(), "ended="+string(c.want)+" ") &&
				strings.Contains(log.String(), `growing="1.0 GiB more in main.leak"`); said == c.closed {
				t.Errorf("the log says:\n%s", log)
			}
		})
	}
}

// TestReadingsOfLimits: what counts is who would kill the process.
func TestReadingsOfLimits(t *testing.T) {
	known := memstat.Known[int64]
	machine := memstat.Sample{System: memstat.System{TotalBytes: known(1000), AvailableBytes: known(100)}}
	heavy := machine
	heavy.Process.RSSBytes = known(500)
	contained := heavy
	contained.Cgroup = memstat.Cgroup{MaxBytes: known(800), CurrentBytes: known(700), WorkingSetBytes: known(600)}
	for name, c := range map[string]struct {
		sample      memstat.Sample
		used, limit int64
	}{"nothing": {}, "somebody else's shortage": {sample: machine}, "its own": {heavy, 900, 1000}, "a container": {contained, 600, 800}} {
		_, d := pressure.Next(pressure.State{}, pressureConfig(DefaultConfig()), &c.sample, time.Unix(1e9, 0))
		if r := readingOf(&c.sample, d); r.UsedBytes != c.used || r.TotalBytes != c.used || r.LimitBytes != c.limit {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
