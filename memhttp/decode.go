package memhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// DecodeLimits are the bounds of DecodeJSON. The zero value has the defaults.
type DecodeLimits struct {
	// MaxBytes bounds the body; default 64 KiB. A smaller bound that the body has already, of an Admission for example,
	// stays in force.
	MaxBytes int64
	// MaxDepth bounds how deep objects and arrays are nested in each other; default 32. {} has a depth of 1.
	MaxDepth int
	// Types are the media types that a body may have; default application/json.
	Types []string
	// Optional lets an empty body be, of whatever type; it changes nothing of the value.
	Optional bool
}

const defaultMaxDepth = 32

// DecodeJSON reads a request's body, which must be one JSON document, into a value as encoding/json does, and answers
// the request if that cannot be, with 400, 413, 415 or, where ErrOverloaded is in the way, 503. It reports whether the
// value is good. Fields that the value does not have are refused, and so are names that stand twice in an object, of
// which encoding/json would take the last. Size and depth are looked at before anything is built from the document.
func DecodeJSON(w http.ResponseWriter, r *http.Request, into any, limits DecodeLimits) bool {
	orDefault(&limits.MaxBytes, maxBodyBytes)
	r.Body = http.MaxBytesReader(w, r.Body, limits.MaxBytes)
	problem, ok := decodeBody(r, into, limits)
	if !ok {
		problem.ServeHTTP(w, r)
	}
	return ok
}

// decodeBody is DecodeJSON of a body with a bound, which leaves the answer to the caller.
func decodeBody(r *http.Request, into any, limits DecodeLimits) (Problem, bool) {
	var body json.RawMessage
	if problem, ok := readBody(r, &body, limits); !ok {
		return problem, false
	}
	if len(body) == 0 {
		return Problem{}, true
	}
	if err := decodeStrict(body, into); err != nil {
		return unreadable(describeJSON(err)), false
	}
	return Problem{}, true
}

// decodeStrict decodes one JSON document with no unknown fields and nothing behind it.
func decodeStrict(body []byte, into any) error {
	if !utf8.Valid(body) {
		return errors.New("it is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON document")
	}
	return nil
}

func unreadable(why string) Problem {
	return NewProblem(http.StatusBadRequest, "the body cannot be read: "+why)
}

// describeJSON says what is wrong with a document without a word about Go's types.
func describeJSON(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	place := "the document"
	if wrong.Field != "" {
		place = wrong.Field
	}
	return fmt.Sprintf("%s cannot be a JSON %s", place, wrong.Value)
}

// readBody reads a body within its bounds. What is not JSON at all is left to whoever decodes it.
func readBody(r *http.Request, into *json.RawMessage, limits DecodeLimits) (Problem, bool) {
	orDefault(&limits.MaxBytes, maxBodyBytes)
	orDefault(&limits.MaxDepth, defaultMaxDepth)
	if len(limits.Types) == 0 {
		limits.Types = []string{jsonType}
	}
	if r.ContentLength > limits.MaxBytes {
		return bodyTooLarge(limits.MaxBytes), false
	}
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return bodyTooLarge(tooLarge.Limit), false
	case errors.Is(err, ErrOverloaded):
		p := NewProblem(http.StatusServiceUnavailable, ErrOverloaded.Error())
		p.RetryAfter = defaultRetryAfter
		return p, false
	case err != nil:
		return NewProblem(http.StatusBadRequest, "the body ended early"), false
	}
	*into = body
	if len(body) == 0 && limits.Optional {
		return Problem{}, true
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || !slices.Contains(limits.Types, mediaType) {
		return NewProblem(http.StatusUnsupportedMediaType, "Content-Type: want "+strings.Join(limits.Types, " or ")), false
	}
	switch {
	case len(body) == 0:
		return unreadable("it is empty"), false
	case jsonDepth(body) > limits.MaxDepth:
		return unreadable(fmt.Sprintf("it is nested more than %d deep", limits.MaxDepth)), false
	}
	if name, twice := repeatedName(body); twice {
		return unreadable(fmt.Sprintf("%q stands twice in an object", name)), false
	}
	return Problem{}, true
}

// jsonDepth returns how deep objects and arrays of a JSON document are nested in each other, in one pass and without
// building anything. Of a text that is not JSON it returns some number: brackets in what looks like a string do not
// count.
func jsonDepth(document []byte) (deepest int) {
	depth, inString := 0, false
	for i := 0; i < len(document); i++ {
		switch c := document[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// repeatedName returns a name that stands twice in an object of a JSON document, if there is one before the document's
// end or what is wrong with it. The document's depth must be bounded.
func repeatedName(document []byte) (name string, twice bool) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	// level is an object or an array that is open; names of an array is nil.
	type level struct {
		names map[string]bool
		value bool // the next token is a name's value
	}
	var open []level
	for {
		token, err := decoder.Token()
		if err != nil {
			return "", false
		}
		if delimiter, ok := token.(json.Delim); ok && (delimiter == '}' || delimiter == ']') {
			open = open[:len(open)-1]
			continue
		}
		if top := len(open) - 1; top >= 0 && open[top].names != nil {
			if text, ok := token.(string); ok && !open[top].value {
				if open[top].names[text] {
					return text, true
				}
				open[top].names[text] = true
				open[top].value = true
				continue
			}
			open[top].value = false
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{names: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		}
	}
}
