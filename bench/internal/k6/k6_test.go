package k6

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseSummary(t *testing.T) {
	metrics, err := parseSummary([]byte(`{"metrics": {"checks": {"passes": 1, "fails": 1, "value": 0.5, "thresholds": {"rate==1": true}},
		"http_reqs": {"count": 67}, "http_req_duration{kind:read}": {"p(99)": 1.5}}, "root_group": {"name": ""}}`))
	if err != nil || metrics["http_reqs"]["count"] != 67 || metrics["http_req_duration{kind:read}"]["p(99)"] != 1.5 || metrics["checks"]["value"] != 0.5 {
		t.Errorf("%v, %v", metrics, err)
	}
	for _, text := range []string{"", "{}", `{"metrics": 1}`} {
		if metrics, err := parseSummary([]byte(text)); err == nil {
			t.Errorf("%q: %v, want an error", text, metrics)
		}
	}
}

// FuzzParseSummary: whatever the file is, it is read or refused.
func FuzzParseSummary(f *testing.F) {
	f.Add([]byte(`{"metrics":{"http_reqs":{"count":1}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if metrics, err := parseSummary(text); err == nil && len(metrics) == 0 {
			t.Error("neither metrics nor an error")
		}
	})
}

// TestInstall does not build k6, which takes minutes: `make load` does. What was built before is found, and which version
// that must be is read from the module that pins it.
func TestInstall(t *testing.T) {
	cache := t.TempDir()
	tools := filepath.Join("..", "..", "..", "tools", "k6")
	pinned, err := os.ReadFile(filepath.Join(tools, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(string(pinned), module+" v")
	version, _, _ = strings.Cut("v"+version, " ")
	file := filepath.Join(cache, "k6-"+version, "k6")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	var progress bytes.Buffer
	p, err := Install(t.Context(), tools, cache, &progress)
	if err != nil || p.file != file || p.Version != version || progress.Len() > 0 {
		t.Errorf("%+v, %v, %q", p, err, progress.String())
	}
	if _, err := Install(t.Context(), t.TempDir(), cache, &progress); err == nil {
		t.Error("a directory that pins nothing: want an error")
	}
}
