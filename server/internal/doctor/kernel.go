package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/memwarden/memwarden/bytesize"
)

func (e *examination) cgroup() Finding {
	f := Finding{Name: "cgroup", Status: OK}
	switch {
	case e.limitsErr != nil && !errors.Is(e.limitsErr, fs.ErrNotExist):
		f.Status, f.Summary = Warn, "The control group of this process cannot be read: "+e.limitsErr.Error()+"."
	case len(e.limits.Problems) > 0:
		p := e.limits.Problems[0]
		f.Status, f.Summary = Warn, fmt.Sprintf("%s cannot be made sense of: %s.", p.Path, p.Reason)
	case e.limits.Version == 0:
		f.Status, f.Summary = Info, "This process is in no memory control group: nothing limits its memory but the machine's."
		f.Advice = "In a container, mount /sys/fs/cgroup; elsewhere, set MEMWARDEN_MEMORY_LIMIT."
	default:
		f.Summary = fmt.Sprintf("Memory is accounted by cgroup v%d, in %s.", e.limits.Version, e.limits.Path)
	}
	return f
}

func (e *examination) containerLimit() Finding {
	f := Finding{Name: "container-limit", Status: OK}
	limit, limited := e.limits.MaxBytes.Get()
	total, known := e.sample.System.TotalBytes.Get()
	switch {
	case !limited && e.Config.Warden.Limit.MemoryBytes > 0:
		f.Summary = fmt.Sprintf("The container has no memory limit; MEMWARDEN_MEMORY_LIMIT says %s.", bytesize.Format(e.Config.Warden.Limit.MemoryBytes))
	case !limited:
		f.Status, f.Summary = Warn, "The container has no memory limit: the heap may grow until the machine has none left."
		f.Advice = "Limit the container (docker --memory, Kubernetes resources.limits.memory, systemd MemoryMax) or set MEMWARDEN_MEMORY_LIMIT."
	case known && limit > total:
		f.Status = Warn
		f.Summary = fmt.Sprintf("The container may use %s (%s), but the machine has only %s.", bytesize.Format(limit), e.limits.MaxPath, bytesize.Format(total))
		f.Advice = "Set MEMWARDEN_LIMIT_MANAGE=false and a GOMEMLIMIT that the machine can hold, or lower the container's limit."
	default:
		f.Summary = fmt.Sprintf("The container may use %s (%s).", bytesize.Format(limit), e.limits.MaxPath)
	}
	return f
}

func (e *examination) memoryHigh() Finding {
	f := Finding{Name: "memory-high", Status: OK}
	high, set := e.limits.HighBytes.Get()
	switch {
	case e.limits.Version != 2:
		f.Status, f.Summary = Info, "Only cgroup v2 has memory.high, by which the kernel slows a process down before it kills it."
	case !set:
		f.Status, f.Summary = Info, "memory.high is not set: the kernel's memory pressure (PSI) rises only just before it kills."
		f.Advice = "Set it to some 95 % of the limit (systemd MemoryHigh) if a slow service is better than a killed one."
	default:
		f.Summary = fmt.Sprintf("The kernel slows the container down from %s (%s).", bytesize.Format(high), e.limits.HighPath)
	}
	return f
}

func (e *examination) oomGroup() Finding {
	f := Finding{Name: "oom-group", Status: OK}
	text, err := e.groupFile("memory.oom.group")
	switch {
	case err != nil && e.limits.Version == 2:
		f.Status, f.Summary = Info, "Whether the kernel kills the whole container at once when memory runs out is not to be read here."
	case text == "1":
		f.Status, f.Summary = Info, "When memory runs out the kernel kills every process of the container at once (memory.oom.group), a launcher too: it cannot report the kill."
	default:
		f.Summary = "When memory runs out the kernel kills one process of the container, the largest as a rule."
	}
	return f
}

func (e *examination) pressure() Finding {
	switch e.sample.PSI.Scope {
	case "cgroup":
		return Finding{"psi", OK, "The kernel tells the memory pressure (PSI) of the container.", ""}
	case "system":
		return Finding{"psi", Info, "The kernel tells the memory pressure (PSI) of the machine, not of the container.", "It needs cgroup v2."}
	}
	return Finding{"psi", Info, "The kernel does not tell memory pressure (PSI): levels are judged by use alone.", "Boot with psi=1 if the kernel has it."}
}

func (e *examination) smaps() Finding {
	if e.sample.Process.PSSBytes.IsZero() {
		return Finding{"smaps", Info, "/proc/self/smaps_rollup cannot be read: proportional, anonymous and swapped memory are absent.", ""}
	}
	return Finding{"smaps", OK, "/proc/self/smaps_rollup can be read: proportional, anonymous and swapped memory are known.", ""}
}

func (e *examination) swap() Finding {
	f := Finding{Name: "swap", Status: OK}
	total := e.sample.System.SwapTotalBytes.Or(0)
	allowed, err := e.groupFile("memory.swap.max")
	switch {
	case total == 0:
		f.Summary = "There is no swap."
	case err == nil && allowed == "0":
		f.Summary = fmt.Sprintf("The machine has %s of swap; the container may not use it.", bytesize.Format(total))
	default:
		f.Status, f.Summary = Info, fmt.Sprintf("The machine has %s of swap: each collection reads back what was swapped out, and limits are reached late.", bytesize.Format(total))
		f.Advice = "Forbid swap to the container (docker --memory-swap as --memory, systemd MemorySwapMax=0)."
	}
	return f
}

