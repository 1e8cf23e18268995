package memstat

// The files of cgroup v1's memory controller: first those that are read of parents too.
const (
	_ = maxFile + iota
	v1Usage
	v1Stat
	v1Failures
	v1Peak
	v1OOM
)

func ownV1(dir string) files {
	return append(parentV1(dir), newFiles(dir, "memory.max_usage_in_bytes", "memory.oom_control")...)
}

func parentV1(dir string) files {
	return newFiles(dir, "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "memory.failcnt").require(v1Usage, v1Stat)
}

// readV1 reads the group's use. The soft limit is no HighBytes: the kernel only reclaims above it when the machine runs
// short.
func (g *group) readV1(dst *Cgroup, buffer []byte) {
	own := g.levels[0].files
	dst.CurrentBytes = own[v1Usage].total(buffer)
	dst.PeakBytes = own[v1Peak].total(buffer)
	dst.MaxEvents = own[v1Failures].total(buffer)
	own[v1Stat].keyed(buffer,
		wanted{key: "total_inactive_file", into: &dst.InactiveFileBytes, must: true},
		wanted{key: "total_swap", into: &dst.SwapBytes},
		wanted{key: "hierarchical_memory_limit", into: &g.whole})
	own[v1OOM].keyed(buffer, wanted{key: "oom_kill", into: &dst.OOMKillEvents}) // kernels before 4.13 do not count it
}

// seeOutside notes a limit of a parent that is outside a container's mount, which memory.stat knows of: it holds for all
// levels, and the use of the topmost comes nearest to what counts against it. What the topmost itself tells is taken:
// the group's own word may be a moment older than the limits, and the root of all groups holds the whole machine.
func (g *group) seeOutside(buffer []byte) {
	top := &g.levels[len(g.levels)-1]
	top.files[v1Stat].keyed(buffer, wanted{key: "hierarchical_memory_limit", into: &g.whole})
	if g.whole.Or(unlimited) < unlimited {
		top.seen.MaxBytes = g.whole
	}
}

// readV1 reads a parent's use. The kernel counts a failure at the group whose limit stood in the way, not below it.
func (l *level) readV1(buffer []byte) {
	l.seen.CurrentBytes = l.files[v1Usage].total(buffer)
	l.seen.MaxEvents = l.files[v1Failures].total(buffer)
	l.files[v1Stat].keyed(buffer, wanted{key: "total_inactive_file", into: &l.seen.InactiveFileBytes, must: true})
}

// quotaV1 reads cpu.cfs_quota_us and cpu.cfs_period_us.
func quotaV1(set files, buffer []byte) (Float, error) {
	text := set[0].read(buffer)
	if text == nil {
		return Float{}, nil
	}
	quota := append([]byte(nil), firstWord(text)...)
	text = set[1].read(buffer)
	if text == nil {
		return Float{}, nil
	}
	return coresOf(quota, firstWord(text))
}
