package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bytesize"
)

func (e *examination) configuration() Finding {
	switch {
	case e.Mistake != nil:
		return Finding{"configuration", Broken, sentences(strings.Split(e.Mistake.Error(), "\n")), "See memwarden config."}
	case len(e.Warnings) > 0:
		return Finding{"configuration", Warn, sentences(e.Warnings), "See memwarden config."}
	}
	return Finding{"configuration", OK, "Every setting can be used.", ""}
}

func sentences(texts []string) string { return strings.Join(texts, "; ") + "." }

func (e *examination) platform() Finding {
	f := Finding{Name: "platform", Status: OK, Summary: fmt.Sprintf("%s/%s, built with %s.", e.Program.OS, e.Program.Arch, e.Program.GoVersion)}
	if e.Program.OS != "linux" {
		f.Status = Info
		f.Summary += " Containers, memory pressure and heap snapshots are Linux's: here there are the Go runtime's figures and the process's."
	}
	return f
}

func (e *examination) goroutineLeaks() Finding {
	if e.Program.GoroutineLeaks {
		return Finding{"goroutine-leaks", OK, "The runtime finds leaked goroutines itself (profile goroutineleak).", ""}
	}
	return Finding{"goroutine-leaks", Info, "This Go runtime has no goroutineleak profile.",
		"Build with Go 1.27 or later, or with GOEXPERIMENT=goroutineleakprofile on Go 1.26."}
}

// throughRun is what to know of the Go runtime's variables in an environment file: it reads them at its start, before
// any file can be read.
const throughRun = "It takes effect in programs that are started by memwarden run."

func (e *examination) memoryLimit() Finding {
	value, source := e.lookup("GOMEMLIMIT")
	mark, _ := e.lookup(memwarden.DerivedMark)
	switch {
	case value == "" && !e.Config.Warden.Limit.Manage:
		return Finding{"go-memory-limit", Warn, "GOMEMLIMIT is not set, and is not derived either, as MEMWARDEN_LIMIT_MANAGE is false.", "Set one of them."}
	case value == "":
		return Finding{"go-memory-limit", OK, "GOMEMLIMIT is not set: it is derived from the container's limit, if there is one.", ""}
	case mark == "1":
		return Finding{"go-memory-limit", OK, "GOMEMLIMIT=" + value + " was derived by memwarden run.", ""}
	}
	f := Finding{"go-memory-limit", Info, fmt.Sprintf("GOMEMLIMIT=%s is set (%s) and left alone: it does not follow a container that is resized.", value, source), ""}
	if source == e.Config.EnvFile {
		f.Advice = throughRun
	}
	return f
}

func (e *examination) collector() Finding {
	value, source := e.lookup("GOGC")
	limit, _ := e.lookup("GOMEMLIMIT")
	_, limited := e.limits.MaxBytes.Get()
	limited = limited || limit != "" || e.Config.Warden.Limit.MemoryBytes > 0
	switch {
	case value == "off" && !limited:
		return Finding{"gogc", Warn, fmt.Sprintf("GOGC=off is set (%s) and there is no memory limit: nothing is ever collected.", source), "Unset it, or limit the memory."}
	case value == "":
		return Finding{"gogc", OK, "GOGC is not set: a collection begins when the heap has doubled.", ""}
	}
	f := Finding{"gogc", Info, fmt.Sprintf("GOGC=%s is set (%s) and left alone.", value, source), ""}
	if source == e.Config.EnvFile {
		f.Advice = throughRun
	}
	return f
}

// Free space of the data directory: below the first the server cannot work for long, below the second not for ever.
const (
	noSpace     = 100 << 20
	littleSpace = 1 << 30
)

func (e *examination) dataDir() Finding {
	f := Finding{Name: "data-directory", Status: OK}
	dir := e.Config.DataDir
	if e.Config.DatabaseURL != "" {
		f.Summary = dir + " is not used: PostgreSQL is."
		return f
	}
	place, err := writable(dir)
	if err != nil {
		f.Status, f.Summary = Broken, fmt.Sprintf("Nothing can be written to %s: %v.", dir, err)
		f.Advice = "Choose another by MEMWARDEN_DATA_DIR, or give this user the right to write there."
		return f
	}
	f.Summary = dir + " can be written to"
	if place != dir {
		f.Summary = dir + " does not exist yet and can be made"
	}
	free, err := freeBytes(place)
	if err != nil {
		f.Status, f.Summary = Info, f.Summary+"; how much space is free cannot be told: "+err.Error()+"."
		return f
	}
	f.Summary += fmt.Sprintf(", %s are free.", bytesize.Format(free))
	f.Status = judgeSpace(free)
	if f.Status != OK {
		f.Advice = "Make room: the history and the versions of the configuration are kept there."
	}
	return f
}

func judgeSpace(free int64) Status {
	switch {
	case free < noSpace:
		return Broken
	case free < littleSpace:
		return Warn
	}
	return OK
}

// writable writes a file to a directory, or to the nearest parent that exists, and removes it. It returns where.
func writable(dir string) (place string, err error) {
	for place = filepath.Clean(dir); ; place = filepath.Dir(place) {
		if _, err = os.Stat(place); err == nil || !os.IsNotExist(err) || place == filepath.Dir(place) {
			break
		}
	}
	file, err := os.CreateTemp(place, ".memwarden-doctor-*")
	if err != nil {
		return place, fmt.Errorf("%s", cause(err))
	}
	_, err = file.WriteString("memwarden doctor\n")
	if closing := file.Close(); err == nil {
		err = closing
	}
	if removing := os.Remove(file.Name()); err == nil {
		err = removing
	}
	return place, err
}

func (e *examination) database() Finding {
	if e.Config.DatabaseURL == "" {
		return Finding{"database", OK, "The embedded database in the data directory is used (MEMWARDEN_DATABASE_URL is not set).", ""}
	}
	return Finding{"database", OK, fmt.Sprintf("PostgreSQL is used, with at most %d connections.", e.Config.DatabaseMaxConns), ""}
}

func (e *examination) redis() Finding {
	if e.Config.RedisURL == "" {
		return Finding{"redis", OK, "No Redis is used (MEMWARDEN_REDIS_URL is not set).", ""}
	}
	return Finding{"redis", OK, "Redis is used: its health is checked.", ""}
}
