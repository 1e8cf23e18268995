package gotype

import "testing"

func TestReflectName(t *testing.T) {
	table := &Table{dwarf: &dwarfData{packages: map[string]string{"gopkg.in/yaml.v3": "yaml", "a.b/c/v2": "c"}}}
	for _, c := range []struct{ debug, name, path string }{
		{"int", "int", ""},
		{"main.Session", "main.Session", "main"},
		{"net/http.Server", "http.Server", "net/http"},
		{"*net/http.Server", "*http.Server", ""},
		{"map[string]*net/http.Server", "map[string]*http.Server", ""},
		{"map[a.b/c/v2.K][]gopkg.in/yaml%2ev3.Node", "map[c.K][]yaml.Node", ""},
		{"gopkg.in/yaml%2ev3.Node", "yaml.Node", "gopkg.in/yaml.v3"},
		{"gopkg.in/other%2ev3.Node", "other.v3.Node", "gopkg.in/other.v3"},
		{"main.Cache[string,*net/http.Server]", "main.Cache[string,*net/http.Server]", "main"},
		{"[]a.b/c/v2.Pair[int,[]x/y.Z]", "[]c.Pair[int,[]x/y.Z]", ""},
		{"func(x/y.A, ...x/y.B) (x/y.C, error)", "func(y.A, ...y.B) (y.C, error)", ""},
		{"struct { x/y.a int; B x/y.B; x/y.C; *x/y.D \"k:\\\"x/y.Z\\\"\"; E x/y.E \"x/y.T;}\" }",
			"struct { a int; B y.B; y.C; *y.D \"k:\\\"x/y.Z\\\"\"; E y.E \"x/y.T;}\" }", ""},
		{"struct { x/y.A \"tag\" }", "struct { y.A \"tag\" }", ""},
		{"struct { F func(struct { x/y.g x/y.T }); x/y.h interface { M(x/y.T) } }",
			"struct { F func(struct { g y.T }); h interface { M(y.T) } }", ""},
		{"interface { x/y.m(); N() }", "interface { y.m(); N() }", ""},
		{"chan<- x/y.T", "chan<- y.T", ""},
		{"noalg.map.group[string]x/y.T", "map.group[string]y.T", ""},
		{"noalg.[8]struct { key string; elem x/y.T }", "[8]struct { key string; elem y.T }", ""},
		{"main.local·1", "main.local", "main"},
		{"go.shape.int", "go.shape.int", "go.shape"},
		{"main.broken[", "main.broken[", "main"},
		{"struct { \"unclosed", "struct { \"unclosed", ""},
		{"}};[", "}};[", ""},
		{"x/y%2.T", "y%2.T", "x/y%2"},
		{"", "", ""},
	} {
		if got := table.reflectName(c.debug); got.name != c.name || got.path != c.path {
			t.Errorf("%s: %q in %q, want %q in %q", c.debug, got.name, got.path, c.name, c.path)
		}
	}
	for name, want := range map[string]string{
		"sync.Mutex": "Mutex", "*x/y.T": "T", "T": "T", "x/y.G[a/b.C]": "G", "int": "int", "internal/sync.isEntry": "isEntry",
	} {
		if got := embeddedName(name); got != want {
			t.Errorf("%s is embedded as %s, want %s", name, got, want)
		}
	}
}

func TestNameFits(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  uint8
		named bool
		want  bool
	}{
		{"*main.T", 22, false, true}, {"main.T", 22, true, true}, {"main.T", 22, false, false}, {"[]int", 23, false, true},
		{"[3]int", 17, false, true}, {"chan int", 18, false, true}, {"<-chan int", 18, false, true}, {"map[int]int", 21, false, true},
		{"func()", 19, false, true}, {"interface {}", 20, false, true}, {"struct {}", 25, false, true}, {"int", 2, false, true},
		{"", 2, false, false}, {"", 25, true, false}, {"9", 2, true, false}, {"Ünï.T", 25, true, true}, {"_x.T", 25, true, true},
		{"noalg.struct { F uintptr }", 25, false, true}, {"int", 25, false, false},
	} {
		if got := nameFits(c.name, snapshotKind(c.kind), c.named); got != c.want {
			t.Errorf("%q of kind %d, named: %v: %v", c.name, c.kind, c.named, got)
		}
	}
}
