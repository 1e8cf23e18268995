package apitest

import (
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/history"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/server"
	"github.com/memwarden/memwarden/settings"
)

// serviceRoutes are the routes that the service has besides the library's.
var serviceRoutes = []memhttp.Route{{Method: "GET", Path: "/", Access: memhttp.Probe, Summary: "The routes of this service"}}

// TestDocumentsHaveTheRoutes: each route is documented with its summary and its access, and nothing else is.
func TestDocumentsHaveTheRoutes(t *testing.T) {
	for _, c := range []struct {
		name   string
		text   []byte
		routes []memhttp.Route
	}{
		{"memhttp/openapi.yaml", memhttp.OpenAPI(), memhttp.Routes()},
		{"server/openapi.yaml", server.OpenAPI(), append(memhttp.Routes(), serviceRoutes...)},
	} {
		document := loadDocument(t, c.text)
		left := map[string]*openapi3.Operation{}
		for path, item := range document.Paths.Map() {
			for method, operation := range item.Operations() {
				left[method+" "+path] = operation
			}
		}
		for _, route := range c.routes {
			name := route.Method + " " + route.Path
			operation := left[name]
			delete(left, name)
			if operation == nil {
				t.Errorf("%s does not have %s", c.name, name)
				continue
			}
			if !strings.HasPrefix(operation.Summary, route.Summary) {
				t.Errorf("%s: %s is summed up as %q, want %q", c.name, name, operation.Summary, route.Summary)
			}
			want := route.Access
			if want == memhttp.Public { // documented as probes are: neither asks for a token
				want = memhttp.Probe
			}
			if got := accessOf(operation); got != want.String() {
				t.Errorf("%s: %s is documented for %s, want %s", c.name, name, got, want)
			}
			checkStatuses(t, c.name+": "+name, operation, route)
		}
		for name := range left {
			t.Errorf("%s has %s, which is no route", c.name, name)
		}
	}
}

// accessOf tells by the documented security who may use an operation.
func accessOf(operation *openapi3.Operation) string {
	if operation.Security == nil {
		return "nobody knows"
	}
	var schemes []string
	for _, requirement := range *operation.Security {
		names := make([]string, 0, len(requirement))
		for name := range requirement {
			names = append(names, name)
		}
		schemes = append(schemes, strings.Join(names, "+"))
	}
	switch strings.Join(schemes, ",") {
	case "":
		if len(schemes) == 0 {
			return "probe"
		}
	case ",bearer,basic":
		return "read"
	case "bearer,basic":
		return "admin"
	}
	return strings.Join(schemes, ",")
}

// checkStatuses wants the answers that follow from the access.
func checkStatuses(t *testing.T, name string, operation *openapi3.Operation, route memhttp.Route) {
	t.Helper()
	want := []int{200}
	switch {
	case route.Method == "DELETE" || route.Method == "OPTIONS":
		want = []int{204}
	case route.Method == "POST" && (route.Path == snapshots || route.Path == incidents || route.Path == frontend):
		want = []int{201}
	}
	switch route.Access {
	case memhttp.Public:
		want = append(want, 400, 429)
	case memhttp.Read:
		want = append(want, 400, 401, 429)
		if route.Path != "/metrics" { // which is always answered
			want = append(want, 413, 503)
		}
	case memhttp.Admin:
		want = append(want, 400, 401, 403, 429)
	}
	if operation.RequestBody != nil {
		want = append(want, 413, 415)
	}
	for _, status := range want {
		if operation.Responses.Status(status) == nil {
			t.Errorf("%s: %d is not documented", name, status)
		}
	}
}

// TestDocumentDescribesAll: each parameter, answer and field says what it is.
func TestDocumentDescribesAll(t *testing.T) {
	document := loadDocument(t, server.OpenAPI())
	for name, ref := range document.Components.Schemas {
		eachField(name, ref.Value, func(path string, property *openapi3.SchemaRef, parent *openapi3.Schema) {
			described := property.Ref != "" || property.Value.Description != "" || len(property.Value.Enum) == 1
			if !described && !strings.HasPrefix(path, "ConfigPatch.") && path != "HealthEntry.status" {
				t.Errorf("%s is not described", path)
			}
			if len(parent.Properties) > 0 && parent.AdditionalProperties.Has == nil && parent.AdditionalProperties.Schema == nil && name != "LiveAuth" {
				t.Errorf("%s: its object does not say whether it may have other fields", path)
			}
			checkUnit(t, path, property.Value)
		})
	}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			for _, p := range operation.Parameters {
				if p.Value.Description == "" {
					t.Errorf("%s %s: parameter %s is not described", method, path, p.Value.Name)
				}
			}
		}
	}
}

// eachField visits every property of a schema that is written at its place.
func eachField(at string, schema *openapi3.Schema, visit func(path string, property *openapi3.SchemaRef, parent *openapi3.Schema)) {
	for name, property := range schema.Properties {
		visit(at+"."+name, property, schema)
		if property.Ref == "" {
			eachField(at+"."+name, property.Value, visit)
		}
	}
	if schema.Items != nil && schema.Items.Ref == "" {
		eachField(at, schema.Items.Value, visit)
	}
}

