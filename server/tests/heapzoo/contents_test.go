//go:build linux

package heapzoo

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// secretPlaces are where the program secrets holds words, each its own.
var secretPlaces = []string{
	"string", "bytes", "key", "value", "key number", "number", "inline key", "inline value", "queued", "queued value", "field",
	"interface", "captured", "large", "label", "local", "argument", "environment",
}

// TestNoContents: of what a program holds nothing is in a file, whoever takes the snapshot and however: no string, no byte, no
// number, be it a value, a key, an element of a channel or on a stack, nor a part of it as long as a word of memory. The
// search finds all of it in the memory of the program, and names of the program's in the files.
func TestNoContents(t *testing.T) {
	cli, err := memwarden()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []mode{{name: "default"}, {name: "stripped", flags: []string{stripping}}} {
		t.Run(m.name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "secrets")
			run(t, exec.Command("go", append(append([]string{"build"}, m.flags...), "-o", program, "./testdata/secrets")...))
			words := make(map[string]string)
			for _, place := range secretPlaces {
				words[place] = rand.Text()
			}
			dir, kept := t.TempDir(), t.TempDir()
			p := startSecrets(t, program, kept, words)
			p.remembers(t, words)
			p.tell(t, "take "+dir)
			for _, stop := range []string{"allow", "only"} {
				file := filepath.Join(dir, stop)
				output := run(t, exec.Command(cli, "snapshot", "--pid", strconv.Itoa(p.pid), "-o", file, "--stop", stop))
				secretless(t, "what the command says", output, words)
				secretless(t, "what the analysis says", run(t, exec.Command(cli, "analyze", "--top", "1000000", file)), words)
			}
			snapshots := 0
			for _, path := range append(files(t, dir), files(t, kept)...) {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				secretless(t, path, data, words)
				if !bytes.HasPrefix(data, []byte(firstLine)) {
					continue // an analysis that is kept beside its snapshot
				}
				snapshots++
				parts, folded, err := unfolded(data)
				if err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				all := bytes.Join(parts, nil)
				secretless(t, path+", unfolded", all, words)
				for _, name := range []string{"main.vault", "main.guard", "chan receive"} {
					if !bytes.Contains(all, []byte(name)) || folded == 0 {
						t.Errorf("%s has no %q, unfolded from %d chunks of which %d were compressed", path, name, len(parts), folded)
					}
				}
			}
			if snapshots != 5 { // to a file, to a writer, to be kept, by a fork that is injected and while it stood still
				t.Errorf("%d snapshots in %v and %v", snapshots, files(t, dir), files(t, kept))
			}
		})
	}
}

// files are the files in a directory.
func files(t *testing.T, dir string) (paths []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return paths
}

// secrets is that program while it runs.
type secrets struct {
	pid int
	in  io.Writer
	out *bufio.Reader
}

// startSecrets starts it and gives it its words; it ends with the test, and fails that if a word is no more where it was.
func startSecrets(t *testing.T, program, kept string, words map[string]string) *secrets {
	t.Helper()
	cmd := exec.Command(program, kept, words["argument"])
	cmd.Env = append(os.Environ(), "SECRET="+words["environment"])
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var problems bytes.Buffer
	cmd.Stderr = &problems
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		fmt.Fprintln(in, "end")
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the program after its snapshots: %v\n%s", err, problems.Bytes())
		}
	})
	p := &secrets{pid: cmd.Process.Pid, in: in, out: bufio.NewReader(out)}
	line, err := json.Marshal(words)
	if err != nil {
		t.Fatal(err)
	}
	p.tell(t, string(line))
	return p
}

// tell tells it something, and waits until that is done.
func (p *secrets) tell(t *testing.T, line string) {
	t.Helper()
	fmt.Fprintln(p.in, line)
	if answer, err := p.out.ReadString('\n'); err != nil || answer != "ready\n" {
		t.Fatalf("the program says %q, %v", answer, err)
	}
}

