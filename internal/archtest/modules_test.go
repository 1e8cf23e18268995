package archtest

import (
	"encoding/json"
	"go/version"
	"path"
	"slices"
	"strings"
	"testing"
)

// oldest is the oldest release of Go that the library is built with.
const oldest = "1.26"

// modFile is the part of `go mod edit -json` that the rules look at.
type modFile struct {
	Go      string
	Require []struct {
		Path, Version string
		Indirect      bool
	}
	Replace []struct{ Old struct{ Path string } }
	Exclude []struct{ Path string }
	Tool    []struct{ Path string }
}

// workFile is the part of `go work edit -json` that the rules look at.
type workFile struct {
	Go      string
	Use     []struct{ DiskPath string }
	Replace []struct{ Old struct{ Path string } }
}

func (r *repository) readModFile(t *testing.T, dir string) modFile {
	t.Helper()
	var file modFile
	if err := json.Unmarshal(r.runGo(t, dir, nil, "mod", "edit", "-json"), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

func (r *repository) readWorkFile(t *testing.T, name string) workFile {
	t.Helper()
	var file workFile
	if err := json.Unmarshal(r.runGo(t, ".", nil, "work", "edit", "-json", r.file(name)), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLibraryRequiresNothing(t *testing.T) {
	r := open(t)
	file := r.readModFile(t, ".")
	if file.Go != oldest {
		t.Errorf("go.mod says go %s, want %s: a patch release would be forced on every user", file.Go, oldest)
	}
	if len(file.Require)+len(file.Exclude)+len(file.Tool) > 0 {
		t.Errorf("go.mod requires %v, excludes %v, has tools %v: every requirement enters each user's go.sum",
			file.Require, file.Exclude, file.Tool)
	}
	if slices.Contains(r.files, "go.sum") {
		t.Error("the library has a go.sum: it must require nothing")
	}
}

func TestModules(t *testing.T) {
	r := open(t)
	for _, m := range r.modules {
		file := r.readModFile(t, m.dir)
		if want := path.Join(r.library(), m.dir); m.path != want {
			t.Errorf("%s/go.mod: module %s, want %s: the path must be where a user finds it", m.dir, m.path, want)
		}
		if version.Compare("go"+file.Go, "go"+oldest) < 0 {
			t.Errorf("%s/go.mod: go %s, want %s or later", m.dir, file.Go, oldest)
		}
		if len(file.Replace) > 0 {
			t.Errorf("%s/go.mod replaces %s: that breaks go install …@version; the go.work files join the modules",
				m.dir, file.Replace[0].Old.Path)
		}
	}
}

// TestWorkspaces: the library and the service are built together; examples and benchmarks have workspaces of their
// own, because the modules of one workspace share one version of each requirement.
func TestWorkspaces(t *testing.T) {
	r := open(t)
	seen := 0
	for _, file := range r.files {
		if path.Base(file) != "go.work" {
			continue
		}
		seen++
		dir := path.Dir(file)
		work := r.readWorkFile(t, file)
		if version.Compare("go"+work.Go, "go"+oldest+".0") < 0 {
			t.Errorf("%s: go %s, want %s.0 or later", file, work.Go, oldest)
		}
		if len(work.Replace) > 0 {
			t.Errorf("%s replaces %s: what is built here must be what a user gets", file, work.Replace[0].Old.Path)
		}
		var uses, want []string
		for _, use := range work.Use {
			uses = append(uses, path.Join(dir, use.DiskPath))
		}
		for _, m := range r.modules {
			top, _, _ := strings.Cut(m.dir, "/")
			shared := m.dir == "." || dir == "." && (top == "server" || top == "contrib")
			if shared || dir != "." && within(m.dir, dir) {
				want = append(want, m.dir)
			}
		}
		slices.Sort(uses)
		slices.Sort(want)
		if !slices.Equal(uses, want) {
			t.Errorf("%s uses %v, want %v", file, uses, want)
		}
	}
	if seen == 0 {
		t.Error("there is no go.work: nothing joins the modules")
	}
}
