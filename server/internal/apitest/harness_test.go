// Package apitest holds what the service's documents say of its API against what it does: every answer that the tests
// get is validated against the OpenAPI document, and every answer and field that the document has must have been seen.
package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/memwarden/memwarden/server"
)

// token is the admin token of every server here that has one.
const token = "correct horse battery staple"

// loadDocument reads a document and validates it.
func loadDocument(t *testing.T, text []byte) *openapi3.T {
	t.Helper()
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	// Examples of streams are no single values.
	if err := document.Validate(loader.Context, openapi3.DisableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	return document
}

// book keeps what was seen of a document.
type book struct {
	document   *openapi3.T
	answers    map[string]bool              // "GET /livez 200"
	parameters map[*openapi3.Parameter]bool // sent with a request that was answered well
	fields     map[field]bool
}

// field is a property of an object in the document.
type field struct {
	of   *openapi3.Schema
	name string
}

func newBook(t *testing.T) *book {
	return &book{
		document: loadDocument(t, server.OpenAPI()), answers: map[string]bool{},
		parameters: map[*openapi3.Parameter]bool{}, fields: map[field]bool{},
	}
}

// request is what a test sends. Its operation names the documented one: "POST /api/…/{name}/run".
type request struct {
	operation string
	path      string // where the operation has names in it, or a query
	body      string
	kind      string // Content-Type; JSON where there is a body
	header    []string
	user      string // HTTP Basic with the password instead of a bearer token
	token     string
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// into decodes the answer's JSON.
func (a answer) into(t *testing.T, value any) {
	t.Helper()
	if err := json.Unmarshal(a.body, value); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}

// target is a server under test.
type target struct {
	*book
	url    string
	client *http.Client
}

// send sends a request, validates the answer against the operation's documentation and checks its status.
func (s target) send(t *testing.T, want int, r request) answer {
	t.Helper()
	method, template, _ := strings.Cut(r.operation, " ")
	path := r.path
	if path == "" {
		path = template
	}
	q := s.prepare(t, method, path, r)
	response, err := s.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := answer{response.StatusCode, response.Header, body}
	if got.status != want {
		t.Errorf("%s %s: status %d, want %d: %s", method, path, got.status, want, body)
	}
	s.validate(t, q, method, template, got)
	return got
}

func (s target) prepare(t *testing.T, method, path string, r request) *http.Request {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if r.kind != "" {
		q.Header.Set("Content-Type", r.kind)
	} else if r.body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(r.header); i += 2 {
		q.Header.Set(r.header[i], r.header[i+1])
	}
	if r.user != "" {
		q.SetBasicAuth(r.user, r.token)
	} else if r.token != "" {
		q.Header.Set("Authorization", "Bearer "+r.token)
	}
	return q
}

// validate holds an answer against the documentation of its operation and takes note of what was seen.
func (s target) validate(t *testing.T, q *http.Request, method, template string, got answer) {
	t.Helper()
	item := s.document.Paths.Value(template)
	if item == nil || item.GetOperation(method) == nil {
		t.Errorf("%s %s is not documented", method, template)
		return
	}
	operation := item.GetOperation(method)
	input := &openapi3filter.RequestValidationInput{
		Request: q, PathParams: pathParams(template, q.URL.Path), QueryParams: q.URL.Query(),
		Route:   &routers.Route{Spec: s.document, Path: template, PathItem: item, Method: method, Operation: operation},
		Options: &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: authenticate},
	}
	where := fmt.Sprintf("%s %s answered %d", method, q.URL.RequestURI(), got.status)
	result := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: got.status, Header: got.header, Options: input.Options}
	result.SetBodyBytes(got.body)
	if err := openapi3filter.ValidateResponse(t.Context(), result); err != nil {
		t.Errorf("%s, which is not as documented: %v\n%s", where, err, got.body)
		return
	}
	documented := operation.Responses.Status(got.status).Value
	checkHeaders(t, where, documented, got)
	s.answers[fmt.Sprintf("%s %s %d", method, template, got.status)] = true
	if content := documented.Content.Get(got.header.Get("Content-Type")); content != nil && content.Schema != nil && isJSON(got.header) {
		s.mark(content.Schema.Value, decode(t, got.body))
	}
	if got.status < 300 {
		s.checkRequest(t, where, input)
	}
}

