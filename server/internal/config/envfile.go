package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Bounds of an environment file.
const (
	MaxEnvFileBytes = 1 << 20
	maxMistakes     = 100 // listed of one file; the rest are counted
)

// Assignment is one NAME=value of an environment file.
type Assignment struct {
	Name  string
	Value Secret // any value may be one
	Line  int    // from 1
}

// LineError is a line of an environment file that cannot be read. It never contains the line's value.
type LineError struct {
	File    string
	Line    int
	Message string
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message) }

// ParseEnvFile reads lines of NAME=value; name is the file's, for messages. Nothing is ever evaluated: a $ is a $.
//
//   - Blank lines and lines that begin with # say nothing. "export " before a name is allowed.
//   - A value is trimmed of white space, and ends before a # that follows white space.
//   - A value that begins with ' or " ends at the next such quote, and only a comment may follow. Between single
//     quotes every character stands for itself; between double quotes \n, \", \\ and \$ stand for a new line, a
//     quote, a backslash and a dollar, and any other backslash is a mistake. A quoted value ends on its line.
//   - A name that is set twice is a mistake.
//
// The file is UTF-8, with or without a byte-order mark, with lines that end in LF or CRLF, and has at most
// MaxEnvFileBytes bytes. The error joins every mistake up to a hundred (errors.Join of *LineError); what could be read
// is returned with it.
func ParseEnvFile(name string, r io.Reader) ([]Assignment, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxEnvFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > MaxEnvFileBytes {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, MaxEnvFileBytes)
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, fmt.Errorf("%s: not UTF-8 text: save it as UTF-8", name)
	}
	var (
		assignments []Assignment
		mistakes    []error
		lines       = map[string]int{}
		number      = 0
	)
	for line := range strings.SplitSeq(strings.TrimPrefix(string(data), "\ufeff"), "\n") {
		number++
		key, value, message := parseLine(strings.TrimSuffix(line, "\r"))
		if message == "" && key != "" && lines[key] != 0 {
			message = fmt.Sprintf("%s is set in line %d already", key, lines[key])
		}
		switch {
		case message == "" && key != "":
			lines[key] = number
			assignments = append(assignments, Assignment{key, Secret(value), number})
		case message != "":
			mistakes = append(mistakes, &LineError{name, number, message})
		}
	}
	return assignments, errors.Join(limited(name, mistakes)...)
}

// limited keeps the first mistakes of a file and counts the rest.
func limited(file string, mistakes []error) []error {
	if more := len(mistakes) - maxMistakes; more > 0 {
		mistakes = append(mistakes[:maxMistakes:maxMistakes], fmt.Errorf("%s: %d more lines cannot be used", file, more))
	}
	return mistakes
}

// parseLine reads one line; the name is empty for a line that sets nothing, the message for one without a mistake.
func parseLine(line string) (name, value, message string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", "", ""
	}
	name, raw, found := strings.Cut(line, "=")
	name = strings.TrimSpace(name)
	if rest, ok := strings.CutPrefix(name, "export"); ok && strings.TrimLeft(rest, " \t") != rest {
		name = strings.TrimLeft(rest, " \t")
	}
	switch {
	case !found:
		return "", "", "want NAME=value" // not echoed: it may be the second line of a secret
	case !isName(name):
		return "", "", "want letters, digits and _ before the =, with no digit first"
	}
	if strings.IndexFunc(raw, isControl) >= 0 {
		return "", "", name + ": a control character in the value"
	}
	value, message = parseValue(raw)
	if message != "" {
		return "", "", name + ": " + message
	}
	return name, value, ""
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func isName(text string) bool {
	for i, r := range text {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return text != ""
}

func parseValue(raw string) (value, message string) {
	text := strings.TrimSpace(raw)
	if text == "" {
		return "", ""
	}
	var rest string
	switch text[0] {
	case '\'':
		var closed bool
		if value, rest, closed = strings.Cut(text[1:], "'"); !closed {
			return "", "the single quote is not closed in its line"
		}
	case '"':
		if value, rest, message = parseDoubleQuoted(text[1:]); message != "" {
			return "", message
		}
	default:
		return strings.TrimSpace(cutComment(raw)), ""
	}
	if strings.TrimSpace(cutComment(rest)) != "" {
		return "", "text after the closing quote"
	}
	return value, ""
}

// cutComment cuts a text before the first # that follows white space.
func cutComment(text string) string {
	for i := 1; i < len(text); i++ {
		if text[i] == '#' && (text[i-1] == ' ' || text[i-1] == '\t') {
			return text[:i]
		}
	}
	return text
}

// parseDoubleQuoted reads up to the closing quote; rest is what follows it.
func parseDoubleQuoted(text string) (value, rest, message string) {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			return out.String(), text[i+1:], ""
		case '\\':
			i++
			switch {
			case i == len(text):
				return "", "", "the double quote is not closed in its line"
			case text[i] == 'n':
				out.WriteByte('\n')
			case strings.IndexByte(`"\$`, text[i]) >= 0:
				out.WriteByte(text[i])
			default:
				return "", "", `between double quotes only \n, \", \\ and \$ may follow a backslash: write \\ for one, or use single quotes`
			}
		default:
			out.WriteByte(c)
		}
	}
	return "", "", "the double quote is not closed in its line"
}

// FormatAssignment writes NAME=value as a line that ParseEnvFile reads back, with quotes where the value needs them. The
// value must not have control characters other than tabs and new lines.
func FormatAssignment(name, value string) string {
	switch plain := value == strings.TrimSpace(value) && !strings.ContainsAny(value, "\n#'\""); {
	case plain:
		return name + "=" + value
	case !strings.ContainsAny(value, "\n'"):
		return name + "='" + value + "'"
	}
	return name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}
