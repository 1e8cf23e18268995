package health

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
)

// repeatedly is how many failures in a row make a cleanup task's check degraded.
const repeatedly = 3

// The memory checks are values to change before they are added: another name, other probes.
//
// Their levels come from pressure: normal and elevated are OK, high is Degraded, critical is Down. None is in the Live
// probe: a restart loses what the process holds and cures no load. Critical takes readiness off with the first result,
// because package pressure lets a level change only after a dwell of its own, and because caches were shrunk, garbage
// was collected and load was shed on the way there. Set Probes to 0 to keep readiness out of it.
//
// sample returns the newest sample, or nil if there is none yet; level the level in force and its reason. Both are
// called at most once a second and must neither block nor do I/O. A nil level leaves a check at OK.

// HeapCheck tells of the Go heap and the rest of the runtime's memory, space by space. It can fail Ready.
func HeapCheck(sample func() *memstat.Sample, level func() (pressure.Level, string)) Check {
	return memoryCheck("heap", sample, level, func(s *memstat.Sample, d details) {
		d.add("live_bytes", s.Go.HeapLiveBytes)
		d.add("objects_bytes", s.Go.HeapObjectsBytes)
		d.add("unused_bytes", s.Go.HeapUnusedBytes)
		d.add("free_bytes", s.Go.HeapFreeBytes)
		d.add("released_bytes", s.Go.HeapReleasedBytes)
		d.add("stacks_bytes", s.Go.StacksBytes)
		d.add("metadata_bytes", s.Go.MetadataBytes)
		d.add("total_bytes", s.Go.TotalBytes)
		d.add("used_bytes", s.Go.UsedBytes)
		d.add("goal_bytes", s.Go.HeapGoalBytes)
		d.add("limit_bytes", s.Go.MemoryLimitBytes)
	})
}

// CgroupCheck tells of the control group's memory: the container's. It can fail Ready.
func CgroupCheck(sample func() *memstat.Sample, level func() (pressure.Level, string)) Check {
	return memoryCheck("cgroup", sample, level, func(s *memstat.Sample, d details) {
		d.add("version", s.Cgroup.Version)
		d.add("current_bytes", s.Cgroup.CurrentBytes)
		d.add("inactive_file_bytes", s.Cgroup.InactiveFileBytes)
		d.add("working_set_bytes", s.Cgroup.WorkingSetBytes)
		d.add("max_bytes", s.Cgroup.MaxBytes)
		d.add("high_bytes", s.Cgroup.HighBytes)
		d.add("peak_bytes", s.Cgroup.PeakBytes)
		d.add("swap_bytes", s.Cgroup.SwapBytes)
		d.add("oom_events_total", s.Cgroup.OOMEvents)
		d.add("oom_kill_events_total", s.Cgroup.OOMKillEvents)
	})
}

// SystemMemoryCheck tells of the machine's memory. It is never worse than Degraded and fails no probe: the machine is
// shared, and a service that leaves its load balancer frees none of it.
func SystemMemoryCheck(sample func() *memstat.Sample, level func() (pressure.Level, string)) Check {
	check := memoryCheck("system_memory", sample, level, func(s *memstat.Sample, d details) {
		d.add("total_bytes", s.System.TotalBytes)
		d.add("available_bytes", s.System.AvailableBytes)
		d.add("swap_total_bytes", s.System.SwapTotalBytes)
		d.add("swap_free_bytes", s.System.SwapFreeBytes)
	})
	check.Probes = 0
	run := check.Run
	check.Run = func(ctx context.Context) Result {
		result := run(ctx)
		result.Level = min(result.Level, Degraded)
		return result
	}
	return check
}

func memoryCheck(name string, sample func() *memstat.Sample, level func() (pressure.Level, string), fill func(*memstat.Sample, details)) Check {
	return Check{
		Name: name, Probes: Ready, TTL: time.Second, FailAfter: 1, RecoverAfter: 1,
		Run: func(context.Context) Result {
			var result Result
			if level != nil {
				var in pressure.Level
				in, result.Message = level()
				result.Level = ofPressure(in)
			}
			newest := sample()
			if newest == nil {
				return Result{Level: max(result.Level, Degraded), Message: "no sample yet"}
			}
			found := details{}
			fill(newest, found)
			if len(found) == 0 {
				result.Message = strings.TrimSuffix("no figures here; "+result.Message, "; ")
			}
			found["sampled_at"] = newest.At
			result.Details = found
			return result
		},
	}
}

func ofPressure(level pressure.Level) Level {
	switch {
	case level >= pressure.Critical:
		return Down
	case level == pressure.High:
		return Degraded
	}
	return OK
}

// details collects figures; absent ones stay absent.
type details map[string]any

func (d details) add(name string, figure memstat.Int) {
	if value, known := figure.Get(); known {
		d[name] = value
	}
}

// TaskState is what CleanupCheck needs to know of a cleanup task.
type TaskState struct {
	Name                string
	Stuck               bool  // was told to end and has not
	ConsecutiveFailures int64 // since the last success
}

// CleanupCheck is Degraded while a cleanup task is stuck, or has failed three times in a row or more. It fails no
// probe. tasks must not block.
func CleanupCheck(tasks func() []TaskState) Check {
	return Check{Name: "cleanup", Run: func(context.Context) Result {
		var stuck, failing []string
		all := tasks()
		for _, task := range all {
			if task.Stuck {
				stuck = append(stuck, task.Name)
			} else if task.ConsecutiveFailures >= repeatedly {
				failing = append(failing, task.Name)
			}
		}
		result := Result{Details: map[string]any{"tasks": len(all)}}
		var says []string
		if len(stuck) > 0 {
			says, result.Details["stuck"] = append(says, "stuck: "+strings.Join(stuck, ", ")), stuck
		}
		if len(failing) > 0 {
			says, result.Details["failing"] = append(says, "failing repeatedly: "+strings.Join(failing, ", ")), failing
		}
		if len(says) > 0 {
			result.Level, result.Message = Degraded, strings.Join(says, "; ")
		}
		return result
	}}
}

// Heartbeat is Down while a loop that should beat has not done so for maxAge: for a loop that only a restart mends. It
// is in the Live probe. last returns the time of the last beat, zero before the first; the age counts from the call of
// Heartbeat at the earliest. Both must come from the same clock as time.Now. last must not block.
func Heartbeat(name string, maxAge time.Duration, last func() time.Time) Check {
	made := time.Now()
	return Check{Name: name, Probes: Live, TTL: time.Second, Run: func(context.Context) Result {
		beat := last()
		since := beat
		if since.Before(made) {
			since = made
		}
		age := time.Since(since)
		result := Result{Details: map[string]any{"age_seconds": age.Seconds(), "max_age_seconds": maxAge.Seconds()}}
		if age > maxAge {
			result.Level = Down
			result.Message = fmt.Sprintf("no beat for %s: want one each %s", age.Round(time.Millisecond), maxAge)
		}
		return result
	}}
}
