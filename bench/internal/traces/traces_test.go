package traces

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const recordedDir = "../../testdata/traces"

// TestAllAreAlwaysTheSame: figures of different days are of the same traces.
func TestAllAreAlwaysTheSame(t *testing.T) {
	all, err := All(recordedDir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := All(recordedDir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(all, again) {
		t.Error("two calls have different traces")
	}
	if len(all) != 6 {
		t.Errorf("%d traces", len(all))
	}
	for _, trace := range all {
		distinct := map[uint64]bool{}
		for _, key := range trace.Keys {
			distinct[key] = true
		}
		if trace.Name == "" || len(trace.Keys) < 5000 || trace.Capacity >= len(distinct) || trace.Capacity < 10 {
			t.Errorf("%s: %d requests of %d keys, %d entries", trace.Name, len(trace.Keys), len(distinct), trace.Capacity)
		}
	}
}

func TestReadTellsWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	if _, err := All(dir); err == nil {
		t.Error("no files: want an error")
	}
	write := func(name, text string) string {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		packed := gzip.NewWriter(file)
		if _, err := packed.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := packed.Close(); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		return file.Name()
	}
	if _, err := read(write("wrong", "1\ntwo\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a word: %v", err)
	}
	if trace, err := read(write("right", strings.Repeat("1\n2\n3\n", 5))); err != nil || len(trace.Keys) != 15 || trace.Capacity != 1 {
		t.Errorf("%+v, %v", trace, err)
	}
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := read(plain); err == nil {
		t.Error("a file that is not packed: want an error")
	}
}
