package memstat

import "bytes"

// The files of cgroup v2's memory controller.
const (
	v2Current = iota
	v2Stat
	v2Peak
	v2Swap
	v2Events
)

func newGroupV2(dirs []string) *group {
	return &group{
		version: 2,
		own: newFiles(dirs[0], "memory.current", "memory.stat", "memory.peak", "memory.swap.current",
			"memory.events").require(v2Current, v2Stat),
		max:  oneOfEach(dirs, "memory.max"),
		high: oneOfEach(dirs, "memory.high"),
	}
}

// readV2 reads the group.
func (g *group) readV2(dst *Cgroup, buffer []byte) (maxPath, highPath string) {
	dst.CurrentBytes = g.own[v2Current].total(buffer)
	dst.PeakBytes = g.own[v2Peak].total(buffer)
	dst.SwapBytes = g.own[v2Swap].total(buffer)
	g.own[v2Stat].keyed(buffer, wanted{key: "inactive_file", into: &dst.InactiveFileBytes, must: true})
	g.own[v2Events].keyed(buffer,
		wanted{key: "high", into: &dst.HighEvents, must: true},
		wanted{key: "max", into: &dst.MaxEvents, must: true},
		wanted{key: "oom", into: &dst.OOMEvents, must: true},
		wanted{key: "oom_kill", into: &dst.OOMKillEvents})
	dst.MaxBytes, maxPath = g.max.strictest(buffer)
	dst.HighBytes, highPath = g.high.strictest(buffer)
	return maxPath, highPath
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
