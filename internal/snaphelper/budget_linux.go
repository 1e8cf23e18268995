package snaphelper

import (
	"fmt"
	"os"
	"time"

	"github.com/memwarden/memwarden/bytesize"
)

// budgetInterval is how often a helper looks at what it takes: in that time it takes some 50 MB more at most.
const budgetInterval = 20 * time.Millisecond

// keepBudget ends the process when it takes more memory than it may: the runtime exceeds its limit rather than stop, where
// all that it has is in use, and stacks and what is mapped are not in it. It returns when the task is finished, and where
// that can no longer be told, for then it was.
func (h *helper) keepBudget(budget int64, finished <-chan struct{}, tell func(answer) error) {
	ticker := time.NewTicker(budgetInterval)
	defer ticker.Stop()
	for {
		if taken := h.taken(); taken > budget {
			over := fmt.Errorf("%w: it takes %s by now and may use %s", ErrBudget, bytesize.Format(taken), bytesize.Format(budget))
			if tell(failure(over)) == nil {
				h.exit(1)
			}
			return
		}
		select {
		case <-finished:
			return
		case <-ticker.C:
		}
	}
}

// ownMemory is the resident memory of this process that is no page of a file, in bytes; 0 if that cannot be read.
func ownMemory() int64 {
	text, _ := os.ReadFile("/proc/self/statm")
	var size, resident, shared int64
	if _, err := fmt.Sscan(string(text), &size, &resident, &shared); err != nil {
		return 0
	}
	return (resident - shared) * int64(os.Getpagesize())
}
