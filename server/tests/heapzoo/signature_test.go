//go:build linux

package heapzoo

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestSignatures takes two snapshots of a case in one build, with different numbers of what it is about, and one in each
// other build: its suspects must have the same signatures in all of them. Those of stripped builds are compared among
// themselves: there is no name of a variable in them. What is the runtime's own differs from one toolchain to the next, and
// in a stripped program its types are not always known. Without -long a few cases are looked at, with their symbols.
func TestSignatures(t *testing.T) {
	for _, stripped := range []bool{false, true} {
		if stripped && !*long {
			break
		}
		builds := signatureBuilds(t, stripped)
		t.Run(builds[0].name, func(t *testing.T) {
			t.Parallel()
			for _, w := range wants {
				if !*long && !slices.Contains(signatureCases, w.name) {
					continue
				}
				t.Run(w.name, func(t *testing.T) {
					size := w.size()
					first := signatures(t, builds[0], w.name, size)
					if len(first) < len(w.suspects) {
						t.Fatalf("suspects %q, want %d", first, len(w.suspects))
					}
					compareSignatures(t, "another run", signatures(t, builds[0], w.name, size+size/5), first, !stripped)
					for _, build := range builds[1:] {
						if w.name == "sync-pool" && slices.Contains(build.flags, "-race") {
							continue // the pool drops some of what it gets
						}
						compareSignatures(t, build.name, signatures(t, build, w.name, size), first, !stripped && build.toolchain == "")
					}
				})
			}
		})
	}
}

// signatureCases are those that are looked at without -long: a map in a field, and two lists in variables.
var signatureCases = []string{"map-of-structs", "generics"}

// signatureBuilds are builds that differ: the program itself is compiled with and without optimizations, or with -long
// all modes.
func signatureBuilds(t *testing.T, stripped bool) []mode {
	builds := []mode{{name: "default"}, {name: "debug", flags: []string{"-gcflags=-N -l"}}}
	if stripped {
		for i, m := range builds {
			builds[i] = mode{name: m.name + " stripped", flags: append(m.flags, stripping), stripped: true}
		}
	}
	if *long {
		builds = append(builds, slices.DeleteFunc(modes(t), func(m mode) bool { return m.stripped != stripped })...)
	}
	return builds
}

// signatures are those of the suspects of a case, each with what it was made of.
func signatures(t *testing.T, m mode, name string, size int) []string {
	t.Helper()
	pid, _ := start(t, m.zoo(t), name, size)
	var list []string
	for _, s := range capture(t, pid).Suspects {
		path := slices.Clone(s.Path)
		if segment, _, ok := strings.Cut(path[0], "+0x"); ok {
			path[0] = segment
		}
		list = append(list, fmt.Sprintf("%s of %s at %s", s.Signature, s.Type, strings.Join(path, "")))
	}
	slices.Sort(list)
	return list
}

// compareSignatures compares all of them, or else those that are not the runtime's own and that the other has, too.
func compareSignatures(t *testing.T, of string, got, want []string, all bool) {
	t.Helper()
	if !all {
		want = slices.DeleteFunc(slices.Clone(want), func(text string) bool { return strings.Contains(text, "runtime.") })
		got = slices.DeleteFunc(got, func(text string) bool { return !slices.Contains(want, text) })
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: suspects\n\t%s\nwant\n\t%s", of, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
