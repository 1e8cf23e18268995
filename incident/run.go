package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/memwarden/memwarden/memstat"
)

// Run is what a process leaves in the directory for the next one: that it ran, and whether it was closed.
type Run struct {
	StartedAt time.Time `json:"started_at"`
	PID       int       `json:"pid"`
	// Group tells one control group from all others, across restarts of the machine; empty: not known.
	Group string `json:"group,omitzero"`
	// OOMKills is how many processes of the group the kernel had killed for memory when it was last looked.
	OOMKills memstat.Int `json:"oom_kills,omitzero"`
	// ClosedAt is when it was closed; zero while it runs, and for ever if it did not come to that.
	ClosedAt time.Time `json:"closed_at,omitzero"`
}

// Ending says how a run has ended.
type Ending string

// The endings.
const (
	Closed          Ending = "closed"
	KilledForMemory Ending = "killed_for_memory" // not closed, and the kernel has killed in its control group since
	NotClosed       Ending = "not_closed"        // and nothing was killed for memory in its control group
	UnknownEnding   Ending = "unknown"           // not closed, in another control group or one that does not count
)

// Previous is how the run before has ended, and what it has left.
type Previous struct {
	StartedAt time.Time `json:"started_at"`
	PID       int       `json:"pid"`
	Ended     Ending    `json:"ended"`
	// OOMKills is how many processes of its control group the kernel has killed for memory since it was last looked; absent
	// where that is not known.
	OOMKills memstat.Int `json:"oom_kills,omitzero"`
	// Bundles are the ids of those that it has written and that are still kept, newest first.
	Bundles []string `json:"bundles"`
}

const (
	runName     = "run.json"
	maxRunBytes = 64 << 10
)

// parseRun reads what a run has left.
func parseRun(text []byte) (r Run, err error) {
	if len(text) > maxRunBytes {
		return r, fmt.Errorf("it has %d bytes: want at most %d", len(text), maxRunBytes)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return Run{}, err
	}
	if r.StartedAt.IsZero() {
		return Run{}, errors.New("it does not say when the run began")
	}
	return r, nil
}

// BeginRun takes note of this run and tells of the one before; nil if there was none. What cannot be read of that is an
// error, but this run is noted all the same.
func (s *Store) BeginRun(now Run) (*Previous, error) {
	text, err := readFile(filepath.Join(s.o.Dir, runName), maxRunBytes)
	var before Run
	if err == nil {
		before, err = parseRun(text)
	}
	noted := s.NoteRun(now)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, noted
	case err != nil:
		return nil, errors.Join(fmt.Errorf("incident: what the last run has left cannot be read: %w", err), noted)
	}
	p := &Previous{StartedAt: before.StartedAt, PID: before.PID, Ended: Closed, Bundles: []string{}}
	wrote := Program{PID: before.PID, StartedAt: before.StartedAt}
	for _, r := range s.List() {
		if r.Program.sameRun(wrote) || r.Program.PID == 0 { // 0: it died before it could say
			p.Bundles = append(p.Bundles, r.ID)
		}
	}
	if !before.ClosedAt.IsZero() {
		return p, noted
	}
	p.Ended = UnknownEnding
	then, known := before.OOMKills.Get()
	since, counted := now.OOMKills.Get()
	if known && counted && before.Group != "" && before.Group == now.Group && since >= then {
		p.OOMKills, p.Ended = memstat.Known(since-then), NotClosed
		if since > then {
			p.Ended = KilledForMemory
		}
	}
	return p, noted
}

// NoteRun replaces what this run leaves.
func (s *Store) NoteRun(r Run) error {
	err := os.MkdirAll(s.o.Dir, 0o700)
	if err == nil {
		err = writeJSON(filepath.Join(s.o.Dir, runName), r)
	}
	if err != nil {
		return fmt.Errorf("incident: note the run: %w", err)
	}
	return nil
}

// readFile reads a file of a bounded length.
func readFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > most {
		err = fmt.Errorf("%s has %d bytes: want at most %d", path, info.Size(), most)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
