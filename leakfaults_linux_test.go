package memwarden

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/leak"
)

// TestAClockThatJumps by hours, back and forth, keeps neither the live heap from being known anew nor snapshots from being
// taken, and nothing is found for it.
func TestAClockThatJumps(t *testing.T) {
	var off atomic.Int64
	c := ofSeconds()
	w := begin(t, Options{
		Config: c, Now: func() time.Time { return time.Now().Add(time.Duration(off.Load())) },
		Snapshot: SnapshotOptions{Dir: filepath.Join(t.TempDir(), "snapshots"), Cooldown: time.Hour, Deadline: 5 * time.Minute},
	})
	forced := func() uint64 {
		s := []metrics.Sample{{Name: "/gc/cycles/forced:gc-cycles"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	if _, err := w.StoreSnapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, jump := range []time.Duration{-5 * time.Hour, 8 * time.Hour} {
		off.Add(int64(jump))
		began := forced()
		for deadline := time.Now().Add(time.Minute); forced() <= began; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("after %v the live heap is not known any more", jump)
			}
		}
		if _, err := w.CheckLeaks(t.Context()); err != nil || w.Leaks().Verdict >= leak.Suspect {
			t.Errorf("after %v: %+v, %v", jump, w.Leaks(), err)
		}
		if jump < 0 {
			if _, err := w.StoreSnapshot(t.Context()); err != nil {
				t.Errorf("after %v: %v", jump, err)
			}
		}
	}
}

// TestASnapshotThatFails is told in the report, whyever it fails, and the one before is named all the same.
func TestASnapshotThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		o    SnapshotOptions
		want string
	}{
		"no directory":   {SnapshotOptions{}, "no snapshot: no heap snapshots are kept"},
		"no permission":  {SnapshotOptions{Disabled: true}, "no snapshot: "},
		"a bad helper":   {SnapshotOptions{Dir: filepath.Join(t.TempDir(), "a"), Helper: "/bin/false"}, "no snapshot: "},
		"no memory left": {SnapshotOptions{Dir: filepath.Join(t.TempDir(), "b"), ReserveBytes: 1 << 60}, "no snapshot: "},
	} {
		w := cleaned(t, Options{Snapshot: c.o})
		f := heapLeak(leak.Suspect)
		(&investigator{w: w}).look(t.Context(), leakCase{finding: f, snapshots: true})
		l := awaitLeak(t, w, leak.Heap, "suspect")
		if len(l.Evidence) != 1 || !strings.HasPrefix(l.Evidence[0], c.want) || l.Sentence == "" {
			t.Errorf("%s: %+v", name, l)
		}
	}
	w := cleaned(t, Options{})
	suspected := &investigator{w: w, before: analyzed{id: "earlier"}}
	suspected.look(t.Context(), leakCase{finding: heapLeak(leak.Confirmed), snapshots: true})
	if l := awaitLeak(t, w, leak.Heap, "confirmed"); len(l.Evidence) != 2 || l.Evidence[1] != "snapshot earlier" {
		t.Errorf("the snapshot before is not among the evidence: %q", l.Evidence)
	}
}

