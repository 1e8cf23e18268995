package launch

import (
	"runtime"
	"strings"

	"github.com/memwarden/memwarden/server/internal/config"
)

// Change is a variable that a program gets and the launcher itself has not, or not so.
type Change struct {
	Name string `json:"name"`
	// Value is masked where it may be secret: what the environment file sets, unless it is known to be harmless.
	Value string `json:"value"`
	// Source is who set it: memwarden, flag, or the environment file's name.
	Source string `json:"source"`
	// Unset says that it is taken away.
	Unset bool `json:"unset,omitzero"`
}

// sourceLauncher is the source of a variable that the launcher has worked out.
const sourceLauncher = "memwarden"

// environment is a list of variables, and what of it differs from the first list. It has as many entries as the
// environment, the environment file and the table of settings together.
type environment struct {
	entries []variable
	index   map[string]int // by key
}

type variable struct {
	name, value, source      string
	secret, changed, removed bool
}

func newEnvironment(environ []string) *environment {
	e := &environment{index: make(map[string]int, len(environ))}
	for _, text := range environ {
		if text == "" {
			continue
		}
		// Windows has names that begin with =, for the directory of each drive.
		end := strings.IndexByte(text[1:], '=') + 1
		if end == 0 {
			continue
		}
		if _, twice := e.index[key(text[:end])]; !twice {
			e.put(variable{name: text[:end], value: text[end+1:], source: config.SourceEnvironment})
		}
	}
	return e
}

// key is what names are compared by.
func key(name string) string {
	if runtime.GOOS == "windows" {
		return strings.ToUpper(name)
	}
	return name
}

func (e *environment) put(v variable) {
	if i, ok := e.index[key(v.name)]; ok {
		e.entries[i] = v
		return
	}
	e.index[key(v.name)] = len(e.entries)
	e.entries = append(e.entries, v)
}

// get returns the value of a name and who set it; both are empty for a name that is not set.
func (e *environment) get(name string) (value, source string) {
	if i, ok := e.index[key(name)]; ok {
		return e.entries[i].value, e.entries[i].source
	}
	return "", ""
}

func (e *environment) set(name, value, source string, secret bool) {
	e.put(variable{name: name, value: value, source: source, secret: secret, changed: true})
}

func (e *environment) unset(name string) {
	if _, ok := e.index[key(name)]; ok {
		e.put(variable{name: name, source: sourceLauncher, changed: true, removed: true})
	}
}

// fill adds what the environment file sets and the environment does not, and the settings of the command line, so
// that a warden in the program has them too.
func (e *environment) fill(c config.Config) {
	harmless := map[string]bool{memoryLimit: true, gcPercent: true, maxProcs: true}
	for _, v := range c.Values.All() {
		harmless[v.Setting.Name] = !v.Setting.Secret
		if v.Source == config.SourceFlag {
			e.set(v.Setting.Name, v.Text, config.SourceFlag, v.Setting.Secret)
		}
	}
	for _, a := range c.File {
		if value, _ := e.get(a.Name); value == "" {
			e.set(a.Name, string(a.Value), c.EnvFile, !harmless[a.Name])
		}
	}
}

// list is the environment as a program gets it.
func (e *environment) list() []string {
	all := make([]string, 0, len(e.entries))
	for _, v := range e.entries {
		if !v.removed {
			all = append(all, v.name+"="+v.value)
		}
	}
	return all
}

func (e *environment) changes() []Change {
	var all []Change
	for _, v := range e.entries {
		if !v.changed {
			continue
		}
		c := Change{Name: v.name, Value: v.value, Source: v.source, Unset: v.removed}
		if v.secret {
			c.Value = config.Secret(v.value).String()
		}
		all = append(all, c)
	}
	return all
}
