// Package incident writes evidence to disk before the kernel kills a process for its memory: profiles, goroutines,
// figures, and whatever else there is time for, as a directory with a manifest.
//
// It knows when a bundle is due (Trigger: readings in, verdicts out), how one is written so that nobody ever meets half
// of it, how many are kept (Store), and how a run tells the next one that it has not ended well (Run). What the figures
// mean and where they come from it does not know: the facade above it samples, and adds what only it knows.
package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/memwarden/memwarden/internal/bounddir"
)

// Errors of a Store.
var (
	// ErrNotFound means that there is no bundle of an id: there never was, it has become too old, or had to make room.
	ErrNotFound = errors.New("there is no such incident bundle")
	// ErrNoRoom means that the disk, or the bound of bytes, has no room for a bundle or a part of one.
	ErrNoRoom = errors.New("there is no room for an incident bundle")
)

// Manifest says what a bundle is about and what it has. It is the file manifest.json.
type Manifest struct {
	Version int       `json:"version"` // of this form: 1
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	// Complete tells that nothing more comes: every part is in Parts or in Missing. Without it, either parts are still
	// taken or the process has died meanwhile.
	Complete bool    `json:"complete"`
	Cause    Cause   `json:"cause"`
	Program  Program `json:"program"`
	Parts    []Part  `json:"parts"`
	// Missing are the parts that could not be taken.
	Missing []Missing `json:"missing"`
	// Pending are the parts that may yet come.
	Pending []string `json:"pending,omitzero"`
}

// Cause is why a bundle was written.
type Cause struct {
	// Rule is what fired: a Verdict's, Manual or Cleanup.
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
	// Extent is how much was to be written.
	Extent string `json:"extent"`
	// What the rule was given, and what it made of it; 0 where nobody knows.
	UsedBytes       int64   `json:"used_bytes"`
	TotalBytes      int64   `json:"total_bytes"`
	LimitBytes      int64   `json:"limit_bytes"`
	EstimatedBytes  int64   `json:"estimated_bytes"`
	GrowthPerSecond float64 `json:"growth_bytes_per_second"`
	// SecondsToLimit is when the limit would have been reached; absent where nothing grew.
	SecondsToLimit *float64 `json:"seconds_to_limit,omitzero"`
	Collections    int64    `json:"collections"`
	// Growing says, a line each, what has grown most; absent where nothing is known of that.
	Growing []string `json:"growing,omitzero"`
}

// Rules that no Verdict has: Manual is that of a bundle that somebody asked for, Cleanup that of one which keeps what is about
// to be cleaned up after a leak.
const (
	Manual  = "manual"
	Cleanup = "leak_cleanup"
)

// Program is who wrote the bundle.
type Program struct {
	Executable string    `json:"executable"` // without its directory
	Version    string    `json:"version"`    // of its main module; empty if it has none
	GoVersion  string    `json:"go_version"`
	Platform   string    `json:"platform"` // such as linux/amd64
	PID        int       `json:"pid"`
	StartedAt  time.Time `json:"started_at"` // of the warden in it
}

// sameRun reports whether two bundles were written by one process.
func (p Program) sameRun(as Program) bool { return p.PID == as.PID && p.StartedAt.Equal(as.StartedAt) }

// Part is a file of a bundle.
type Part struct {
	Name string `json:"name"`
	// What says what it is, for people.
	What        string    `json:"what"`
	Bytes       int64     `json:"bytes"`
	At          time.Time `json:"at"` // when it was finished
	TookSeconds float64   `json:"took_seconds"`
}

// Missing is a part that a bundle has not, and why.
type Missing struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Record is a bundle that is kept.
type Record struct {
	Manifest

	// Bytes are those of its files on disk.
	Bytes int64 `json:"bytes"`
	// Damage says what is wrong with it: a manifest that cannot be read, a file that is missing or has another size.
	Damage string `json:"damage,omitzero"`
}

const (
	manifestName    = "manifest.json"
	manifestVersion = 1
	partial         = ".partial"
	// maxManifestBytes is above what a manifest of maxParts takes.
	maxManifestBytes = 1 << 20
	maxParts         = 64
	maxReason        = 1000
)

// isPartName reports whether a text is what the name of a part looks like: lower-case letters, digits and, not at the
// beginning, '.', '_' and '-'; 80 at most.
func isPartName(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	return text != "" && len(text) <= 80 && strings.IndexByte(letters, text[0]) >= 0 && strings.Trim(text, letters+"._-") == ""
}

// parseManifest reads a manifest and holds it against what one may be, so that no name in it leads out of its directory.
func parseManifest(text []byte) (m Manifest, err error) {
	if len(text) > maxManifestBytes {
		return m, fmt.Errorf("the manifest has %d bytes: want at most %d", len(text), maxManifestBytes)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return Manifest{}, fmt.Errorf("the manifest cannot be read: %w", err)
	}
	switch {
	case m.Version != manifestVersion:
		err = fmt.Errorf("the manifest has version %d: want %d", m.Version, manifestVersion)
	case !bounddir.IsID(m.ID):
		err = fmt.Errorf("the manifest has the id %.80q", m.ID)
	case len(m.Parts) > maxParts || len(m.Missing) > maxParts || len(m.Pending) > maxParts:
		err = fmt.Errorf("the manifest has more than %d parts", maxParts)
	}
	seen := map[string]bool{manifestName: true}
	for _, p := range m.Parts {
		if !isPartName(p.Name) || seen[p.Name] || p.Bytes < 0 {
			err = errors.Join(err, fmt.Errorf("the manifest has a part %.80q of %d bytes", p.Name, p.Bytes))
		}
		seen[p.Name] = true
	}
	if err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// line is a text as one line of bounded length.
func line(text string) string {
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "")
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, text)
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason-3], "") + "..."
	}
	return text
}