func (e *examination) overcommit() Finding {
	f := Finding{Name: "overcommit", Status: OK}
	switch mode, err := e.read("proc/sys/vm/overcommit_memory"); {
	case err != nil:
		f.Status, f.Summary = Info, "How the kernel commits memory cannot be read: "+cause(err)+"."
	case mode == "2":
		f.Status, f.Summary = Warn, "The kernel commits no more memory than it has (vm.overcommit_memory=2): a fork of a large process, which a heap snapshot needs, may fail."
		f.Advice = "Set vm.overcommit_memory to 0 or 1 on the machine."
	default:
		f.Summary = "The kernel commits more memory than it has (vm.overcommit_memory=" + mode + "): a large process can fork."
	}
	return f
}

// cause leaves the path out of an error of the file system.
func cause(err error) string {
	if pathError := (*fs.PathError)(nil); errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

const capSysPtrace = 19 // linux/capability.h

func (e *examination) ptrace() Finding {
	status, err := e.read("proc/self/status")
	if err != nil {
		return Finding{"ptrace", Info, "Whether other processes may be read cannot be told: " + cause(err) + ".", ""}
	}
	capabilities, _ := strconv.ParseUint(field(status, "CapEff:"), 16, 64) // none where it is absent
	capable := capabilities>>capSysPtrace&1 == 1
	scope, err := e.read("proc/sys/kernel/yama/ptrace_scope")
	if err != nil {
		scope = "0" // no Yama
	}
	f := Finding{Name: "ptrace", Status: OK}
	switch {
	case scope == "3":
		f.Status, f.Summary = Warn, "No process may read another's memory (ptrace_scope=3): only the own one can be looked into."
		f.Advice = "It takes a reboot with another kernel.yama.ptrace_scope to change that."
	case capable:
		f.Summary = "Other processes may be read (CAP_SYS_PTRACE)."
	case scope == "2":
		f.Status, f.Summary = Info, "Other processes may not be read: ptrace_scope=2 asks for CAP_SYS_PTRACE."
		f.Advice = "Give the container that capability to watch another process's heap."
	case scope == "1":
		f.Status, f.Summary = Info, "Only this process's own children may be read (ptrace_scope=1)."
		f.Advice = "Set kernel.yama.ptrace_scope=0 or give CAP_SYS_PTRACE to watch another process's heap."
	default:
		f.Summary = "Other processes of the same user may be read."
	}
	if field(status, "Seccomp:") == "2" {
		f.Summary += " A seccomp filter is in force, which may still refuse it."
	}
	return f
}

// field is the value of a key in lines of keys and values.
func field(text, key string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// fewDescriptors is where a busy server begins to run short: each client is one.
const fewDescriptors = 4096

func (e *examination) descriptors() Finding {
	limit, known := e.sample.Process.MaxFileDescriptors.Get()
	switch {
	case !known:
		return Finding{"file-descriptors", Info, "The limit of open files cannot be read.", ""}
	case limit < fewDescriptors:
		return Finding{"file-descriptors", Warn, fmt.Sprintf("This process may open %d files and connections.", limit), "Raise the hard limit: Go raises the soft one to it (ulimit -Hn, docker --ulimit nofile, systemd LimitNOFILE)."}
	}
	return Finding{"file-descriptors", OK, fmt.Sprintf("This process may open %d files and connections.", limit), ""}
}

func (e *examination) hugePages() Finding {
	f := Finding{Name: "huge-pages", Status: OK}
	text, err := e.read("sys/kernel/mm/transparent_hugepage/enabled")
	_, rest, _ := strings.Cut(text, "[")
	mode, _, found := strings.Cut(rest, "]")
	switch {
	case err != nil || !found:
		f.Status, f.Summary = Info, "How the kernel uses transparent huge pages cannot be read."
	case mode == "always":
		f.Status, f.Summary = Info, "The kernel gives huge pages unasked (transparent_hugepage=always): a small heap may take more memory than Go accounts for."
		f.Advice = "Choose madvise where memory is short; keep always where heaps are large and speed counts."
	default:
		f.Summary = "The kernel gives huge pages unasked to nobody (transparent_hugepage=" + mode + ")."
	}
	return f
}

func (e *examination) cpuQuota() Finding {
	f := Finding{Name: "cpu-quota", Status: OK}
	p := e.Program
	cores, limited := e.limits.CPUCores.Get()
	switch most := max(2, int(math.Ceil(min(cores, float64(p.CPUs))))); {
	case !limited:
		f.Summary = fmt.Sprintf("There is no CPU quota; Go uses %d of %d processors.", p.MaxProcs, p.CPUs)
	case p.MaxProcs > most:
		f.Status, f.Summary = Warn, fmt.Sprintf("The CPU quota is %.3g processors (%s), but GOMAXPROCS is %d: collections use it up and stall the program.", cores, filepath.Base(e.limits.CPUPath), p.MaxProcs)
		f.Advice = fmt.Sprintf("Leave GOMAXPROCS unset, or set it to %d.", most)
	default:
		f.Summary = fmt.Sprintf("The CPU quota is %.3g processors; GOMAXPROCS is %d.", cores, p.MaxProcs)
	}
	return f
}
