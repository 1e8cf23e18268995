package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"

	"github.com/memwarden/memwarden/settings"
)

// The variables of the Go runtime that an environment file may set for a program that is started with it.
const (
	MemoryLimit = "GOMEMLIMIT"
	GCPercent   = "GOGC"
	MaxProcs    = "GOMAXPROCS"
)

// RuntimeSettings is the table of these variables. They are no settings of memwarden: the runtime reads them before
// anything else runs, which is why memwarden run and memwarden start pass them on, and nothing else does.
func RuntimeSettings() []settings.Setting {
	const section = "Go runtime"
	return []settings.Setting{
		{Name: MemoryLimit, Section: section, Kind: settings.String, Check: checkMemoryLimit,
			Help: "Memory that the Go runtime holds itself within, such as 230MiB or 1GiB, or off. Not set, it is worked out: the container's limit, or MEMWARDEN_MEMORY_LIMIT, less the reserve, times the ratio of the memory limit. What is set stays as it is."},
		{Name: GCPercent, Section: section, Kind: settings.String, Check: checkGCPercent,
			Help: "Growth of the live heap, in percent, at which the next collection begins, or off. Not set, it is the runtime's 100."},
		{Name: MaxProcs, Section: section, Kind: settings.Int, Min: 1, Max: 1 << 20,
			Help: "Threads that run Go code at one time. Not set, the runtime follows the container's CPU quota and the machine's processors, also while they change."},
	}
}

// runtimeMistakes are the values for the runtime that it would refuse, or ignore.
func runtimeMistakes(file string, assignments []Assignment) []error {
	var mistakes []error
	lookup := lookupFile(assignments)
	for _, s := range RuntimeSettings() {
		_, err := settings.Resolve([]settings.Setting{s}, settings.Layer{Source: file, Lookup: lookup})
		mistakes = append(mistakes, err)
	}
	return mistakes
}

// byteCount is what the runtime accepts: no fraction, no space, no KB.
var byteCount = regexp.MustCompile(`^([0-9]+)(B|KiB|MiB|GiB|TiB)?$`)

func checkMemoryLimit(text string) error {
	parts := byteCount.FindStringSubmatch(text)
	if text == "off" {
		return nil
	}
	wrong := fmt.Errorf("%q: want a size such as 230MiB or 1GiB, or off: the Go runtime takes a whole number with B, KiB, MiB, GiB, TiB or nothing", text)
	if parts == nil {
		return wrong
	}
	shift := map[string]int{"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[parts[2]]
	if n, err := strconv.ParseInt(parts[1], 10, 64); err != nil || n > math.MaxInt64>>shift {
		return wrong
	}
	return nil
}

func checkGCPercent(text string) error {
	if n, err := strconv.ParseInt(text, 10, 32); text == "off" || err == nil && n >= 0 {
		return nil
	}
	return errors.New(strconv.Quote(text) + ": want a whole number, or off")
}