// TestAStoreThatHangs: what leaks is looked into all the same, once it has had its time, and who settles one is told so by then.
func TestAStoreThatHangs(t *testing.T) {
	o, log := newContainer(t, "max").options()
	synctest.Test(t, func(t *testing.T) {
		o.LeakReports = hanging{}
		w, err := Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		i := &investigator{w: w}
		f := heapLeak(leak.Suspect)
		f.Kind = leak.Threads
		i.look(t.Context(), leakCase{finding: f})
		i.look(t.Context(), leakCase{finding: f})
		if took := time.Since(began); took > 2*storeTimeout {
			t.Errorf("it took %v", took)
		}
		began = time.Now()
		if _, err := w.SettleLeak(context.Background(), 1, LeakDismissed); err == nil || time.Since(began) > storeTimeout {
			t.Errorf("a leak is settled after %v: %v", time.Since(began), err)
		}
		for range 2 { // more than can time out before the end
			if err := w.ReportLeak(done(), LeakReport{Kind: "timer", Sentence: "a timer is forgotten"}); err != nil {
				t.Error(err)
			}
		}
		if err := w.Close(context.Background()); err == nil || !strings.Contains(err.Error(), "leak report") {
			t.Errorf("nothing tells that reports are lost: %v", err)
		}
	})
	for _, want := range []string{"cannot be read, so that nothing is known to be dismissed", "could not be kept"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
}

// TestAStoreThatHangsUnderPressure: who reacts to pressure waits for it once, and no longer than for a cleanup task, however
// many leaks there are.
func TestAStoreThatHangsUnderPressure(t *testing.T) {
	o, _ := newContainer(t, "max").options()
	synctest.Test(t, func(t *testing.T) {
		o.LeakReports = hanging{}
		o.Config = notWatched()
		o.Config.Leaks.Enabled, o.Config.Leaks.AutoCleanup, o.Config.Leaks.IntervalSeconds, o.Config.Leaks.WindowSeconds = true, true, 3600, 7*86400
		w := begin(t, o)
		var leaks []leak.Finding
		for _, kind := range leak.Kinds() {
			leaks = append(leaks, leak.Finding{Kind: kind, Verdict: leak.Suspect, Since: time.Unix(1000, 0), Reason: "it rose"})
		}
		w.says(leaks...)
		began := time.Now()
		if !w.cleanUpUnderPressure(t.Context(), w.State()) {
			t.Fatal("nothing is cleaned up")
		}
		if took := time.Since(began); took > 2*hurry {
			t.Errorf("it took %v", took)
		}
	})
}

// hanging reports answer when nobody waits any longer.
type hanging struct{}

func (hanging) Add(ctx context.Context, _ []byte) (int64, error) {
	<-ctx.Done()
	return 0, context.Cause(ctx)
}

func (hanging) List(ctx context.Context, _ int64, _ int) ([]Report, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// absurd is an owner that says anything.
type absurd struct {
	name  string
	usage bounded.Usage
	gives int64
}

func (a absurd) Name() string                        { return a.name }
func (a absurd) Usage() bounded.Usage                { return a.usage }
func (a absurd) Shrink(context.Context, int64) int64 { return a.gives }

// TestOwnersThatLie: what they say makes no figure absurd, and keeps no other owner from giving.
func TestOwnersThatLie(t *testing.T) {
	log := &logBook{}
	w := begin(t, Options{Config: ofSeconds(), Logger: slog.New(slog.NewJSONHandler(log, nil))})
	honest := newPile(8)
	for _, owner := range []bounded.Owner{
		honest,
		absurd{"negative", bounded.Usage{Bytes: math.MinInt64, MaxBytes: math.MinInt64}, math.MinInt64},
		absurd{"gives_more", bounded.Usage{Bytes: 1 << 40, MaxBytes: 1}, math.MaxInt64},
		absurd{"has_nothing", bounded.Usage{}, 0},
		broken{"broken"},
	} {
		if _, err := w.Register(owner); err != nil {
			t.Fatal(err)
		}
	}
	sampled(t, w)
	for range 2 {
		status, err := w.CheckLeaks(t.Context())
		if err != nil || len(status.Findings) != len(leak.Kinds()) || status.Verdict >= leak.Suspect {
			t.Fatalf("%+v, %v", status, err)
		}
	}
	awaitLog(t, log, "owners account for more than there is")
	awaitLog(t, log, "an owner cannot tell what it holds")
	total := int64(0)
	for _, owner := range w.owners.shrink(t.Context(), 1<<40+4<<20) {
		if total += owner.bytes; owner.bytes <= 0 || owner.bytes > 1<<40 {
			t.Errorf("%+v", owner)
		}
	}
	if len(honest.held) != 4 || total != 1<<40+4<<20 {
		t.Errorf("the honest one has %d MiB left, %d bytes were given", len(honest.held), total)
	}
}

// TestSnapshotEvidence: a snapshot that is kept is told of, whatever becomes of its analysis.
func TestSnapshotEvidence(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	for _, c := range []struct {
		ctx  context.Context
		id   string
		err  error
		want string
	}{
		{t.Context(), "one", nil, `["snapshot one"]`},
		{t.Context(), "", errDown, `["no snapshot: ` + errDown.Error() + `"]`},
		{t.Context(), "one", errDown, `["snapshot one" "it is not analysed: ` + errDown.Error() + `"]`},
		{ended, "one", errDown, `["snapshot one"]`},
		{ended, "", errDown, `[]`},
	} {
		if got := fmt.Sprintf("%q", snapshotEvidence(c.ctx, c.id, c.err)); got != c.want {
			t.Errorf("%q, %v: %s, want %s", c.id, c.err, got, c.want)
		}
	}
}
