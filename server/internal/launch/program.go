package launch

import (
	"debug/buildinfo"
	"go/version"
	"os/exec"
	"slices"
	"strings"
)

// Program is what an executable says of itself.
type Program struct {
	// GoVersion is the toolchain that built it, such as go1.26.0; empty where that cannot be told.
	GoVersion string
	// Note is one clause on what that means.
	Note string

	path         string
	followsQuota bool // sets GOMAXPROCS by the CPU quota itself
}

// inspect finds a program and reads who built it. The error is a *StartError.
func inspect(name string) (Program, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return Program{}, startError(err)
	}
	p := Program{path: path, Note: "it is not built with Go, or does not say so"}
	if info, err := buildinfo.ReadFile(path); err == nil {
		var godebug string // the defaults that go.mod and the main package chose
		for _, s := range info.Settings {
			if s.Key == "DefaultGODEBUG" {
				godebug = s.Value
			}
		}
		p.GoVersion = info.GoVersion
		p.followsQuota, p.Note = followsQuota(info.GoVersion, godebug)
	}
	return p, nil
}

// followsQuota reports whether a program sets GOMAXPROCS by the CPU quota itself: since Go 1.25, unless its go.mod asks
// for an older language. A version that cannot be read is a development version, which is newer.
func followsQuota(goVersion, godebug string) (follows bool, note string) {
	if v, _, _ := strings.Cut(goVersion, " "); version.IsValid(v) && version.Compare(v, "go1.25") < 0 {
		return false, "a program built with " + v + " does not follow it itself"
	}
	if slices.Contains(strings.Split(godebug, ","), "containermaxprocs=0") {
		return false, "a program whose go.mod asks for Go 1.24 or earlier does not follow it itself"
	}
	return true, "a program built with " + goVersion + " follows the CPU quota itself"
}
