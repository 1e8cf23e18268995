package capture

import (
	"context"
	"encoding/binary"
	"strings"

	"github.com/memwarden/memwarden/heap/layout"
)

// Collapsed is what Collapse has done.
type Collapsed struct {
	// HugeBytes are of memory that is in huge pages now, whoever has put it there.
	HugeBytes int64
	// SmallBytes are of memory that was looked at and stays in small pages: mostly because other parts of what would be one
	// huge page are not in use, and would take memory in it.
	SmallBytes int64

	// runs are where the huge pages are: from one address to before another.
	runs [][2]uint64
}

// Settle has the kernel free what the frozen child leaves of the huge pages. Of those that the process has written to while
// the child lived, both have a part, and the kernel keeps all of it, and counts it, until it needs memory: so much as was
// written. Call it when the child is closed. It takes about a tenth of a second for each GiB; where there is swap, pages
// that nobody uses from then on are the first to go there. It is safe for concurrent use. An error tells that the kernel keeps
// some of it.
func (c Collapsed) Settle() error { return settle(c.runs) }

// Collapse makes what Self does next brief: it has the kernel move memory of this process from small pages to huge ones
// (MADV_COLLAPSE, Linux 6.1), of which a fork copies one entry in place of some hundred. Only what is in use altogether is
// moved, so that the process has as much memory after it as before; parts of such a page that it returns later the kernel
// frees when it needs memory. The process runs on: who touches a page while it is moved waits for that, some milliseconds
// at most as a rule.
//
// It takes 1 to 5 s for each GiB in small pages, on one processor of a virtual machine, and ends when ctx is done, with what
// it has done by then, which is no error. An error tells that the kernel will not do it, that the machine is to have no huge
// pages, or that there is no memory for them: Self then halts for longer, and is as right. It wraps errors.ErrUnsupported on
// other systems. It is safe for concurrent use.
func Collapse(ctx context.Context) (Collapsed, error) { return collapse(ctx) }

// collapsible reports whether a mapping is of memory without a file.
func collapsible(m layout.Mapping) bool { return m.Writable && m.Inode == 0 }

// wantsNone reports whether a machine's setting of huge pages is that there are none: "always madvise [never]".
func wantsNone(setting string) bool { return strings.Contains(setting, "[never]") }

// pagemapEntry is the size of an entry of /proc/PID/pagemap; its highest bit tells that the page is in memory.
const pagemapEntry = 8

// inUse counts the pages that have memory, by their entries.
func inUse(entries []byte) (pages uint64) {
	for ; len(entries) >= pagemapEntry; entries = entries[pagemapEntry:] {
		pages += binary.NativeEndian.Uint64(entries) >> 63
	}
	return pages
}
