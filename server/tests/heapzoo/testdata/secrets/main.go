// Command secrets holds words in every place that a program has for contents, and takes snapshots of itself, for a test that
// looks for the words in the files. Words come from standard input, as a JSON object; no source and no file has them.
//
// It then answers each line: "take DIR" puts snapshots into a directory, one for each way in which the library takes them;
// anything else makes it look whether all words are still where they were, and end.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/memwarden/memwarden"
)

// vault has a word in each kind of field.
type vault struct {
	token  string
	raw    [26]byte
	page   *[1024]byte // what lies behind a pointer to so much may be a length
	number uint64
}

func newVault(word string) *vault {
	v := &vault{token: word, page: new([1024]byte), number: numberOf(word)}
	copy(v.raw[:], word)
	return v
}

func (v *vault) holds(word string) bool {
	return v.token == word && string(v.raw[:]) == word && v.number == numberOf(word)
}

// numberOf is the number that has the first eight letters of a word as its bytes.
func numberOf(word string) uint64 { return binary.LittleEndian.Uint64([]byte(word)) }

// What holds the words, but for those of goroutines.
var (
	text    string
	list    []byte
	pairs   = map[string]string{}
	numbers = map[uint64]uint64{}
	inline  = map[[26]byte]vault{}
	queue   = make(chan string, 1)
	values  = make(chan vault, 1)
	secret  *vault
	boxed   any
	call    func() string
	large   string
	labels  context.Context
)

// repeated is how often a large text has its word.
const repeated = 100

func hold(words map[string]string) {
	text, list = words["string"], []byte(words["bytes"])
	pairs[words["key"]] = words["value"]
	numbers[numberOf(words["key number"])] = numberOf(words["number"])
	inline[[26]byte([]byte(words["inline key"]))] = *newVault(words["inline value"])
	queue <- words["queued"]
	values <- *newVault(words["queued value"])
	secret, boxed = newVault(words["field"]), *newVault(words["interface"])
	captured, v := words["captured"], newVault(words["captured"])
	call = func() string { return captured + v.token }
	large = strings.Repeat(words["large"], repeated)
	labels = pprof.WithLabels(context.Background(), pprof.Labels("label", words["label"]))
}

// missing tells which word is no more where it was.
func missing(words map[string]string) (names []string) {
	for name, is := range map[string]bool{
		"string": text == words["string"], "bytes": string(list) == words["bytes"], "key": pairs[words["key"]] == words["value"],
		"number": numbers[numberOf(words["key number"])] == numberOf(words["number"]), "field": secret.holds(words["field"]),
		"captured": call() == words["captured"]+words["captured"], "large": strings.Count(large, words["large"]) == repeated,
	} {
		if !is {
			names = append(names, name)
		}
	}
	held := inline[[26]byte([]byte(words["inline key"]))]
	box, ok := boxed.(vault)
	queued := <-values
	label, labelled := pprof.Label(labels, "label")
	if !held.holds(words["inline value"]) || !ok || !box.holds(words["interface"]) || <-queue != words["queued"] ||
		!queued.holds(words["queued value"]) || !labelled || label != words["label"] {
		names = append(names, "another")
	}
	return names
}

// guard holds a word on its stack until it is asked.
//
//go:noinline
func guard(word string, ready, asked chan struct{}, answer chan bool) {
	pprof.SetGoroutineLabels(labels)
	v := vault{token: word, page: new([1024]byte), number: numberOf(word)}
	copy(v.raw[:], word)
	close(ready)
	<-asked
	answer <- v.holds(word) && v.page[0] == 0
}

// plain is a writer that is no file.
type plain struct{ io.Writer }

// take takes snapshots of this process in all ways.
func take(ctx context.Context, w *memwarden.Warden, dir string) error {
	direct, err := os.Create(filepath.Join(dir, "direct"))
	if err != nil {
		return err
	}
	defer direct.Close()
	if _, err := w.Snapshot(ctx, direct); err != nil {
		return err
	}
	written, err := os.Create(filepath.Join(dir, "written"))
	if err != nil {
		return err
	}
	defer written.Close()
	if _, err := w.Snapshot(ctx, plain{written}); err != nil {
		return err
	}
	record, err := w.StoreSnapshot(ctx)
	if err != nil {
		return err
	}
	_, err = w.AnalyzeSnapshot(ctx, record.ID)
	return err
}

func run() error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	words := make(map[string]string)
	if err := json.Unmarshal([]byte(line), &words); err != nil {
		return err
	}
	hold(words)
	ready, asked, answer := make(chan struct{}), make(chan struct{}), make(chan bool)
	go guard(words["local"], ready, asked, answer)
	<-ready
	ctx := context.Background()
	w, err := memwarden.Start(ctx, memwarden.Options{
		Logger:   slog.New(slog.DiscardHandler),
		Snapshot: memwarden.SnapshotOptions{Dir: os.Args[1], Cooldown: -1, Deadline: 10 * time.Minute},
	})
	if err != nil {
		return err
	}
	for {
		fmt.Println("ready")
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		dir, told := strings.CutPrefix(strings.TrimSpace(line), "take ")
		if !told {
			break
		}
		if err := take(ctx, w, dir); err != nil {
			return err
		}
	}
	close(asked)
	if !<-answer {
		return fmt.Errorf("the word on the stack is gone")
	}
	if names := missing(words); len(names) > 0 {
		return fmt.Errorf("words are gone: %v", names)
	}
	return w.Close(ctx)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "secrets:", err)
		os.Exit(1)
	}
}
