package gobench

import (
	"reflect"
	"testing"
)

const output = `goos: linux
pkg: github.com/memwarden/memwarden/memstat
BenchmarkSample-2         	 1995093	       603.7 ns/op	       0 B/op	       0 allocs/op
BenchmarkSample-2         	 1995000	       600 ns/op	       0 B/op	       0 allocs/op
BenchmarkParse/empty-name 	     100	      1e+03 ns/op	  12.5 MB/s
BenchmarkNamedOnly
PASS
ok  	github.com/memwarden/memwarden/memstat	5.1s
`

func TestParse(t *testing.T) {
	results, err := Parse([]byte(output))
	if err != nil {
		t.Fatal(err)
	}
	want := []Result{
		{"BenchmarkSample", map[string]float64{"ns/op": 603.7, "B/op": 0, "allocs/op": 0}},
		{"BenchmarkSample", map[string]float64{"ns/op": 600, "B/op": 0, "allocs/op": 0}},
		{"BenchmarkParse/empty-name", map[string]float64{"ns/op": 1000, "MB/s": 12.5}},
	}
	if !reflect.DeepEqual(results, want) {
		t.Errorf("got %v, want %v", results, want)
	}
	if values := Values(results, "BenchmarkSample", "ns/op"); !reflect.DeepEqual(values, []float64{603.7, 600}) {
		t.Errorf("values %v", values)
	}
	if _, err := Parse([]byte("BenchmarkX 1 two ns/op\n")); err == nil {
		t.Error("a figure that is no number: want an error")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(output))
	f.Fuzz(func(t *testing.T, out []byte) {
		results, err := Parse(out)
		for _, r := range results {
			if err != nil || r.Name == "" || len(r.Figures) == 0 {
				t.Errorf("%v with error %v", r, err)
			}
		}
	})
}