// checkUnit holds a figure's type against the unit in its name.
func checkUnit(t *testing.T, path string, schema *openapi3.Schema) {
	t.Helper()
	name := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case schema.Type == nil || schema.Type.Is("array"):
	case strings.HasSuffix(strings.TrimSuffix(name, "_total"), "_bytes"):
		if !schema.Type.Is("integer") || schema.Format != "int64" {
			t.Errorf("%s counts bytes: want integer, int64", path)
		}
	case strings.HasSuffix(name, "_seconds"), strings.HasSuffix(name, "_seconds_total"), strings.HasSuffix(name, "_ratio"):
		if !schema.Type.Is("number") || schema.Min == nil {
			t.Errorf("%s has seconds or a ratio: want number with a minimum", path)
		}
	case strings.HasSuffix(name, "_at"), strings.HasSuffix(name, "_until"):
		if schema.Format != "date-time" {
			t.Errorf("%s is a time: want date-time", path)
		}
	}
}

// TestDocumentNamesNoHost: neither a server's address nor a page elsewhere is part of it.
func TestDocumentNamesNoHost(t *testing.T) {
	if found := regexp.MustCompile(`[a-z]+://\S+`).FindString(string(server.OpenAPI())); found != "" {
		t.Errorf("the document names %s", found)
	}
	if document := loadDocument(t, server.OpenAPI()); len(document.Servers) > 0 || document.Info.License != nil {
		t.Error("the document names servers or a licence's address")
	}
}

// TestDocumentedConfig: fields, defaults and ranges are those of the table of settings.
func TestDocumentedConfig(t *testing.T) {
	document := loadDocument(t, server.OpenAPI())
	values, err := settings.Resolve(memwarden.ConfigSettings())
	if err != nil {
		t.Fatal(err)
	}
	table := memwarden.ConfigSettings()
	i := 0
	for _, group := range reflect.VisibleFields(reflect.TypeFor[memwarden.Config]()) {
		for _, f := range reflect.VisibleFields(group.Type) {
			if i == len(table) {
				t.Fatal("there are more fields than settings")
			}
			s := table[i]
			i++
			path := jsonName(group) + "." + jsonName(f)
			for _, name := range []string{"Config", "ConfigPatch"} {
				inner := document.Components.Schemas[name].Value.Properties[jsonName(group)]
				if inner == nil || inner.Value.Properties[jsonName(f)] == nil {
					t.Errorf("%s does not have %s", name, path)
					continue
				}
				property := inner.Value.Properties[jsonName(f)].Value
				if property.Nullable != (name == "ConfigPatch") {
					t.Errorf("%s.%s: nullable is %v", name, path, property.Nullable)
				}
				if s.Kind != settings.Bool && (!equal(property.Min, s.Min) || !equal(property.Max, s.Max)) {
					t.Errorf("%s.%s: from %v to %v, want %v to %v", name, path, deref(property.Min), deref(property.Max), s.Min, s.Max)
				}
				if name == "Config" && !reflect.DeepEqual(property.Default, defaultOf(values, s)) {
					t.Errorf("%s.%s: default %v, want %v", name, path, property.Default, defaultOf(values, s))
				}
			}
		}
	}
	if i != len(table) {
		t.Errorf("there are %d fields and %d settings", i, len(table))
	}
}

// defaultOf is a setting's default as a JSON document has it.
func defaultOf(values settings.Values, s settings.Setting) any {
	switch s.Kind {
	case settings.Bool:
		return values.Bool(s.Name)
	case settings.Duration:
		return values.Duration(s.Name).Seconds()
	case settings.Ratio:
		return values.Ratio(s.Name)
	default:
		return float64(values.Int(s.Name))
	}
}

func equal(bound *float64, want float64) bool { return bound != nil && math.Abs(*bound-want) < 1e-12 }

func deref(bound *float64) any {
	if bound == nil {
		return "nothing"
	}
	return *bound
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// TestDocumentedSample: the document has every figure of a sample and of a point of the history, and no other.
func TestDocumentedSample(t *testing.T) {
	schemas := loadDocument(t, server.OpenAPI()).Components.Schemas
	stats := schemas["Stats"].Value
	for _, group := range reflect.VisibleFields(reflect.TypeFor[memstat.Sample]()) {
		property := stats.Properties[jsonName(group)]
		if property == nil {
			t.Errorf("Stats does not have %s", jsonName(group))
			continue
		}
		if jsonName(group) == "at" {
			continue
		}
		var want []string
		for _, f := range reflect.VisibleFields(group.Type) {
			want = append(want, jsonName(f))
		}
		sameNames(t, "Stats."+jsonName(group), property.Value, want)
	}
	var parent []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[memstat.Parent]()) {
		parent = append(parent, jsonName(f))
	}
	sameNames(t, "CgroupParent", schemas["CgroupParent"].Value, parent)
	sameNames(t, "History.columns", schemas["History"].Value.Properties["columns"].Value, history.Columns())
}

func sameNames(t *testing.T, what string, schema *openapi3.Schema, want []string) {
	t.Helper()
	var got []string
	for name := range schema.Properties {
		got = append(got, name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s has\n%v\nwant\n%v", what, got, want)
	}
}

// TestValidationSeesWhatIsNotDocumented: a field more than the document has makes an answer another than the documented.
func TestValidationSeesWhatIsNotDocumented(t *testing.T) {
	schemas := loadDocument(t, server.OpenAPI()).Components.Schemas
	for name, value := range map[string]map[string]any{
		"Owner":     {"name": "history"},
		"Problem":   {"type": "urn:memwarden:problem:internal", "title": "x", "status": 500.0, "detail": "x"},
		"GCFigures": {},
	} {
		if err := schemas[name].Value.VisitJSON(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		value["not_documented"] = 1.0
		if err := schemas[name].Value.VisitJSON(value); err == nil {
			t.Errorf("%s may have fields that are not documented", name)
		}
	}
}
