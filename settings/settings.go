// Package settings turns layers of text (flags, environment, an environment file, defaults) into checked values, and
// remembers where each came from.
//
// It knows kinds, ranges and precedence; which settings exist is the business of those who own the tables: the
// facade for what every program can set, the server for the rest. It reads no environment itself: a Layer brings its
// own lookup.
package settings

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/memwarden/memwarden/bytesize"
)

// Kind is the grammar of a setting's text.
type Kind uint8

// The kinds of settings, with the text that each accepts.
const (
	String   Kind = iota // anything
	Bool                 // true, false, 1, 0, yes, no, on, off
	Int                  // a whole number
	Ratio                // 0.7 or 70%
	Duration             // 10s, 1m30s
	Bytes                // 512MiB, 512Mi, 536870912
)

var kindNames = [...]string{"text", "true or false", "a whole number", "a ratio such as 0.7 or 70%", "a duration such as 10s or 5m", "a size such as 512MiB"}

// String names the kind as a message to a user does.
func (k Kind) String() string { return kindNames[k] }

// Prefix begins the name of every setting.
const Prefix = "MEMWARDEN_"

// Setting describes one value that a user can set.
type Setting struct {
	Name    string // environment variable: MEMWARDEN_…
	Section string // heading under which documents list it
	Kind    Kind
	Default string // as a user would write it; empty: none
	// Min and Max bound the value where Max > Min: seconds for a Duration, bytes for Bytes.
	Min, Max float64
	Help     string // one sentence: what it does
	Secret   bool   // never printed
	// Check looks further at a value that has the right kind and range; nil: nothing more. Its error must not
	// contain the value if Secret is set.
	Check func(text string) error
}

// Flag is the setting's name on a command line, without dashes: MEMWARDEN_DATA_DIR is data-dir.
func (s Setting) Flag() string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(s.Name, Prefix)), "_", "-")
}

// Layer is one place where values may stand.
type Layer struct {
	Source string // "flag", "environment", a file's name
	// Lookup returns the text for a setting's name. An empty text counts as not set.
	Lookup func(name string) (string, bool)
}

// SourceDefault is the Source of a value that no layer has set.
const SourceDefault = "default"

// Value is a setting's value in force, and where it came from.
type Value struct {
	Setting Setting
	Text    string // as it was written; empty: not set and no default
	Source  string

	parsed any
}

// Display is the text as it may be shown: a secret is masked.
func (v Value) Display() string {
	if v.Setting.Secret && v.Text != "" {
		return "********"
	}
	return v.Text
}

// Values are the checked values of a table of settings, in the table's order.
type Values struct {
	list  []Value
	index map[string]int
}

// Resolve looks each setting up in the layers, first layer first, and checks what it finds. The error joins every
// mistake (errors.Join of *Mistake), so that a user mends them all at once; the values then hold the defaults in their
// places, for checks across settings.
func Resolve(table []Setting, layers ...Layer) (Values, error) {
	values := Values{index: make(map[string]int, len(table))}
	var mistakes []error
	for _, setting := range table {
		value := Value{Setting: setting, Text: setting.Default, Source: SourceDefault}
		for _, layer := range layers {
			if text, ok := layer.Lookup(setting.Name); ok && text != "" {
				value.Text, value.Source = text, layer.Source
				break
			}
		}
		if value.Text != "" {
			parsed, err := setting.parse(value.Text)
			if err != nil {
				mistakes = append(mistakes, &Mistake{Name: setting.Name, Source: value.Source, Err: err})
				value.Text, value.Source = setting.Default, SourceDefault
				parsed, _, _ = setting.Kind.parse(setting.Default)
			}
			value.parsed = parsed
		}
		values.index[setting.Name] = len(values.list)
		values.list = append(values.list, value)
	}
	return values, errors.Join(mistakes...)
}

// Mistake is a setting whose value cannot be used.
type Mistake struct {
	Name   string // of the setting
	Source string // where its value came from
	Err    error  // never contains a secret value
}

