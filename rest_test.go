package memwarden

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// looks counts those of so many seconds.
func looks(w *Warden, length time.Duration) int64 {
	synctest.Wait()
	before := w.State().Sequence
	time.Sleep(length)
	synctest.Wait()
	return w.State().Sequence - before
}

// TestProcessAtRest: it is looked more rarely at a process once nothing has happened for ten minutes, and each second again
// as soon as something does.
func TestProcessAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newContainer(t, "8589934592")
		o, _ := c.options()
		w := begin(t, o)
		rests := func(after string) {
			t.Helper()
			if n := looks(w, 9*time.Minute+50*time.Second); n < 590 || n > 592 {
				t.Fatalf("%s: %d looks in the first 590 s, want one each second", after, n)
			}
			time.Sleep(15 * time.Second)
			if n := looks(w, 100*time.Second); n != 20 {
				t.Fatalf("%s: %d looks in 100 s of rest, want 20", after, n)
			}
		}
		rests("from the start")

		events, err := w.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for range events.Events {
			}
		}()
		time.Sleep(5 * time.Second)
		if n := looks(w, 100*time.Second); n != 100 {
			t.Errorf("%d looks in 100 s while somebody follows", n)
		}
		events.Close()
		rests("followed no more")

		c.write("proc/self/statm", "30000 5300 0 0 0 0 0\n")
		time.Sleep(5 * time.Second)
		if n := looks(w, 100*time.Second); n != 100 {
			t.Errorf("%d looks in 100 s after 3.5 %% more memory", n)
		}
		time.Sleep(10 * time.Minute)
		if n := looks(w, 100*time.Second); n != 20 {
			t.Errorf("%d looks in 100 s of rest after that, want 20", n)
		}

		c.use(7 << 30) // 1 GiB is left
		time.Sleep(5 * time.Second)
		if n := looks(w, 100*time.Second); n != 100 {
			t.Errorf("%d looks in 100 s near a limit", n)
		}
	})
}

// TestSmallContainerNeverRests: where little is free it is looked each second.
func TestSmallContainerNeverRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "1073741824").options()
		w := begin(t, o)
		time.Sleep(20 * time.Minute)
		if n := looks(w, 100*time.Second); n != 100 {
			t.Errorf("%d looks in 100 s", n)
		}
	})
}

// TestRestFollowsTheInterval: an interval that is set at run time is kept, or stretched up to five seconds.
func TestRestFollowsTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := newContainer(t, "8589934592").options()
		w := begin(t, o)
		time.Sleep(20 * time.Minute)
		for patch, want := range map[string]int64{
			`{"sampling":{"interval_seconds":0.2}}`: 100,
			`{"sampling":{"interval_seconds":4}}`:   20,
			`{"sampling":{"interval_seconds":10}}`:  10,
		} {
			if _, err := w.PatchConfig(context.Background(), ConfigPatch{Patch: []byte(patch), Actor: "test"}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			if n := looks(w, 100*time.Second); n != want {
				t.Errorf("%s: %d looks in 100 s, want %d", patch, n, want)
			}
		}
	})
}
