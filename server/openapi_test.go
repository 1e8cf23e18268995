package server_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v4"

	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/server"
)

//go:generate go test -count=1 -run TestOpenAPI -update .

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write openapi.yaml anew")

const (
	documentFile = "openapi.yaml"
	overlayFile  = "openapi.service.yaml"
	head         = "# Made from memhttp/openapi.yaml and server/" + overlayFile + " by make generate; changes belong there.\n"
)

// TestOpenAPI makes the service's document from the library's and compares it with the one kept, which -update writes
// anew.
func TestOpenAPI(t *testing.T) {
	overlay, err := os.ReadFile(overlayFile)
	if err != nil {
		t.Fatal(err)
	}
	document := parseYAML(t, memhttp.OpenAPI())
	lay(document, parseYAML(t, overlay))
	body, err := yaml.Dump(document, yaml.WithIndent(2), yaml.WithLineWidth(-1), yaml.WithCompactSeqIndent(false))
	if err != nil {
		t.Fatal(err)
	}
	made := append([]byte(head), body...)
	if *update {
		if err := os.WriteFile(documentFile, made, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(server.OpenAPI(), made) {
		t.Errorf("%s is not what memhttp/openapi.yaml and %s make: run make generate", documentFile, overlayFile)
	}
}

// parseYAML returns the mapping at the root of a document.
func parseYAML(t *testing.T, text []byte) *yaml.Node {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		t.Fatal("the document is not a mapping")
	}
	return root.Content[0]
}

// lay merges a mapping over another: mappings are merged by key, everything else takes the place of what was there.
func lay(under, over *yaml.Node) {
	for i := 0; i < len(over.Content); i += 2 {
		key, value := over.Content[i], over.Content[i+1]
		at := -1
		for j := 0; j < len(under.Content); j += 2 {
			if under.Content[j].Value == key.Value {
				at = j + 1
			}
		}
		switch {
		case at < 0:
			under.Content = append(under.Content, key, value)
		case under.Content[at].Kind == yaml.MappingNode && value.Kind == yaml.MappingNode:
			lay(under.Content[at], value)
		default:
			under.Content[at] = value
		}
	}
}

func TestLay(t *testing.T) {
	under := parseYAML(t, []byte("a: {b: 1, c: [1, 2]}\nd: x\n"))
	lay(under, parseYAML(t, []byte("a: {c: [3], e: 4}\nf: {g: 5}\n")))
	made, err := yaml.Marshal(under)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := yaml.Unmarshal(made, &got); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte("{a: {b: 1, c: [3], e: 4}, d: x, f: {g: 5}}"), &want); err != nil {
		t.Fatal(err)
	}
	if gotText, wantText := mustMarshal(t, got), mustMarshal(t, want); gotText != wantText {
		t.Errorf("made %s, want %s", gotText, wantText)
	}
}

func mustMarshal(t *testing.T, value any) string {
	t.Helper()
	text, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
