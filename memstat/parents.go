package memstat

import "encoding/json"

// MaxParents bounds the parents in a sample.
const MaxParents = 4

// Parents are those of a group's parents that have a limit, nearest first, the rest being zero; of more than MaxParents
// the fullest. Parents outside the process's cgroup namespace or mounts cannot be seen. In JSON they are a list.
type Parents [MaxParents]Parent

// Parent is the memory controller's account of a parent of the process's control group: of all groups below it, the
// process's among them.
type Parent struct {
	// Path is the parent's in its hierarchy, as /proc/PID/cgroup has it: "/" is the top of the cgroup namespace.
	Path string `json:"path"`
	// MaxBytes and HighBytes are the parent's own limits; at least one is there. In cgroup v1 MaxBytes of the topmost
	// can also be that of a parent that cannot be seen.
	MaxBytes          Int `json:"max_bytes,omitzero"`
	HighBytes         Int `json:"high_bytes,omitzero"`
	CurrentBytes      Int `json:"current_bytes,omitzero"`
	InactiveFileBytes Int `json:"inactive_file_bytes,omitzero"`
	WorkingSetBytes   Int `json:"working_set_bytes,omitzero"`
	// As in Cgroup, of the parent's own limits, whichever group below it met them; absent in cgroup v2 before Linux 5.2.
	HighEvents Int `json:"high_events_total,omitzero"`
	MaxEvents  Int `json:"max_events_total,omitzero"`
	OOMEvents  Int `json:"oom_events_total,omitzero"`
}

// List returns the entries that are not zero. The slice shares them.
func (p *Parents) List() []Parent {
	n := 0
	for n < len(p) && !p[n].zero() {
		n++
	}
	return p[:n]
}

// MarshalJSON writes the entries that are not zero.
func (p Parents) MarshalJSON() ([]byte, error) { return json.Marshal(p.List()) }

// add appends a parent, where there is no room in place of the emptiest.
func (p *Parents) add(next *Parent) {
	n := len(p.List())
	if n == len(p) {
		emptiest := 0
		for i := range p {
			if p[i].fullness() < p[emptiest].fullness() {
				emptiest = i
			}
		}
		if next.fullness() <= p[emptiest].fullness() {
			return
		}
		copy(p[emptiest:], p[emptiest+1:])
		n--
	}
	p[n] = *next
}

func (p *Parent) zero() bool { return p.MaxBytes.IsZero() && p.HighBytes.IsZero() }

// fullness is the working set's share of the lower limit; 0 where it is not known.
func (p *Parent) fullness() float64 {
	limit := min(p.MaxBytes.Or(unlimited), p.HighBytes.Or(unlimited))
	return float64(p.WorkingSetBytes.Or(p.CurrentBytes.Or(0))) / float64(max(limit, 1))
}
