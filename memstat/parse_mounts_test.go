package memstat

import (
	"strings"
	"testing"
)

func TestParseGroup(t *testing.T) {
	const text = "12:cpu,cpuacct:/a\n5:memory:/docker/x:y\n1:name=systemd:/s\n0::/unified\n"
	for controller, want := range map[string]string{"memory": "/docker/x:y", "cpu": "/a", "cpuacct": "/a", "": "/unified"} {
		if got, ok := parseGroup([]byte(text), controller); !ok || got != want {
			t.Errorf("parseGroup(%q) = %q, %v; want %q", controller, got, ok, want)
		}
	}
	for _, text := range []string{"", "5:cpuset:/a\n", "5:memory:\n", "5:memory\n", "memory\n", "5:memory:relative\n",
		"5:memory:/a (deleted)\n", "0::/a\n"} {
		if got, ok := parseGroup([]byte(text), "memory"); ok {
			t.Errorf("parseGroup(%q) = %q; want none", text, got)
		}
	}
	if got, ok := parseGroup([]byte("0::/a (deleted)\n"), ""); ok {
		t.Errorf("a removed group: got %q; want none", got)
	}
}

func TestParsePlaces(t *testing.T) {
	v1 := func(root, point string) string { return mount(root, point, "cgroup", ",memory") }
	v2 := func(root, point string) string { return mount(root, point, "cgroup2", ",nsdelegate") }
	for _, c := range []struct {
		name       string
		text       string
		controller string
		group      string
		want       string
	}{
		{"whole hierarchy", v1("/", "/cg/memory"), "memory", "/a/b", "/cg/memory|/a/b"},
		{"root group", v2("/", "/cg"), "", "/", "/cg|"},
		{"container without a namespace", v1("/docker/abc", "/cg/memory"), "memory", "/docker/abc", "/cg/memory|"},
		{"group below a container", v1("/docker/abc", "/cg/memory"), "memory", "/docker/abc/sub", "/cg/memory|/sub"},
		{"group of another container", v1("/docker/abc", "/cg/memory"), "memory", "/docker/abcd", ""},
		{"group outside the mount", v1("/docker/abc", "/cg/memory"), "memory", "/", ""},
		{"outside the namespace", v2("/", "/cg"), "", "/../other", ""},
		{"outside, by its own mount", v2("/../other", "/cg"), "", "/../other/x", "/cg|/x"},
		{"climbing out", v2("/a", "/cg"), "", "/a/../b", ""},
		{"most parents first", v1("/a/b", "/near") + v1("/", "/far"), "memory", "/a/b/c", "/far|/a/b/c /near|/c"},
		{"mounted over", v2("/", "/cg") + v2("/x", "/cg"), "", "/x/y", "/cg|/y"},
		{"mounted over by one that does not show it", v2("/", "/cg") + v2("/x", "/cg"), "", "/z", ""},
		{"other controller", mount("/", "/cg/cpu", "cgroup", ",cpu,cpuacct"), "memory", "/", ""},
		{"cgroup2 is no controller's", v2("/", "/cg"), "memory", "/", ""},
		{"escaped", mount(`/a\040b`, `/c\134g`, "cgroup2", ""), "", "/a b/c", `/c\g|/c`},
		{"not escaped", mount(`/a\04`, `/cg`, "cgroup2", ""), "", `/a\04`, `/cg|`},
		{"broken lines", "x\n1 2 3 - cgroup2 c rw\n1 2 3 relative /cg rw - cgroup2 c rw\n 1 2 3 / /cg rw cgroup2\n", "", "/", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, p := range parsePlaces([]byte(c.text), c.controller, c.group) {
				got = append(got, p.mount+"|"+p.below)
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

// FuzzPlaces asserts that no group ever leads out of the mount that it is found in.
func FuzzPlaces(f *testing.F) {
	f.Add("5:memory:/docker/abc\n0::/x\n", mount("/docker", "/cg", "cgroup", ",memory"))
	f.Add("0::/../a/b\n", mount("/../a", "/sys/fs/cgroup", "cgroup2", ""))
	f.Add("0::/a b\n", mount(`/a\040b`, `/c\777`, "cgroup2", ""))
	f.Fuzz(func(t *testing.T, groups, mounts string) {
		for _, controller := range []string{"", "memory"} {
			group, ok := parseGroup([]byte(groups), controller)
			if !ok {
				continue
			}
			for _, p := range parsePlaces([]byte(mounts), controller, group) {
				bad := p.below != "" && p.below[0] != '/' || strings.Contains(p.below+"/", "/../") || !strings.HasPrefix(p.mount, "/")
				if bad {
					t.Errorf("group %q in %q: place %+v", group, mounts, p)
				}
			}
		}
	})
}
