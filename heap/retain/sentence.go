package retain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/memwarden/memwarden/bytesize"
)

// sentence says it in plain words. shared is the type of what is shared and retains the group, or empty.
func (d *describer) sentence(s *Suspect, g group, shared string) string {
	retains := "retain "
	if s.Count == 1 {
		retains = "retains "
	}
	retains += bytes(s.RetainedBytes) + ", " + Percent(s.Share) + " of the reached heap"
	what := objects(s.Count, s.Type)
	if g.label != nil && g.number == noType {
		return owners(s.Count, g.label) + " " + retains + mostly(s.Consumers) + "."
	}
	if d.h.types.keeper[g.number] {
		if s.Type == "runtime.g" {
			what += ", one for each goroutine,"
		}
		return "the runtime itself holds " + what + " that " + retains + "."
	}
	return subject(s, shared, what, retains) + allocated(s) + holders(s, shared) + "."
}

// subject is the first part: who holds what.
func subject(s *Suspect, shared, what, retains string) string {
	where, one := holder(s.Path), s.Count == 1
	switch {
	case len(s.Path) == 0:
		return what + " " + retains
	case len(s.Path) == 1 && s.Type == unknownType:
		return where + " " + retains + mostly(s.Consumers)
	case one && strings.ContainsAny(s.Type, "[ "):
		// A slice, map or channel is what the variable itself is.
		return where + ", " + article(s.Type) + ", " + retains
	case one:
		return where + " holds " + article(s.Type) + " that " + retains
	case len(s.Holders) > 1 && shared == "":
		return holderNames(s.Holders) + " share " + what + " that " + retains
	case s.PathShare < 0.5:
		return what + " that are held along several paths, most often by " + where + ", " + retains
	case strings.HasPrefix(where, keysOf):
		return where + " hold " + what + " that " + retains
	default:
		return where + " holds " + what + " that " + retains
	}
}

// allocated is the part about where that was.
func allocated(s *Suspect) string {
	in := allocatedIn(s.AllocStack)
	if in == "" {
		return ""
	}
	they := "; they were"
	if s.AllocShare < 0.5 {
		they = "; most of the sampled ones were"
	} else if s.Count == 1 {
		they = "; it was"
	}
	return they + " allocated in " + short(in)
}

// holders is the part about who else holds it.
func holders(s *Suspect, shared string) string {
	if len(s.Holders) < 2 || isKeeper(shared) || s.Count > 1 && shared == "" {
		return ""
	}
	others := slices.DeleteFunc(slices.Clone(s.Holders), func(h Holder) bool {
		return h.Name == s.Path[0] || strings.HasPrefix(s.Path[0], strings.TrimPrefix(h.Name, goroutineKind+" ")+":")
	})
	if len(others) == 0 {
		return ""
	}
	subject, also := "it", ""
	if shared != "" {
		subject = "the " + shared + " that retains them"
		if s.Count == 1 {
			subject = "the " + shared + " that retains it"
		}
	}
	if len(others) < len(s.Holders) {
		also = "also "
	}
	return "; " + subject + " is " + also + "held by " + holderNames(others)
}

const keysOf = "the keys of "

// holder is a path without the last steps into a container: what a reader would say holds the elements.
func holder(path []string) string {
	keys := ""
	for last := len(path) - 1; last > 0; last = len(path) - 1 {
		switch path[last] {
		case key:
			keys = keysOf
		case element, omission:
		default:
			return keys + strings.Join(path, "")
		}
		path = path[:last]
	}
	return keys + strings.Join(path, "")
}

func holderNames(holders []Holder) string {
	names := make([]string, 0, 3)
	for _, holder := range holders[:min(2, len(holders))] {
		names = append(names, holder.String())
	}
	if more := len(holders) - 2; more == 1 {
		names = append(names, holders[2].String())
	} else if more > 1 {
		names = append(names, fmt.Sprintf("%d others", more))
	}
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

func (h Holder) String() string {
	if h.Kind == objectKind {
		return article(h.Name)
	}
	return h.Name
}

// owners names goroutines, or roots, that hold something each.
func owners(count uint64, of *label) string {
	if of.kind != goroutineKind {
		if count == 1 {
			return of.name
		}
		if rest, ok := strings.CutPrefix(of.name, of.kind); ok {
			return number(count) + " " + of.kind + "s" + rest
		}
		return fmt.Sprintf("%s (%s of them)", of.name, number(count))
	}
	what := "1 goroutine"
	if count != 1 {
		what = number(count) + " goroutines"
	}
	what += fmt.Sprintf(" in %s (%s)", short(of.function), of.state)
	if of.createdBy != "" {
		what += ", created by " + short(of.createdBy) + ","
	}
	return what
}

// mostly names what most of the bytes are in.
func mostly(consumers []Type) string {
	if len(consumers) == 0 {
		return ""
	}
	return ", most of it in " + objects(consumers[0].Count, consumers[0].Name)
}

// objects names some objects of a type.
func objects(count uint64, of string) string {
	if of != unknownType {
		return number(count) + " " + of
	}
	if count == 1 {
		return "1 object of unknown type"
	}
	return number(count) + " objects of unknown type"
}

func article(of string) string {
	if strings.HasPrefix(of, "(") {
		return "an object of unknown type"
	}
	if of != "" && strings.ContainsRune("aeioAEIO", rune(of[0])) {
		return "an " + of
	}
	return "a " + of
}

// number prints 1234567 as 1,234,567.
func number(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func bytes(n uint64) string { return bytesize.Format(int64(min(n, 1<<62))) }

// Percent prints a share from 0 to 1 as "97.1 %".
func Percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + " %" }
