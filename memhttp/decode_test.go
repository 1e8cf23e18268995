package memhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDecodeJSON(t *testing.T) {
	type inner struct {
		B []any
	}
	nested := func(depth int) string {
		return `{"A":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
	}
	overloaded := iotest.ErrReader(ErrOverloaded)
	for name, c := range map[string]struct {
		body   io.Reader
		kind   string
		limits DecodeLimits
		status int // 0: it is good
		says   string
	}{
		"good":            {strings.NewReader(`{"A":1,"I":{"B":[1,{"A":1},{"A":1},"x"]}}`), jsonType, DecodeLimits{}, 0, ""},
		"charset":         {strings.NewReader(`{}`), jsonType + "; charset=utf-8", DecodeLimits{}, 0, ""},
		"another type":    {strings.NewReader(`{}`), "text/plain", DecodeLimits{Types: []string{"application/x", "text/plain"}}, 0, ""},
		"empty":           {strings.NewReader(``), jsonType, DecodeLimits{}, 400, "it is empty"},
		"empty, untyped":  {strings.NewReader(``), "", DecodeLimits{}, 415, "want application/json"},
		"optional":        {strings.NewReader(``), "", DecodeLimits{Optional: true}, 0, ""},
		"type":            {strings.NewReader(`{}`), "text/plain", DecodeLimits{Types: []string{"a/b", "c/d"}}, 415, "want a/b or c/d"},
		"as large as may": {strings.NewReader(`{"A": 12345}`), jsonType, DecodeLimits{MaxBytes: 12}, 0, ""},
		"large":           {strings.NewReader(`{"A": 123456}`), jsonType, DecodeLimits{MaxBytes: 12}, 413, "larger than 12 bytes"},
		"large, chunked":  {io.MultiReader(strings.NewReader(`{"A": 123456}`)), jsonType, DecodeLimits{MaxBytes: 12}, 413, "larger than 12 bytes"},
		"large by far":    {strings.NewReader(strings.Repeat(" ", maxBodyBytes+1)), jsonType, DecodeLimits{}, 413, "larger than 65536 bytes"},
		"as deep as may":  {strings.NewReader(nested(32)), jsonType, DecodeLimits{}, 0, ""},
		"deep":            {strings.NewReader(nested(33)), jsonType, DecodeLimits{}, 400, "nested more than 32 deep"},
		"deep by option":  {strings.NewReader(nested(3)), jsonType, DecodeLimits{MaxDepth: 2}, 400, "nested more than 2 deep"},
		"twice":           {strings.NewReader(`{"A":1,"I":{},"\u0041":2}`), jsonType, DecodeLimits{}, 400, `"A\" stands twice`},
		"twice, deep":     {strings.NewReader(`{"I":{"B":[{"x":{"y":1}},{"x":[],"x":{}}]}}`), jsonType, DecodeLimits{}, 400, `"x\" stands twice`},
		"unknown":         {strings.NewReader(`{"C":1}`), jsonType, DecodeLimits{}, 400, `unknown field`},
		"another kind":    {strings.NewReader(`{"I":{"B":"x"}}`), jsonType, DecodeLimits{}, 400, "cannot be a JSON string"},
		"something else":  {strings.NewReader(`{} []`), jsonType, DecodeLimits{}, 400, "something follows"},
		"no JSON":         {strings.NewReader(`{"A`), jsonType, DecodeLimits{}, 400, "the body cannot be read"},
		"broken off":      {iotest.ErrReader(errors.New("reset")), jsonType, DecodeLimits{}, 400, "ended early"},
		"overloaded":      {overloaded, jsonType, DecodeLimits{}, 503, "as much memory as they may"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", c.body)
		r.Header.Set("Content-Type", c.kind)
		w := httptest.NewRecorder()
		var into struct {
			A any
			I inner
		}
		good := DecodeJSON(w, r, &into, c.limits)
		if good != (c.status == 0) {
			t.Errorf("%s: good is %v: %d %s", name, good, w.Code, w.Body)
			continue
		}
		if !good {
			says := strings.ReplaceAll(c.says, `"`, ``)
			wantProblem(t, w, c.status, "")
			if got := strings.ReplaceAll(w.Body.String(), `"`, ``); !strings.Contains(got, says) {
				t.Errorf("%s: the answer is %s, want %s in it", name, got, says)
			}
			if (w.Header().Get("Retry-After") != "") != (c.status == 503) {
				t.Errorf("%s: Retry-After: %s", name, w.Header().Get("Retry-After"))
			}
		}
	}
}

// depthByTokens is jsonDepth by another way: the decoder's tokens.
func depthByTokens(t *testing.T, document []byte) (deepest int) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(document))
	depth := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return deepest
		}
		if err != nil {
			t.Fatalf("%v: %q", err, document)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// repeatedByValues is repeatedName by another way: every object is read into raw values, by its braces.
func repeatedByValues(t *testing.T, document json.RawMessage) bool {
	t.Helper()
	document = bytes.TrimSpace(document)
	switch {
	case document[0] == '[':
		var elements []json.RawMessage
		if err := json.Unmarshal(document, &elements); err != nil {
			t.Fatal(err)
		}
		for _, e := range elements {
			if repeatedByValues(t, e) {
				return true
			}
		}
	case document[0] == '{':
		decoder := json.NewDecoder(bytes.NewReader(document))
		if _, err := decoder.Token(); err != nil {
			t.Fatal(err)
		}
		var names []string
		for decoder.More() {
			name, err := decoder.Token()
			if err != nil {
				t.Fatal(err)
			}
			var value json.RawMessage
			if err := decoder.Decode(&value); err != nil {
				t.Fatal(err)
			}
			for _, before := range names {
				if before == name {
					return true
				}
			}
			names = append(names, name.(string))
			if repeatedByValues(t, value) {
				return true
			}
		}
	}
	return false
}

func FuzzDocumentShape(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[[[]]]`, `{"a":{"b":[1,2,{"c":"}]"}]}}`, `"[[["`, `"\"[["`, `{"a\\":[["]"]]}`, `]]][[[`, `{"a":1,"a":2}`, `[{"a":1},{"a":1}]`,
		`{"a":{"a":1}}`, `{"a":[],"b":"a","\u0061":0}`, `{"x":"x","y":"x"}`, `{"":{"":1},"b":{"":1}}`, `{"a":1`, `{"a"`, `{{`, `nul`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		depth := jsonDepth(document)
		_, twice := repeatedName(document)
		if depth < 0 || depth > len(document) {
			t.Errorf("%q has a depth of %d", document, depth)
		}
		if !json.Valid(document) {
			return
		}
		if want := depthByTokens(t, document); depth != want {
			t.Errorf("%q has a depth of %d, want %d", document, depth, want)
		}
		if want := repeatedByValues(t, document); twice != want {
			t.Errorf("%q has a name twice: %v, want %v", document, twice, want)
		}
	})
}
