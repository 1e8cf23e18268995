package config

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/settings"
)

const onWindows = runtime.GOOS == "windows"

// kubernetesService matches the variables that Kubernetes gives to every container beside a Service named memwarden.
var kubernetesService = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT_[0-9]+_(TCP|UDP|SCTP)(_|$)`)

// unknownInFile is a mistake for each name in the environment file that looks like a setting and is none.
func unknownInFile(table []settings.Setting, file string, assignments []Assignment) []error {
	var mistakes []error
	for _, a := range assignments {
		if looksLikeSetting(a.Name) && !isSetting(table, a.Name) {
			mistakes = append(mistakes, &LineError{file, a.Line, unknown(table, a.Name)})
		}
	}
	return limited(file, mistakes)
}

// unknownInEnvironment warns of such names in the environment. They are no mistakes: others put names there that
// nobody asked for.
func unknownInEnvironment(table []settings.Setting, environ []string) []string {
	var warnings []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		ours := name == memwarden.DerivedMark || kubernetesService.MatchString(name) || strings.Contains(value, "://") && strings.HasSuffix(name, "_PORT")
		if looksLikeSetting(name) && !ours && !isSetting(table, name) {
			warnings = append(warnings, fmt.Sprintf("%s (%s)", unknown(table, name), SourceEnvironment))
		}
	}
	slices.Sort(warnings)
	return warnings
}

func looksLikeSetting(name string) bool {
	return strings.HasPrefix(strings.ToUpper(name), settings.Prefix)
}

func isSetting(table []settings.Setting, name string) bool {
	return slices.ContainsFunc(table, func(s settings.Setting) bool { return s.Name == name })
}

func unknown(table []settings.Setting, name string) string {
	message := name + " is not a setting"
	if near := nearest(table, name); near != "" {
		message += ": did you mean " + near + "?"
	}
	return message
}

// nearest is the setting whose name takes the fewest edits to reach, if those are few; a name that only goes on, such
// as ADDRESS for ADDR, counts as two.
func nearest(table []settings.Setting, name string) string {
	name = strings.TrimPrefix(strings.ToUpper(name), settings.Prefix)
	if len(name) > 100 { // no setting's name is near it
		return ""
	}
	best, least := "", 1+max(2, len(name)/3)
	for _, s := range table {
		short := strings.TrimPrefix(s.Name, settings.Prefix)
		d := distance(name, short)
		if strings.HasPrefix(name, short) || name != "" && strings.HasPrefix(short, name) {
			d = min(d, 2)
		}
		if d < least {
			best, least = s.Name, d
		}
	}
	return best
}

// distance is the least number of bytes to insert, delete or replace between two texts (Levenshtein), in one row of
// the table at a time.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
