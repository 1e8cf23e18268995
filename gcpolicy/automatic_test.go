package gcpolicy

import (
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
)

// inContainer is a sample of a process in a container of 1000 MiB, in MiB.
func inContainer(use, live, objects, free int64) *memstat.Sample {
	var s memstat.Sample
	s.Cgroup.MaxBytes, s.Cgroup.WorkingSetBytes = mebibytes(1000), mebibytes(use)
	s.Go.HeapLiveBytes, s.Go.HeapObjectsBytes, s.Go.HeapFreeBytes = mebibytes(live), mebibytes(objects), mebibytes(free)
	s.Go.UsedBytes, s.Go.GCCycles = mebibytes(objects+free+10), memstat.Known(int64(5))
	return &s
}

// under is the pressure of samples, one a second.
func under(samples ...*memstat.Sample) (d pressure.Decision) {
	var state pressure.State
	for i, s := range samples {
		state, d = pressure.Next(state, pressure.Default(), s, epoch.Add(time.Duration(i)*time.Second))
	}
	return d
}

func TestAutomate(t *testing.T) {
	for name, test := range map[string]struct {
		sample          *memstat.Sample
		collect, giveUp bool
		reason          string
	}{
		"normal":                  {inContainer(600, 100, 300, 200), false, false, "nothing to do: pressure is normal and the sample shows normal"},
		"elevated with garbage":   {inContainer(750, 100, 300, 50), false, false, "nothing worth collecting: pressure is elevated, with 200.0 MiB of garbage and 50.0 MiB of free heap in a limit of 1000.0 MiB"},
		"elevated with free heap": {inContainer(750, 100, 110, 100), false, true, "return memory: pressure is elevated"},
		"high with garbage":       {inContainer(850, 100, 150, 49), true, false, "collect: pressure is high, with 50.0 MiB of garbage"},
		"high with much garbage":  {inContainer(850, 100, 200, 0), true, true, "collect and return memory: pressure is high"},
		"high with less":          {inContainer(850, 100, 149, 99), false, false, "nothing worth collecting"},
		"high with both":          {inContainer(850, 100, 150, 50), true, true, "collect and return memory: pressure is high"},
		"critical":                {inContainer(950, 100, 150, 49), true, false, "collect: pressure is critical"},
		"not judged":              {&memstat.Sample{}, false, false, "there is no pressure to judge by"},
		"outside Go": {func() *memstat.Sample { s := inContainer(950, 0, 0, 0); s.Go = memstat.Go{}; return s }(), false, false,
			"with 0 B of garbage and 0 B of free heap"},
	} {
		t.Run(name, func(t *testing.T) {
			p := under(test.sample, test.sample, test.sample)
			d := Automate(DefaultAutomatic(), p, test.sample)
			if d.Collect != test.collect || d.ReturnToOS != test.giveUp || !strings.Contains(d.Reason, test.reason) || !d.At.Equal(p.At) {
				t.Errorf("%+v, want %v, %v, …%s…", d, test.collect, test.giveUp, test.reason)
			}
			request, ok := d.Request()
			if ok != (test.collect || test.giveUp) || request.ReturnToOS != test.giveUp || request.Reason != d.Reason || request.Force {
				t.Errorf("request %+v, %v", request, ok)
			}
			off := DefaultAutomatic()
			off.Enabled = false
			if _, ok := Automate(off, p, test.sample).Request(); ok {
				t.Error("acts although it is switched off")
			}
		})
	}
}

// TestAutomateWaitsForDwell: neither a spike nor a level that is only held is acted on.
func TestAutomateWaitsForDwell(t *testing.T) {
	high, low := inContainer(850, 100, 300, 200), inContainer(500, 100, 300, 200)
	if d := Automate(DefaultAutomatic(), under(low, high), high); d.Collect || d.ReturnToOS {
		t.Errorf("acts on a spike: %+v", d)
	}
	held := under(high, high, high, low)
	if held.Level != pressure.High {
		t.Fatal(held.Reason())
	}
	if d := Automate(DefaultAutomatic(), held, low); d.Collect || d.ReturnToOS || d.Reason != "nothing to do: pressure is high and the sample shows normal" {
		t.Errorf("acts on a level that is only held: %+v", d)
	}
}

func TestAutomateSmallLimit(t *testing.T) {
	s := inContainer(85, 10, 12, 15)
	s.Cgroup.MaxBytes = mebibytes(100)
	if d := Automate(DefaultAutomatic(), under(s, s, s), s); d.ReturnToOS {
		t.Errorf("returns less than 16 MiB: %+v", d)
	}
}
