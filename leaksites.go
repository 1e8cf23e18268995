package memwarden

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/memwarden/memwarden/leak"
)

// maxProfiledGoroutines bounds what a profile of goroutines takes: 270 bytes for each, and time in which all stand still.
const maxProfiledGoroutines = 50_000

// siteStacks are the stacks of sites by their names, which are hashes: the names are kept for hours, stacks are not.
type siteStacks map[string][]uintptr

// siteOf is the name of a stack.
func siteOf(stack []uintptr) string {
	hash := fnv.New64a()
	var word [8]byte
	for _, pc := range stack {
		for i := range word {
			word[i] = byte(pc >> (8 * i))
		}
		_, _ = hash.Write(word[:]) // it never fails
	}
	return strconv.FormatUint(hash.Sum64(), 36)
}

// heapSites are the allocation sites and what each has in use, as the runtime's profile of sampled allocations estimates
// it. They are those of the last completed collection but one. They are nil where MemProfileRate is 0.
func heapSites() (sites []leak.Site, stacks siteStacks) {
	if runtime.MemProfileRate <= 0 {
		return nil, nil
	}
	var records []runtime.MemProfileRecord
	for {
		n, ok := runtime.MemProfile(records, false)
		if ok {
			records = records[:n]
			break
		}
		records = make([]runtime.MemProfileRecord, n+n/8+8) // some may come meanwhile; a record has 290 bytes
	}
	sites, stacks = make([]leak.Site, 0, len(records)), make(siteStacks, len(records))
	for i := range records {
		r := &records[i]
		if objects, bytes := r.InUseObjects(), r.InUseBytes(); objects > 0 {
			stack := r.Stack()
			name := siteOf(stack)
			stacks[name] = stack
			sites = append(sites, leak.Site{Name: name, Value: unsample(float64(objects), float64(bytes), float64(runtime.MemProfileRate))})
		}
	}
	return sites, stacks
}

// unsample estimates how many bytes there are of which some were sampled: each byte with a chance of 1 in rate, so that an
// object of a size is sampled with the chance that one of its bytes is.
func unsample(objects, bytes, rate float64) float64 {
	if rate <= 1 {
		return bytes
	}
	return bytes / -math.Expm1(-bytes/objects/rate)
}

// goroutineSites are how many goroutines there are by their stacks; nil where there are too many to look at.
func goroutineSites() (sites []leak.Site, stacks siteStacks) {
	var records []runtime.StackRecord
	for {
		n := runtime.NumGoroutine()
		if n > maxProfiledGoroutines {
			return nil, nil
		}
		records = make([]runtime.StackRecord, n+n/8+16)
		if n, ok := runtime.GoroutineProfile(records); ok {
			records = records[:n]
			break
		}
	}
	stacks = siteStacks{}
	counts := map[string]float64{}
	for i := range records {
		stack := records[i].Stack()
		name := siteOf(stack)
		stacks[name] = stack
		counts[name]++
	}
	sites = make([]leak.Site, 0, len(counts))
	for name, count := range counts {
		sites = append(sites, leak.Site{Name: name, Value: count})
	}
	return sites, stacks
}

// tooManyGoroutines says that there are more goroutines than are looked at; empty: there are not.
func tooManyGoroutines() string {
	n := runtime.NumGoroutine()
	if n <= maxProfiledGoroutines {
		return ""
	}
	return fmt.Sprintf("there are %d goroutines, more than the %d that are looked at: it is not known where they are, and which are abandoned",
		n, maxProfiledGoroutines)
}

// frames are the functions of a stack, innermost first, each as "function (file:line)", without those of the runtime that
// only allocate or wait.
func frames(stack []uintptr) (list []string) {
	if len(stack) == 0 {
		return nil
	}
	for all := runtime.CallersFrames(stack); ; {
		frame, more := all.Next()
		if frame.Function != "" && (len(list) > 0 || !strings.HasPrefix(frame.Function, "runtime.")) {
			list = append(list, fmt.Sprintf("%s (%s:%d)", frame.Function, path.Base(frame.File), frame.Line))
		}
		if !more {
			return list
		}
	}
}

// waits are functions of the runtime, and what a goroutine does that is in them.
var waits = map[string]string{
	"runtime.chanrecv": "waiting to receive from a channel", "runtime.chansend": "waiting to send to a channel",
	"runtime.selectgo": "waiting in a select", "runtime.block": "waiting for ever", "runtime.netpollblock": "waiting for the network",
	"time.Sleep": "sleeping", "sync.runtime_SemacquireMutex": "waiting for a lock", "sync.runtime_SemacquireRWMutexR": "waiting for a lock",
	"sync.runtime_SemacquireRWMutex": "waiting for a lock", "internal/sync.runtime_SemacquireMutex": "waiting for a lock",
	"sync.runtime_SemacquireWaitGroup": "waiting for a group", "sync.runtime_Semacquire": "waiting for a semaphore",
	"sync.runtime_notifyListWait": "waiting for a condition",
}

// hints are functions of the standard library in which goroutines are that somebody else has forgotten, and what that is.
var hints = map[string]string{
	"net/http.(*persistConn).readLoop":           "as for each response whose body nobody closes",
	"net/http.(*persistConn).writeLoop":          "as for each response whose body nobody closes",
	"database/sql.(*Rows).awaitDone":             "as for each result whose rows nobody closes",
	"database/sql.(*Tx).awaitDone":               "as for each transaction that nobody ends",
	"context.(*cancelCtx).propagateCancel.func2": "as for each context that nobody cancels",
}

// doing is what a goroutine with a stack does; empty if that is not known.
func doing(stack []uintptr) string {
	if len(stack) == 0 {
		return ""
	}
	for all := runtime.CallersFrames(stack); ; {
		frame, more := all.Next()
		if what, ok := waits[frame.Function]; ok {
			return what
		}
		if !more {
			return ""
		}
	}
}

// whereabouts is what a goroutine with a stack does, where, and what has left it there if that is known.
func whereabouts(pcs []uintptr, stack []string) string {
	own := ownFrame(stack)
	text := cmp.Or(doing(pcs), "at work") + " in " + own
	if hint := hints[functionOf(own)]; hint != "" {
		text += ", " + hint
	}
	return text
}

// ownFrame is the innermost frame of a stack that is not of the standard library, or the innermost of all.
func ownFrame(stack []string) string {
	if i := slices.IndexFunc(stack, isOwn); i >= 0 {
		return stack[i]
	}
	return stack[0]
}

// isOwn reports whether a frame is of the program or of a module that it requires.
func isOwn(frame string) bool {
	main := "main."
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path != "" {
		main = info.Main.Path
	}
	first, _, slash := strings.Cut(functionOf(frame), "/")
	// A path begins with a host, but for those of the standard library and of modules that nobody else requires.
	return strings.HasPrefix(frame, "main.") || strings.HasPrefix(frame, main) || slash && strings.Contains(first, ".")
}

// functionOf is the function of a frame.
func functionOf(frame string) string {
	function, _, _ := strings.Cut(frame, " ")
	return function
}