func (m *Mistake) Error() string { return fmt.Sprintf("%s (%s): %v", m.Name, m.Source, m.Err) }

// Unwrap returns the reason.
func (m *Mistake) Unwrap() error { return m.Err }

// FieldError is a field of a document whose value cannot be used.
type FieldError struct {
	Field   string // path in the document, such as pressure.elevated_ratio
	Message string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// parse checks a text against the setting's kind, range and Check.
func (s Setting) parse(text string) (any, error) {
	parsed, number, err := s.Kind.parse(text)
	if err != nil {
		if s.Secret {
			return nil, fmt.Errorf("want %s", s.Kind)
		}
		return nil, fmt.Errorf("%q: want %s", text, s.Kind)
	}
	if s.Max > s.Min && (number < s.Min || number > s.Max) {
		return nil, fmt.Errorf("%q: want %s to %s", text, s.bound(s.Min), s.bound(s.Max))
	}
	if s.Check != nil {
		if err := s.Check(text); err != nil {
			return nil, err
		}
	}
	return parsed, nil
}

func (s Setting) bound(value float64) string {
	switch s.Kind {
	case Duration:
		return time.Duration(value * float64(time.Second)).String()
	case Bytes:
		return bytesize.Format(int64(value))
	default:
		return strconv.FormatFloat(value, 'f', -1, 64)
	}
}

// Range prints the setting's bounds for a document, or nothing where there are none.
func (s Setting) Range() string {
	if s.Max <= s.Min {
		return ""
	}
	return s.bound(s.Min) + " to " + s.bound(s.Max)
}

// parse reads a text; the number is what a range is compared with.
func (k Kind) parse(text string) (value any, number float64, err error) {
	text = strings.TrimSpace(text)
	switch k {
	case Bool:
		b, err := parseBool(text)
		return b, 0, err
	case Int:
		n, err := strconv.ParseInt(text, 10, 64)
		return n, float64(n), err
	case Ratio:
		digits, percent := strings.CutSuffix(text, "%")
		f, err := strconv.ParseFloat(digits, 64)
		if percent {
			f /= 100
		}
		if err == nil && f != f {
			err = errors.New("not a number")
		}
		return f, f, err
	case Duration:
		d, err := time.ParseDuration(text)
		return d, d.Seconds(), err
	case Bytes:
		n, err := bytesize.Parse(text)
		return n, float64(n), err
	default:
		return text, 0, nil
	}
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	}
	return false, errors.New("not a boolean")
}

// All returns every value in the table's order; the caller may keep the slice but not change it.
func (v Values) All() []Value { return v.list }

// Get returns the value of a setting; it panics if the table has no such setting, as a misspelt name is a defect of
// the program.
func (v Values) Get(name string) Value {
	i, ok := v.index[name]
	if !ok {
		panic("settings: no setting " + name)
	}
	return v.list[i]
}

// The typed getters return the zero value for a setting that is neither set nor has a default, and panic if the
// setting is of another kind.

// String returns the text of a setting of any kind.
func (v Values) String(name string) string { return v.Get(name).Text }

// Bool returns the value of a Bool setting.
func (v Values) Bool(name string) bool { return typed[bool](v, name) }

// Int returns the value of an Int setting.
func (v Values) Int(name string) int64 { return typed[int64](v, name) }

// Bytes returns the value of a Bytes setting.
func (v Values) Bytes(name string) int64 { return typed[int64](v, name) }

// Ratio returns the value of a Ratio setting.
func (v Values) Ratio(name string) float64 { return typed[float64](v, name) }

// Duration returns the value of a Duration setting.
func (v Values) Duration(name string) time.Duration { return typed[time.Duration](v, name) }

func typed[T any](v Values, name string) T {
	value := v.Get(name)
	typed, ok := value.parsed.(T)
	if !ok && value.parsed != nil {
		panic(fmt.Sprintf("settings: %s is %s", name, value.Setting.Kind))
	}
	return typed
}
