package memstat

// The files of cgroup v1's memory controller.
const (
	v1Usage = iota
	v1Stat
	v1Peak
	v1Failures
	v1OOM
)

func newGroupV1(dirs []string) *group {
	return &group{
		version: 1,
		own: newFiles(dirs[0], "memory.usage_in_bytes", "memory.stat", "memory.max_usage_in_bytes", "memory.failcnt",
			"memory.oom_control").require(v1Usage, v1Stat),
		max: oneOfEach(dirs, "memory.limit_in_bytes"),
	}
}

// readV1 reads the group. The soft limit is no HighBytes: the kernel only reclaims above it when the machine runs
// short. memory.stat's hierarchical limit knows of parents that are outside a container's mount.
func (g *group) readV1(dst *Cgroup, buffer []byte) (maxPath string) {
	dst.CurrentBytes = g.own[v1Usage].total(buffer)
	dst.PeakBytes = g.own[v1Peak].total(buffer)
	dst.MaxEvents = g.own[v1Failures].total(buffer)
	g.own[v1Stat].keyed(buffer,
		wanted{key: "total_inactive_file", into: &dst.InactiveFileBytes, must: true},
		wanted{key: "total_swap", into: &dst.SwapBytes},
		wanted{key: "hierarchical_memory_limit", into: &g.whole})
	g.own[v1OOM].keyed(buffer, wanted{key: "oom_kill", into: &dst.OOMKillEvents}) // kernels before 4.13 do not count it
	dst.MaxBytes, maxPath = g.max.strictest(buffer)
	if n, ok := g.whole.Get(); ok && n < unlimited && n < dst.MaxBytes.Or(unlimited) {
		dst.MaxBytes, maxPath = g.whole, g.own[v1Stat].path
	}
	return maxPath
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
