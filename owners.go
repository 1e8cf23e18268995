package memwarden

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/internal/sorting"
)

// MaxOwners bounds how many owners a warden takes.
const MaxOwners = 1024

// OwnerUsage is what a registered owner holds. Figures that it does not have are −1 and left out of JSON.
type OwnerUsage struct {
	Name  string
	Usage bounded.Usage
	// OutsideHeap tells that the bytes are not on the Go heap.
	OutsideHeap bool
	// Err says that the owner panicked when it was asked.
	Err error
}

// accounted is how much of the live heap an owner explains: what lies within its own bound. What it holds beyond that is
// in nobody's bounds.
func (u *OwnerUsage) accounted() float64 {
	bytes := float64(max(0, u.Usage.Bytes))
	if u.OutsideHeap || u.Err != nil {
		return 0
	}
	if u.Usage.MaxBytes > 0 {
		return min(bytes, float64(u.Usage.MaxBytes))
	}
	if most := u.Usage.MaxEntries; most > 0 && u.Usage.Entries > most {
		return bytes * float64(most) / float64(u.Usage.Entries)
	}
	return bytes
}

// owners are the registered parts of the program that hold memory inside a bound of their own.
type owners struct {
	logger *slog.Logger

	mu   sync.Mutex
	list []registered // by name; never changed, but replaced: it is read without the lock
}

// registered keeps the name that the owner had when it came, so that an owner that later panics can still be named.
type registered struct {
	name  string
	owner bounded.Owner
	keeps bool // it is not asked to shrink
}

func (o *owners) register(owner bounded.Owner) (unregister func(), err error) {
	return o.add(registered{owner: owner})
}

// registerKept registers an owner of what must not be given up: what is known about leaks, when there is one.
func (o *owners) registerKept(owner bounded.Owner) error {
	_, err := o.add(registered{owner: owner, keeps: true})
	return err
}

func (o *owners) add(r registered) (unregister func(), err error) {
	name := r.owner.Name()
	r.name = name
	if name == "" {
		return nil, errors.New("memwarden: register owner: it has no name")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	at, taken := slices.BinarySearchFunc(o.list, name, func(r registered, name string) int { return cmp.Compare(r.name, name) })
	if taken {
		return nil, fmt.Errorf("memwarden: register owner: the name %q is taken", name)
	}
	if len(o.list) == MaxOwners {
		return nil, fmt.Errorf("memwarden: register owner %q: there are %d already", name, MaxOwners)
	}
	o.list = slices.Concat(o.list[:at], []registered{r}, o.list[at:])
	return sync.OnceFunc(func() { o.remove(name) }), nil
}

func (o *owners) remove(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = slices.DeleteFunc(slices.Clone(o.list), func(r registered) bool { return r.name == name })
}

// all are the owners there are now, by name; the list must not be changed.
func (o *owners) all() []registered {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.list
}

// usage asks every owner what it holds. Where that is what it was the last time, as in a program at rest, the list is the
// one of the last time, which others read: it is not changed, but replaced.
func (o *owners) usage(last []OwnerUsage) []OwnerUsage {
	all, list, own := o.all(), last, false
	if len(all) != len(last) {
		list, own = make([]OwnerUsage, len(all)), true
	}
	for i, r := range all {
		usage := r.ask()
		if usage == list[i] {
			continue
		}
		if !own {
			list, own = slices.Clone(last), true
		}
		list[i] = usage
	}
	return list
}

func (r registered) ask() (usage OwnerUsage) {
	const none = bounded.NotApplicable
	usage = OwnerUsage{Name: r.name, Usage: bounded.Usage{Entries: none, MaxEntries: none, PeakEntries: none, Bytes: none, MaxBytes: none, PeakBytes: none}}
	_, usage.OutsideHeap = r.owner.(bounded.OutsideHeap)
	defer func() {
		if reason := recover(); reason != nil {
			usage.Err = fmt.Errorf("owner panicked: %v", reason)
		}
	}()
	usage.Usage = r.owner.Usage()
	return usage
}

// ownerFreed is what an owner has freed by its own account, which is bounded by what it said that it held.
type ownerFreed struct {
	name  string
	bytes int64
}

// shrink asks the owners for so many bytes, those that hold most first, and returns which of them freed something.
func (o *owners) shrink(ctx context.Context, bytes int64) (freed []ownerFreed) {
	all, held := slices.DeleteFunc(slices.Clone(o.all()), func(r registered) bool { return r.keeps }), map[string]int64{}
	for _, r := range all {
		held[r.name] = r.ask().Usage.Bytes
	}
	sorting.StableBy(all, func(a, b registered) int { return cmp.Compare(held[b.name], held[a.name]) })
	for _, r := range all {
		if bytes <= 0 || ctx.Err() != nil {
			break
		}
		by := o.shrinkOne(ctx, r, bytes)
		if held[r.name] > 0 {
			by = min(by, held[r.name])
		}
		if by > 0 {
			freed = append(freed, ownerFreed{r.name, by})
			bytes -= by
		}
	}
	return freed
}

func (o *owners) shrinkOne(ctx context.Context, r registered, bytes int64) (freed int64) {
	defer func() {
		if reason := recover(); reason != nil {
			o.logger.Error("memory owner panicked while it shrank", "owner", r.name, "reason", fmt.Sprint(reason))
		}
	}()
	return max(0, r.owner.Shrink(ctx, bytes))
}
