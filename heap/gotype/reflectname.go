package gotype

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// typeName is a type's name as package reflect has it, and the import path of its package if it was given the name.
type typeName struct{ name, path string }

// reflectName turns a type's name in the debug information into reflect's: of an import path only the package's name
// stays, but between the brackets of a generic type's arguments, where reflect keeps it whole.
func (t *Table) reflectName(debug string) typeName {
	debug = strings.TrimPrefix(debug, "noalg.")
	w := nameWriter{in: debug}
	if t.dwarf != nil {
		w.packages = t.dwarf.packages
	}
	w.run()
	n := typeName{name: w.out.String()}
	n.path = w.path
	return n
}

// embeddedName is the name of an embedded field of whose type the debug information gives the path.
func embeddedName(name string) string {
	name = strings.TrimPrefix(name, "*")
	head, _, _ := strings.Cut(name, "[")
	if i := strings.LastIndexByte(head, '/'); i >= 0 {
		name = name[i+1:]
		head = head[i+1:]
	}
	if i := strings.LastIndexByte(head, '.'); i >= 0 {
		name = name[i+1:]
	}
	head, _, _ = strings.Cut(name, "[")
	return head
}

// nameWriter rewrites a name piece by piece.
type nameWriter struct {
	in       string
	at       int
	out      strings.Builder
	packages map[string]string
	path     string // of the package of the name with which the whole begins
	open     []bool // of the braces around: a struct's
	field    bool   // a field of a struct begins
}

func (w *nameWriter) run() {
	for w.at < len(w.in) {
		switch c := w.in[w.at]; {
		case c == '"' || c == '`':
			w.quoted(c)
		case c == '.' && strings.HasPrefix(w.in[w.at:], "..."):
			w.copy(3)
		case nameByte(w.in[w.at:]):
			w.token()
		default:
			w.punctuation(c)
			w.copy(1)
		}
	}
}

// punctuation notes where fields of a struct begin.
func (w *nameWriter) punctuation(c byte) {
	switch c {
	case '{':
		w.field = strings.HasSuffix(w.out.String(), "struct ")
		w.open = append(w.open, w.field)
	case '}':
		w.open = w.open[:max(0, len(w.open)-1)]
		w.field = false
	case ';':
		w.field = len(w.open) > 0 && w.open[len(w.open)-1]
	case ' ':
	default:
		w.field = false
	}
}

func (w *nameWriter) copy(n int) {
	w.out.WriteString(w.in[w.at : w.at+n])
	w.at += n
}

// quoted copies a struct tag.
func (w *nameWriter) quoted(quote byte) {
	end := w.at + 1
	for end < len(w.in) && w.in[end] != quote {
		if w.in[end] == '\\' && quote == '"' {
			end++
		}
		end++
	}
	w.copy(min(end+1, len(w.in)) - w.at)
}

// nameByte reports whether a string begins with what names and import paths are made of.
func nameByte(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return r == '/' || r == '.' || r == '_' || r == '-' || r == '~' || r == '%' || r == '·' || r == '+' || r == '@' ||
		unicode.IsLetter(r) || unicode.IsDigit(r)
}

// token rewrites a name, which may have an import path before it and type arguments behind it.
func (w *nameWriter) token() {
	start := w.at
	for w.at < len(w.in) && nameByte(w.in[w.at:]) {
		if strings.HasPrefix(w.in[w.at:], "...") {
			break
		}
		_, n := utf8.DecodeRuneInString(w.in[w.at:])
		w.at += n
	}
	name, path := w.shorten(w.in[start:w.at])
	if rest := w.in[w.at:]; w.field && len(rest) > 1 && rest[0] == ' ' && !strings.ContainsRune("\"`}", rune(rest[1])) {
		name = name[strings.LastIndexByte(name, '.')+1:] // debug names say of which package a field is
	}
	w.field = false
	w.out.WriteString(name)
	if start == 0 {
		w.path = path
	}
	if strings.HasPrefix(w.in[w.at:], "[") && name != "map" && !strings.HasPrefix(name, "map.") {
		w.arguments()
	}
	w.mark()
}

// arguments copies type arguments as they are.
func (w *nameWriter) arguments() {
	depth := 0
	for end := w.at; end < len(w.in); end++ {
		switch w.in[end] {
		case '[':
			depth++
		case ']':
			depth--
		}
		if depth == 0 {
			w.copy(end + 1 - w.at)
			return
		}
	}
	w.copy(len(w.in) - w.at)
}

// mark steps over "·1", which tells apart types of one name that functions of a package declare.
func (w *nameWriter) mark() {
	rest, ok := strings.CutPrefix(w.in[w.at:], "·")
	if !ok {
		return
	}
	w.at = len(w.in) - len(strings.TrimLeft(rest, "0123456789"))
}

// shorten takes "example.com/a/b.T" to "b.T" and returns the import path.
func (w *nameWriter) shorten(token string) (name, path string) {
	token, _, _ = strings.Cut(token, "·")
	if strings.HasPrefix(token, "map.") {
		return token, "" // the compiler's own, as is:
	}
	if strings.HasPrefix(token, "go.shape.") {
		return token, "go.shape"
	}
	slash := strings.LastIndexByte(token, '/')
	dot := strings.IndexByte(token[slash+1:], '.')
	if dot < 0 {
		return token, ""
	}
	dot += slash + 1
	path = unescape(token[:dot])
	pkg, ok := w.packages[path]
	if !ok {
		pkg = path[strings.LastIndexByte(path, '/')+1:]
	}
	return pkg + token[dot:], path
}

// unescape undoes what the linker does to import paths: "gopkg.in/yaml%2ev3" is "gopkg.in/yaml.v3".
func unescape(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var out strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			high, ok1 := hexDigit(path[i+1])
			low, ok2 := hexDigit(path[i+2])
			if ok1 && ok2 {
				out.WriteByte(high<<4 | low)
				i += 2
				continue
			}
		}
		out.WriteByte(path[i])
	}
	return out.String()
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