// checkRequest holds a request that was answered well against the documentation, and takes note of its parameters.
func (s target) checkRequest(t *testing.T, where string, input *openapi3filter.RequestValidationInput) {
	t.Helper()
	body := input.Request.Body
	if input.Request.GetBody != nil {
		var err error
		if body, err = input.Request.GetBody(); err != nil {
			t.Fatal(err)
		}
	}
	input.Request.Body = body
	if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
		t.Errorf("%s to a request that is not as documented: %v", where, err)
	}
	query := input.Request.URL.Query()
	for _, p := range input.Route.Operation.Parameters {
		sent := p.Value.In == openapi3.ParameterInPath || p.Value.In == openapi3.ParameterInQuery && query.Has(p.Value.Name) ||
			p.Value.In == openapi3.ParameterInHeader && input.Request.Header.Get(p.Value.Name) != ""
		if sent {
			s.parameters[p.Value] = true
		}
		query.Del(p.Value.Name)
	}
	if len(query) > 0 {
		t.Errorf("%s to a query that is not documented: %v", where, query)
	}
}

// authenticate accepts what the document says of a request's credentials if there are some: the server has decided.
func authenticate(_ context.Context, input *openapi3filter.AuthenticationInput) error {
	header := input.RequestValidationInput.Request.Header.Get("Authorization")
	if scheme, _, _ := strings.Cut(header, " "); !strings.EqualFold(scheme, input.SecurityScheme.Scheme) {
		return fmt.Errorf("no %s credentials in %q", input.SecurityScheme.Scheme, header)
	}
	return nil
}

// everywhere are the headers that any answer may have; the document's first section names ours among them.
var everywhere = []string{
	"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Cache-Control", "Connection", "Content-Length", "Content-Security-Policy", "Content-Type", "Date", "Referrer-Policy",
	"Vary", "X-Content-Type-Options", "X-Frame-Options",
}

// checkHeaders wants every header documented, those that every answer has, and the status in a problem.
func checkHeaders(t *testing.T, where string, documented *openapi3.Response, got answer) {
	t.Helper()
	for name := range got.header {
		known := slices.Contains(everywhere, name)
		for of := range documented.Headers {
			known = known || http.CanonicalHeaderKey(of) == name
		}
		if !known {
			t.Errorf("%s with the header %s, which is not documented", where, name)
		}
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	} {
		if value := got.header.Get(name); value != want {
			t.Errorf("%s with %s: %q, want %q", where, name, value, want)
		}
	}
	if kind := got.header.Get("Content-Type"); kind == "application/problem+json" {
		var p struct{ Status int }
		got.into(t, &p)
		if p.Status != got.status {
			t.Errorf("%s with a problem of status %d", where, p.Status)
		}
	}
}

func isJSON(header http.Header) bool { return strings.HasSuffix(header.Get("Content-Type"), "json") }

// decode reads JSON into plain Go values.
func decode(t *testing.T, text []byte) any {
	t.Helper()
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return value
}

// pathParams finds the names of a template in a path.
func pathParams(template, path string) map[string]string {
	found := map[string]string{}
	parts := strings.Split(path, "/")
	for i, part := range strings.Split(template, "/") {
		if strings.HasPrefix(part, "{") && i < len(parts) {
			name, err := url.PathUnescape(parts[i])
			if err == nil {
				found[strings.Trim(part, "{}")] = name
			}
		}
	}
	return found
}

// mark takes note of the documented fields of a value.
func (b *book) mark(schema *openapi3.Schema, value any) {
	for _, one := range schema.OneOf {
		if one.Value.VisitJSON(value) == nil {
			b.mark(one.Value, value)
		}
	}
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			if property := schema.Properties[name]; property != nil {
				b.fields[field{schema, name}] = true
				b.mark(property.Value, inner)
			} else if schema.AdditionalProperties.Schema != nil {
				b.mark(schema.AdditionalProperties.Schema.Value, inner)
			}
		}
	case []any:
		for _, inner := range value {
			b.mark(schema.Items.Value, inner)
		}
	}
}

// unseen lists what the document has and no test has seen.
func (b *book) unseen() []string {
	var list []string
	for path, item := range b.document.Paths.Map() {
		for method, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				if name := fmt.Sprintf("%s %s %s", method, path, status); !b.answers[name] {
					list = append(list, name)
				}
			}
			for _, p := range operation.Parameters {
				if !b.parameters[p.Value] {
					list = append(list, fmt.Sprintf("%s %s parameter %s", method, path, p.Value.Name))
				}
			}
		}
	}
	for name, schema := range b.document.Components.Schemas {
		list = append(list, b.unseenFields(name, schema.Value)...)
	}
	slices.Sort(list)
	return list
}

func (b *book) unseenFields(at string, schema *openapi3.Schema) []string {
	var list []string
	for name, property := range schema.Properties {
		path := at + "." + name
		if !b.fields[field{schema, name}] {
			list = append(list, path)
		} else if property.Ref == "" {
			list = append(list, b.unseenFields(path, property.Value)...)
		}
	}
	if schema.Items != nil && schema.Items.Ref == "" {
		list = append(list, b.unseenFields(at, schema.Items.Value)...)
	}
	return list
}
