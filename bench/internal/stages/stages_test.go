package stages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/heap/heaptest"
)

// clock goes on by a second each time it is read.
func clock() func() time.Time {
	at := time.Unix(0, 0)
	return func() time.Time {
		at = at.Add(time.Second)
		return at
	}
}

func TestStopwatch(t *testing.T) {
	var a, b float64
	s := newStopwatch(clock(), map[string]*float64{"a": &a, "b": &b})
	for _, stage := range []string{"a", "a", "unknown", "a", "b", "b", "a"} {
		s.show(stage, 0, 0)
	}
	s.stop()
	if a != 2 || b != 1 {
		t.Errorf("a took %v s, b %v s: want 2 and 1, a second for each change", a, b)
	}
}

func TestRun(t *testing.T) {
	const sessions = 500
	file := filepath.Join(t.TempDir(), "snapshot")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := heaptest.WriteSessions(out, sessions); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), Options{File: file, Sample: 100, Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	if r.Objects < sessions || r.Pointers < sessions || r.ReachedBytes == 0 || r.ExactBytes == 0 || r.Tried == 0 {
		t.Errorf("%+v", r)
	}
	stages := []float64{r.Load, r.Reach, r.Type, r.Infer, r.Dominators, r.Retained, r.Suspects}
	sum := 0.0
	for i, d := range stages {
		if d <= 0 {
			t.Errorf("stage %d took no time: %v", i, stages)
		}
		sum += d
	}
	if r.Whole < sum || r.Whole > sum+3 {
		t.Errorf("all of it took %v s, its stages %v s", r.Whole, sum)
	}
}

func TestRunFails(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	if _, err := Run(t.Context(), Options{File: nowhere, Now: clock()}); err == nil || !strings.Contains(err.Error(), nowhere) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Run(t.Context(), Options{File: nowhere, PID: -1, Now: clock()}); err == nil || !strings.Contains(err.Error(), "capture of -1") {
		t.Errorf("no process: %v", err)
	}
}
