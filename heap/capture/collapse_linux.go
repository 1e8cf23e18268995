//go:build amd64 || arm64

package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/memwarden/memwarden/heap/layout"
)

// Advice that package syscall does not name.
const (
	adviseCold          = 20 // MADV_COLD, Linux 5.4
	advisePopulateWrite = 23 // MADV_POPULATE_WRITE, Linux 5.14
	adviseCollapse      = 25 // MADV_COLLAPSE, Linux 6.1
)

// settle is Settle. The advice (Linux 5.4) is that pages are not used for now, and what the kernel does with a huge page of
// which the process has a part only is to take it apart: then nobody has the rest, and that is free. The mark is gone as
// soon as a page is used.
func settle(runs [][2]uint64) (err error) {
	for _, run := range runs {
		_, _, errno := syscall.Syscall(syscall.SYS_MADVISE, uintptr(run[0]), uintptr(run[1]-run[0]), adviseCold)
		if errno != 0 && errno != syscall.ENOMEM { // which says that some of it is no longer mapped
			err = fmt.Errorf("capture: free what is left of huge pages: %w", errno)
		}
	}
	return err
}

const (
	hugePages    = "/sys/kernel/mm/transparent_hugepage/enabled"
	hugePageSize = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
)

// errNever: somebody wants none, for all of the machine.
var errNever = fmt.Errorf("%s says never", hugePages)

// collapse is Collapse.
func collapse(ctx context.Context) (done Collapsed, err error) {
	c, err := newCollapser()
	if err == nil {
		err = errors.Join(c.all(ctx), c.close())
		done = c.done
	}
	if err != nil {
		err = fmt.Errorf("capture: move memory to huge pages: %w", err)
	}
	return done, err
}

// collapser moves memory of this process to huge pages.
type collapser struct {
	small, huge uint64 // bytes of a page
	pagemap     *os.File
	entries     []byte // of the small pages in place of one huge page

	// mapped has room for a huge page of its own, spare; warm tells that the kernel has one at hand that was there.
	mapped, spare []byte
	warm          bool

	done Collapsed
}

func newCollapser() (*collapser, error) {
	text, err := os.ReadFile(hugePages)
	if err == nil && wantsNone(string(text)) {
		err = errNever
	}
	if err != nil {
		return nil, err
	}
	text, err = os.ReadFile(hugePageSize)
	if err != nil {
		return nil, err
	}
	huge, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	small := uint64(os.Getpagesize())
	if err != nil || huge < small || huge%small != 0 || huge > 1<<30 {
		return nil, fmt.Errorf("%s has %.20q: want a multiple of %d", hugePageSize, text, small)
	}
	pagemap, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil, err
	}
	c := &collapser{small: small, huge: huge, pagemap: pagemap, entries: make([]byte, huge/small*pagemapEntry)}
	if err := c.reserve(); err != nil {
		_ = pagemap.Close() // only read
		return nil, err
	}
	return c, nil
}

// reserve maps room for a huge page, which begins at a multiple of its size.
func (c *collapser) reserve() (err error) {
	if c.mapped, err = syscall.Mmap(-1, 0, int(2*c.huge), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE); err != nil {
		return err
	}
	above := uint64(reflect.ValueOf(c.mapped).Pointer()) % c.huge
	c.spare = c.mapped[c.huge-above:][:c.huge]
	if err = syscall.Madvise(c.spare, syscall.MADV_HUGEPAGE); err != nil {
		return errors.Join(err, syscall.Munmap(c.mapped))
	}
	return nil
}

func (c *collapser) close() error {
	_ = c.pagemap.Close() // only read
	return syscall.Munmap(c.mapped)
}

// all moves what can be moved. The error is why nothing could be.
func (c *collapser) all(ctx context.Context) error {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	mappings, err := ParseMaps(maps)
	_ = maps.Close() // only read
	if err != nil {
		return err
	}
	var refused error
	for _, m := range mappings {
		if !collapsible(m) {
			continue
		}
		switch err := c.mapping(ctx, m); {
		case errors.Is(err, syscall.EINVAL): // the kernel does not know it, or it is not for this mapping
			refused = err
		case err != nil: // there is no memory for it
			return err
		}
	}
	if c.done.HugeBytes > 0 {
		return nil
	}
	return refused
}

// mapping moves what lies in a mapping.
func (c *collapser) mapping(ctx context.Context, m layout.Mapping) error {
	for at := (m.Start + c.huge - 1) / c.huge * c.huge; at+c.huge <= m.End && ctx.Err() == nil; at += c.huge {
		if _, err := c.pagemap.ReadAt(c.entries, int64(at/c.small*pagemapEntry)); err != nil {
			return err
		}
		used := inUse(c.entries) * c.small
		if used == c.huge {
			moved, err := c.page(at)
			if err != nil {
				return err
			}
			if moved {
				c.note(at)
				continue
			}
		}
		c.done.SmallBytes += int64(used)
	}
	return nil
}

// note notes that what lies at an address is in a huge page.
func (c *collapser) note(at uint64) {
	c.done.HugeBytes += int64(c.huge)
	if last := len(c.done.runs) - 1; last >= 0 && c.done.runs[last][1] == at {
		c.done.runs[last][1] += c.huge
		return
	}
	c.done.runs = append(c.done.runs, [2]uint64{at, at + c.huge})
}

// soon is within which time the kernel tells that a page is huge already: to copy one takes longer.
const soon = 50 * time.Microsecond

// page moves what lies at an address. Nobody may touch that while the kernel copies it, and where a virtual machine has not
// been given the memory for the copy yet, that is what takes long: so a huge page is had and given back before.
func (c *collapser) page(at uint64) (moved bool, err error) {
	if !c.warm {
		if err := c.warmUp(); err != nil {
			return false, err
		}
	}
	began := time.Now()
	_, _, errno := syscall.Syscall(syscall.SYS_MADVISE, uintptr(at), uintptr(c.huge), adviseCollapse)
	c.warm = time.Since(began) < soon
	switch errno {
	case 0:
		return true, nil
	case syscall.EAGAIN, syscall.EINTR: // one of the small pages was in somebody's hands
		return false, nil
	}
	return false, errno
}

// warmUp has the kernel have a huge page at hand that has memory.
func (c *collapser) warmUp() error {
	if err := syscall.Madvise(c.spare, advisePopulateWrite); err != nil {
		return err
	}
	return syscall.Madvise(c.spare, syscall.MADV_DONTNEED)
}
