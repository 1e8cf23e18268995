//go:build linux

package heapzoo

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// analysis is what memwarden analyze --json says, as far as it is promised.
type analysis struct {
	file             string
	Objects          uint64    `json:"objects"`
	Bytes            uint64    `json:"bytes"`
	ReachedObjects   uint64    `json:"reached_objects"`
	ReachedBytes     uint64    `json:"reached_bytes"`
	RuntimeLiveBytes uint64    `json:"runtime_live_bytes"`
	TypedRatio       float64   `json:"typed_ratio"`
	InferredRatio    float64   `json:"inferred_ratio"`
	PauseSeconds     float64   `json:"pause_seconds"`
	Method           string    `json:"method"`
	Types            []typ     `json:"types"`
	Suspects         []suspect `json:"suspects"`
	Shared           []shared  `json:"shared"`
	Roots            []struct {
		Kind          string `json:"kind"`
		Name          string `json:"name"`
		Count         uint64 `json:"count"`
		RetainedBytes uint64 `json:"retained_bytes"`
	} `json:"roots"`
	Goroutines []struct {
		Function      string `json:"function"`
		State         string `json:"state"`
		CreatedBy     string `json:"created_by"`
		Count         uint64 `json:"count"`
		RetainedBytes uint64 `json:"retained_bytes"`
	} `json:"goroutines"`
	Pins     []pin    `json:"pins"`
	Warnings []string `json:"warnings"`
}

type typ struct {
	Name          string `json:"name"`
	Count         uint64 `json:"count"`
	ShallowBytes  uint64 `json:"shallow_bytes"`
	RetainedBytes uint64 `json:"retained_bytes"`
}

type shared struct {
	Type          string   `json:"type"`
	Count         uint64   `json:"count"`
	RetainedBytes uint64   `json:"retained_bytes"`
	HolderCount   int      `json:"holder_count"`
	Holders       []holder `json:"holders"`
}

type holder struct {
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

type pin struct {
	Holder      string `json:"holder"`
	Type        string `json:"type"`
	Count       uint64 `json:"count"`
	UsedBytes   uint64 `json:"used_bytes"`
	ObjectBytes uint64 `json:"object_bytes"`
}

// way is how some objects are held, as --path-to says.
type way struct {
	Steps []string `json:"steps"`
	Count uint64   `json:"count"`
}

// look is what --type says.
type look struct {
	Type  typ   `json:"type"`
	Holds []typ `json:"holds"`
	Paths []way `json:"paths"`
}

type suspect struct {
	Sentence      string   `json:"sentence"`
	Type          string   `json:"type"`
	Count         uint64   `json:"count"`
	RetainedBytes uint64   `json:"retained_bytes"`
	Share         float64  `json:"share"`
	Path          []string `json:"path"`
	PathShare     float64  `json:"path_share"`
	Holders       []holder `json:"holders"`
	AllocStack    []string `json:"alloc_stack"`
	Signature     string   `json:"signature"`
}

// capture takes a snapshot of a process with the command line and analyses it.
func capture(t *testing.T, pid int, arguments ...string) *analysis {
	t.Helper()
	program, err := memwarden()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "snapshot")
	run(t, exec.Command(program, append([]string{"snapshot", "--pid", strconv.Itoa(pid), "-o", file}, arguments...)...))
	a := &analysis{file: file}
	a.closer(t, a)
	return a
}

// closer has the file of the snapshot analysed, with further flags, and decodes what is said.
func (a *analysis) closer(t *testing.T, into any, flags ...string) {
	t.Helper()
	program, err := memwarden()
	if err != nil {
		t.Fatal(err)
	}
	output := run(t, exec.Command(program, append([]string{"analyze", a.file, "--json"}, flags...)...))
	if err := json.Unmarshal(output, into); err != nil {
		t.Fatalf("analyze --json %v: %v", flags, err)
	}
}

func run(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var problems strings.Builder
	cmd.Stderr = &problems
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, problems.String())
	}
	return output
}

// start starts a case of the zoo and waits until it is ready; it ends with the test. It returns the process and what its
// runtime says is live.
func start(t *testing.T, program, name string, n int) (pid int, live uint64) {
	t.Helper()
	cmd := exec.Command(program, name, strconv.Itoa(n))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var problems strings.Builder
	cmd.Stderr = &problems
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		// The program verifies by ending well that it was not harmed.
		if err := cmd.Wait(); err != nil {
			t.Errorf("zoo %s after its snapshot: %v\n%s", name, err, problems.String())
		}
	})
	var facts struct {
		Ready bool   `json:"ready"`
		Live  uint64 `json:"live_bytes"`
	}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&facts); err != nil || !facts.Ready {
		t.Fatalf("zoo %s: %v\n%s", name, err, problems.String())
	}
	return cmd.Process.Pid, facts.Live
}

// gate compares what was reached with what the last collection marked: they may differ by 1 %.
func (a *analysis) gate() error {
	if apart(a.ReachedBytes, a.RuntimeLiveBytes) {
		return fmt.Errorf("%d bytes reached, %d marked by the last collection", a.ReachedBytes, a.RuntimeLiveBytes)
	}
	return nil
}

// apart tells whether bytes differ by more than 1 % of what they are held against.
func apart(bytes, against uint64) bool {
	return against == 0 || math.Abs(float64(bytes)-float64(against)) > 0.01*float64(against)
}
