package cleanup

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestBudgetIsNoLoop asks every second for a day, with what comes of it as each case has it.
func TestBudgetIsNoLoop(t *testing.T) {
	b := Budget{PerHour: 4, MinWait: 5 * time.Minute, MaxWait: 6 * time.Hour}
	for name, c := range map[string]struct {
		worth       func(n int) bool
		least, most int
	}{
		"always worth it": {func(int) bool { return true }, 96, 96},
		"never":           {func(int) bool { return false }, 8, 10}, // after 10, 20, 40, 80, 160, 320 minutes, and 6 hours
		"at times":        {func(n int) bool { return n%3 == 0 }, 60, 96},
	} {
		var s Spent
		var runs []time.Time
		start := time.Unix(1_800_000_000, 0)
		for at := start; at.Before(start.Add(24 * time.Hour)); at = at.Add(time.Second) {
			ok, reason, retryAfter := b.Allow(s, at)
			if ok != (retryAfter == 0) || ok != (reason == "") || retryAfter < 0 {
				t.Fatalf("%s: %v, %q, %v", name, ok, reason, retryAfter)
			}
			if ok {
				runs = append(runs, at)
				s = b.Record(s, c.worth(len(runs)), at)
			}
			if len(s.recent) > b.PerHour {
				t.Fatalf("%s: %d times are kept", name, len(s.recent))
			}
		}
		if len(runs) < c.least || len(runs) > c.most {
			t.Errorf("%s: %d times in a day, want %d to %d", name, len(runs), c.least, c.most)
		}
		for i := range runs {
			if i >= b.PerHour && runs[i].Sub(runs[i-b.PerHour]) < time.Hour {
				t.Errorf("%s: more than %d times within an hour, at %v", name, b.PerHour, runs[i])
			}
			if i > 0 && runs[i].Sub(runs[i-1]) < b.MinWait {
				t.Errorf("%s: twice within %v", name, runs[i].Sub(runs[i-1]))
			}
		}
	}
}

// TestBudgetSaysWhy it refuses, and is renewed for something else, of which the hour knows all the same.
func TestBudgetSaysWhy(t *testing.T) {
	b := Budget{PerHour: 2, MinWait: time.Minute, MaxWait: 10 * time.Hour}
	now := time.Unix(1_800_000_000, 0)
	s := b.Record(Spent{}, true, now)
	if _, reason, after := b.Allow(s, now.Add(20*time.Second)); !strings.Contains(reason, "a moment ago") || after != 40*time.Second {
		t.Errorf("%q, %v", reason, after)
	}
	if s = b.Record(Spent{}, false, now); s.wait != 2*time.Minute {
		t.Errorf("a wait of %v", s.wait)
	}
	if _, reason, after := b.Allow(s, now); !strings.Contains(reason, "little came of it") || after != 2*time.Minute {
		t.Errorf("%q, %v", reason, after)
	}
	if ok, _, _ := b.Allow(s.Renewed(), now); !ok {
		t.Error("what is found next must wait because of what was before")
	}
	s = b.Record(s.Renewed(), false, now.Add(time.Minute))
	if _, reason, after := b.Allow(s.Renewed(), now.Add(2*time.Minute)); !strings.Contains(reason, "2 times") || after != 58*time.Minute {
		t.Errorf("%q, %v", reason, after)
	}
	for range 12 {
		s = b.Record(s, false, now)
	}
	if _, _, after := b.Allow(s, now.Add(90*time.Minute)); after != 10*time.Hour-90*time.Minute {
		t.Errorf("after an hour and a half a wait of ten hours is over in %v", after)
	}
}

// TestBudgetWhileClocksJump: none that was set back by hours keeps it from being cleaned up.
func TestBudgetWhileClocksJump(t *testing.T) {
	b := Budget{PerHour: 2, MinWait: time.Minute, MaxWait: time.Hour}
	now := time.Unix(1_800_000_000, 0)
	s := b.Record(b.Record(Spent{}, false, now), false, now.Add(time.Minute))
	if ok, reason, _ := b.Allow(s, now.Add(-3*time.Hour)); !ok {
		t.Errorf("after a clock was set back: %s", reason)
	}
	if ok, reason, _ := b.Allow(s, now.Add(9*time.Hour)); !ok {
		t.Errorf("after a clock was set forward: %s", reason)
	}
}

func TestTasksForLeaks(t *testing.T) {
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ran := make(chan Trigger, 4)
	for _, task := range []Task{{Name: "leaks", OnLeak: true}, {Name: "others", AtShutdown: true}} {
		task.Run = func(_ context.Context, why Trigger) (int64, error) { ran <- why; return 7, nil }
		if _, err := r.Add(task); err != nil {
			t.Fatal(err)
		}
	}
	results := r.RunAll(t.Context(), Leak)
	if len(results) != 1 || results[0].Task != "leaks" || results[0].FreedBytes != 7 || len(ran) != 1 || <-ran != Leak {
		t.Errorf("%+v", results)
	}
	if status := r.Status(); !status[0].OnLeak || status[1].OnLeak {
		t.Errorf("%+v", status)
	}
}
