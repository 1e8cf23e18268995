// Package limit owns the Go memory limit (GOMEMLIMIT) of a process: it derives it from the container's limit, follows
// a container that is resized, raises it for a while when asked for relief, and gives it back at the end.
//
// It knows the container's limit as a number and the Go runtime's limit as another. It does not read cgroups (package
// memstat does), does not judge how close the process is to a limit (package pressure), and does not decide when relief
// is due (package gcpolicy). The facade stands above: it reads the environment and calls Owner.Update with each sample.
//
// What somebody else has decided stays: a GOMEMLIMIT in the environment, and a limit that the program has set by
// debug.SetMemoryLimit, before or after this package began.
package limit

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/memwarden/memwarden/bytesize"
)

// None is the limit of a process that has none, as the Go runtime expresses it.
const None int64 = math.MaxInt64

const (
	// defaultRatio leaves a tenth of the container to what the Go runtime does not count: the program's text and data,
	// kernel memory, and overshoot of the heap during a collection. The figure is that of the field's existing tools.
	defaultRatio = 0.9
	// minRatio is below any sensible share; it catches a percentage that was meant as a ratio, and the reverse.
	minRatio = 0.1
	// maxReliefRatio bounds a relief, as a share of what the reserve leaves of the container. 110 % of the default
	// would be 99 %, which leaves a container of 512 MiB only 5 MiB for everything that is not Go: a kill by the
	// kernel is worse than the collections that relief is to spare.
	maxReliefRatio = 0.97
	// minBytes is the smallest heap that the Go runtime works with (heapMinimum in runtime/mgcpacer.go). A limit below
	// it makes the collector run without end.
	minBytes = 4 << 20
	// absenceDwell is how long a container's limit must have been absent before the limit derived from it is given up:
	// one reading that failed is no resize. It leaves room for a resize to be followed within 30 s.
	absenceDwell = 10 * time.Second
)

// Config says how the limit is derived. It is never changed after it was handed over.
type Config struct {
	// Manage switches the package on. When it is switched off the original limit comes back.
	Manage bool `json:"manage"`
	// Ratio is the share of the container, less the reserve, that Go may use: 0.1 to 1.
	Ratio float64 `json:"ratio"`
	// ReserveBytes is what the program needs of the container off the Go heap (cgo, mmap, SQLite): the Go memory limit
	// does not bound it. At least 0.
	ReserveBytes int64 `json:"reserve_bytes"`
	// BytesOverride stands for the container's limit where there is no container; 0: nothing does. A container's own
	// limit goes before it.
	BytesOverride int64 `json:"bytes_override"`
}

// Default manages the limit at 90 % of the container, with no reserve.
func Default() Config { return Config{Manage: true, Ratio: defaultRatio} }

// Validate returns every mistake, joined; each begins with the field's JSON name.
func (c Config) Validate() error {
	var mistakes []error
	if !(c.Ratio >= minRatio && c.Ratio <= 1) { // written so that NaN is a mistake too
		mistakes = append(mistakes, fmt.Errorf("ratio: %v: want %v to 1", c.Ratio, minRatio))
	}
	if c.ReserveBytes < 0 {
		mistakes = append(mistakes, fmt.Errorf("reserve_bytes: %d: want 0 or more", c.ReserveBytes))
	}
	if c.BytesOverride < 0 {
		mistakes = append(mistakes, fmt.Errorf("bytes_override: %d: want 0 (none) or more", c.BytesOverride))
	}
	return errors.Join(mistakes...)
}

// Source is who decided on the limit in force.
type Source string

// The sources.
const (
	SourceExplicit Source = "explicit" // GOMEMLIMIT in the environment: never touched
	SourceProgram  Source = "program"  // debug.SetMemoryLimit, called by the program: never touched
	SourceDerived  Source = "derived"  // derived from the container's limit
	SourceOverride Source = "override" // derived from Config.BytesOverride
	SourceRefused  Source = "refused"  // the reserve leaves too little to derive a limit from: left as it is
	SourceNone     Source = "none"     // there is nothing to derive a limit from: the original is in force
	SourceDisabled Source = "disabled" // Config.Manage is off: the original is in force
)

// parse reads the environment's GOMEMLIMIT as the Go runtime does. The runtime does not start with one that is
// malformed, so ok is false only for a variable that was set later.
func parse(env string) (bytes int64, ok bool) {
	if env == "" || env == "off" {
		return None, true
	}
	bytes, err := bytesize.Parse(env)
	return bytes, err == nil
}

// scale returns ratio × bytes, saturated at None.
func scale(bytes int64, ratio float64) int64 {
	if scaled := ratio * float64(bytes); scaled < float64(None) {
		return int64(scaled)
	}
	return None
}
