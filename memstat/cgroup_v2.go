package memstat

import "bytes"

// The files of cgroup v2's memory controller: first those that are read of parents too.
const (
	_ = maxFile + iota
	v2High
	v2Current
	v2Stat
	v2Events
	v2Peak
	v2Swap
)

func ownV2(dir string) files {
	return newFiles(dir, "memory.max", "memory.high", "memory.current", "memory.stat", "memory.events", "memory.peak",
		"memory.swap.current").require(v2Current, v2Stat)
}

// parentV2 has the events of the parent's own limits (since Linux 5.2): those in memory.events are also of the limits
// of all groups below it.
func parentV2(dir string) files {
	return newFiles(dir, "memory.max", "memory.high", "memory.current", "memory.stat", "memory.events.local").require(v2Current, v2Stat)
}

// readV2 reads the group's use.
func (g *group) readV2(dst *Cgroup, buffer []byte) {
	own := g.levels[0].files
	dst.CurrentBytes = own[v2Current].total(buffer)
	dst.PeakBytes = own[v2Peak].total(buffer)
	dst.SwapBytes = own[v2Swap].total(buffer)
	own[v2Stat].keyed(buffer, wanted{key: "inactive_file", into: &dst.InactiveFileBytes, must: true})
	own[v2Events].keyed(buffer,
		wanted{key: "high", into: &dst.HighEvents, must: true},
		wanted{key: "max", into: &dst.MaxEvents, must: true},
		wanted{key: "oom", into: &dst.OOMEvents, must: true},
		wanted{key: "oom_kill", into: &dst.OOMKillEvents})
}

// readV2 reads a parent's use.
func (l *level) readV2(buffer []byte) {
	l.seen.CurrentBytes = l.files[v2Current].total(buffer)
	l.files[v2Stat].keyed(buffer, wanted{key: "inactive_file", into: &l.seen.InactiveFileBytes, must: true})
	l.files[v2Events].keyed(buffer,
		wanted{key: "high", into: &l.seen.HighEvents, must: true},
		wanted{key: "max", into: &l.seen.MaxEvents, must: true},
		wanted{key: "oom", into: &l.seen.OOMEvents, must: true})
}

// quotaV2 reads cpu.max.
func quotaV2(set files, buffer []byte) (Float, error) {
	text := set[0].read(buffer)
	if text == nil {
		return Float{}, nil
	}
	return parseQuota(text)
}

func firstWord(text []byte) []byte {
	word, _ := nextWord(bytes.TrimSpace(text))
	return word
}
