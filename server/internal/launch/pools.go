package launch

import (
	"fmt"
	"math"
	"strconv"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/settings"
)

// How the pools of a service follow from the memory and the processors that it has.
const (
	mebibyte = 1 << 20
	// requestShare of the Go memory limit is for requests under way; each is taken to need requestBytes, as the
	// defaults of both settings have it.
	requestShare    = 4
	minRequestBytes = 16 * mebibyte // as the setting has it
	maxRequestBytes = 1024 * mebibyte
	requestBytes    = mebibyte / 4
	minRequests     = 64
	maxRequests     = 4096
	// A client of the live stream may have a full queue: some hundred KiB at worst.
	liveClientBytes = mebibyte
	minLiveClients  = 25
	maxLiveClients  = 1000
	// A connection to the database is mostly waited on, so there are more than processors; a database has many clients.
	connsPerProc = 10
	maxConns     = 20
)

// decidePools sizes what grows with the memory and the processors of a service. What a user has set stays.
func decidePools(memory, procs Decision, o Options) []Decision {
	limit, limited := goLimit(memory)
	sized := func(name string, n, least, most int64, format func(int64) string, reason string) (Decision, int64) {
		v := o.Config.Values.Get(name)
		d := Decision{Name: name, Value: v.Text}
		if v.Source != settings.SourceDefault {
			d.Reason = fmt.Sprintf("left alone: it is set (%s)", v.Source)
			return d, 0
		}
		if n == 0 {
			d.Reason = "the default: there is no Go memory limit to size it by"
			return d, 0
		}
		n = min(max(n, least), most)
		d.Value, d.Set = format(n), true
		d.Reason = fmt.Sprintf("%s; %s to %s", reason, format(least), format(most))
		return d, n
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	size := func(n int64) string { return number(n/mebibyte) + "MiB" }

	requestMemory := int64(0)
	liveClients := int64(0)
	if limited {
		requestMemory, liveClients = max(limit/requestShare, 1), max(limit/liveClientBytes, 1)
	}
	memoryPool, bytes := sized(config.MaxRequestMemory, requestMemory, minRequestBytes, maxRequestBytes, size,
		"a quarter of the Go memory limit")
	if bytes == 0 && limited {
		bytes = o.Config.MaxRequestMemory
	}
	requests, _ := sized(config.MaxRequests, bytes/requestBytes, minRequests, maxRequests, number,
		"one for every 256 KiB of "+config.MaxRequestMemory)
	clients, _ := sized(config.MaxLiveClients, liveClients, minLiveClients, maxLiveClients, number,
		"one for every MiB of the Go memory limit")
	threads := goProcs(procs, o.MaxProcs)
	conns, _ := sized(config.DatabaseMaxConns, int64(threads*connsPerProc), connsPerProc, maxConns, number,
		fmt.Sprintf("%d for each of %d threads (GOMAXPROCS)", connsPerProc, threads))
	return []Decision{memoryPool, requests, clients, conns}
}

// goLimit is the Go memory limit that a program will have.
func goLimit(memory Decision) (bytes int64, limited bool) {
	if memory.Value == "" || memory.Value == "off" {
		return 0, false
	}
	bytes, err := bytesize.Parse(memory.Value)
	return bytes, err == nil && bytes < math.MaxInt64
}

// goProcs is the GOMAXPROCS that a program will have; unset is what the runtime takes by itself.
func goProcs(procs Decision, unset int) int {
	if n, err := strconv.Atoi(procs.Value); err == nil && n > 0 {
		return n
	}
	return max(unset, 1)
}

// InForce returns the values of GOMEMLIMIT, GOGC and GOMAXPROCS that the program will begin with, those included that the
// runtime takes by itself; unset is that for GOMAXPROCS.
func (p Plan) InForce(unset int) (memory, gc, procs string) {
	memory, gc, procs = p.Decisions[0].Value, p.Decisions[1].Value, strconv.Itoa(goProcs(p.Decisions[2], unset))
	if memory == "" {
		memory = "off"
	}
	if gc == "" {
		gc = "100"
	}
	return memory, gc, procs
}