// remembers wants every word in the memory of the process: there the search must find them.
func (p *secrets) remembers(t *testing.T, words map[string]string) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	found := make(map[string]bool)
	for line := range strings.Lines(string(maps)) {
		if _, may, _ := strings.Cut(line, " "); !strings.HasPrefix(may, "rw") {
			continue
		}
		var from, to int64
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		data := make([]byte, to-from)
		if _, err := memory.ReadAt(data, from); err != nil {
			t.Fatalf("memory at %s: %v", line, err)
		}
		for place, word := range words {
			if at := bytes.Index(data, []byte(word)); at >= 0 && len(traces(data[at:at+len(word)], word)) == len(word)-wordBytes+1 {
				found[place] = true
			}
		}
	}
	for place := range words {
		if !found[place] {
			t.Errorf("the word of %s is not in the memory of the program, or is not found there", place)
		}
	}
}

// secretless wants no trace of a word in data.
func secretless(t *testing.T, what string, data []byte, words map[string]string) {
	t.Helper()
	for place, word := range words {
		if found := traces(data, word); len(found) > 0 {
			t.Errorf("%s has %d parts of the word of %s, %s, the first of them %q", what, len(found), place, word, found[0])
		}
	}
}

// wordBytes is the size of a word of memory.
const wordBytes = 8

// traces are the parts of a word, each as long as a word of memory, that data has as they are, or as the format writes
// numbers: without a sign, with one, and as the length of a string or slice.
func traces(data []byte, word string) (found []string) {
	for i := range len(word) - wordBytes + 1 {
		part := []byte(word[i : i+wordBytes])
		number := binary.LittleEndian.Uint64(part)
		for _, form := range [][]byte{
			part, binary.AppendUvarint(nil, number), binary.AppendVarint(nil, int64(number)), binary.AppendUvarint(nil, number<<1|1),
		} {
			if bytes.Contains(data, form) {
				found = append(found, string(part))
				break
			}
		}
	}
	return found
}

// TestTraces: a part of a word is found in each of its forms, and what is shorter is not.
func TestTraces(t *testing.T) {
	word := rand.Text()
	number := binary.LittleEndian.Uint64([]byte(word[3:]))
	for name, data := range map[string]string{
		"as it is": word[3:11], "as a number": string(binary.AppendUvarint(nil, number)), "as a length": string(binary.AppendUvarint(nil, number*2+1)),
		"with a sign": string(binary.AppendVarint(nil, int64(number))),
	} {
		if found := traces([]byte("\x00"+data+"\xff"), word); len(found) != 1 || found[0] != word[3:11] {
			t.Errorf("%s: found %q, want %q of %s", name, found, word[3:11], word)
		}
	}
	if found := traces([]byte(word[:7]), word); len(found) != 0 {
		t.Errorf("found %q in %s", found, word[:7])
	}
}

// firstLine is that of a snapshot's file.
const firstLine = "memwarden heap snapshot 1\n"

// unfolded are the payloads of a snapshot's chunks after docs/format/snapshot.md, and how many of them were compressed.
func unfolded(data []byte) (parts [][]byte, folded int, err error) {
	const head, compressed = 48, 2
	rest := data[len(firstLine):]
	for len(rest) > 0 {
		if len(rest) < head {
			return nil, 0, errors.New("a chunk without a whole header")
		}
		flags, stored, size := binary.LittleEndian.Uint32(rest[4:]), binary.LittleEndian.Uint64(rest[24:]), binary.LittleEndian.Uint32(rest[32:])
		if stored > uint64(len(rest)-head) {
			return nil, 0, fmt.Errorf("a chunk of %d bytes where %d are left", stored, len(rest)-head)
		}
		payload := rest[head : head+stored]
		rest = rest[head+stored:]
		if flags&compressed != 0 {
			folded++
			if payload, err = io.ReadAll(flate.NewReader(bytes.NewReader(payload))); err != nil {
				return nil, 0, fmt.Errorf("a chunk does not unfold: %w", err)
			}
			if len(payload) != int(size) {
				return nil, 0, fmt.Errorf("a chunk unfolds to %d bytes, want %d", len(payload), size)
			}
		}
		parts = append(parts, payload)
	}
	return parts, folded, nil
}
