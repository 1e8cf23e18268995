package bounddir

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"
)

// idTime is the first part of an id.
const idTime = "20060102T150405Z"

// idForm is what an id looks like, with 0 for a digit and x for one of a hexadecimal number.
const idForm = "00000000T000000Z-xxxxxxxx"

// NewID returns the id of an entry that is made now: the time and a random number.
func NewID(now time.Time) string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return now.UTC().Format(idTime) + "-" + hex.EncodeToString(random[:])
}

// IsID reports whether a text looks like an id. Nothing else may ever become part of a path.
func IsID(text string) bool {
	if len(text) != len(idForm) {
		return false
	}
	for i := range len(text) {
		allowed := idForm[i : i+1]
		switch allowed {
		case "0":
			allowed = "0123456789"
		case "x":
			allowed = "0123456789abcdef"
		}
		if strings.IndexByte(allowed, text[i]) < 0 {
			return false
		}
	}
	return true
}

// TimeOf returns the time in an id; false if it holds none, such as a month 13: that is no name of ours.
func TimeOf(id string) (time.Time, bool) {
	at, err := time.Parse(idTime, id[:min(len(id), len(idTime))])
	return at, err == nil
}
