package memhttp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// MinTokenLength is the least number of characters of an admin token.
const MinTokenLength = 16

// Token recognises the admin token. It holds its SHA-256 hash alone: the token itself is not kept, printed or logged. The zero Token recognises
// nothing: there are no admins.
type Token struct {
	hash [sha256.Size]byte
	set  bool
}

// ParseToken reads an admin token of at least MinTokenLength characters, or the SHA-256 hash of one, written as
// sha256: and 64 hexadecimal digits. An empty text gives the zero Token. Errors never contain the text.
func ParseToken(text string) (Token, error) {
	if text == "" {
		return Token{}, nil
	}
	if digits, ok := strings.CutPrefix(text, "sha256:"); ok {
		hash, err := hex.DecodeString(digits)
		if err != nil || len(hash) != sha256.Size {
			return Token{}, errors.New("memhttp: admin token: sha256: must be followed by 64 hexadecimal digits")
		}
		return Token{hash: [sha256.Size]byte(hash), set: true}, nil
	}
	if len(text) < MinTokenLength {
		return Token{}, fmt.Errorf("memhttp: admin token: it has %d characters, want at least %d", len(text), MinTokenLength)
	}
	if strings.TrimSpace(text) != text {
		return Token{}, errors.New("memhttp: admin token: it begins or ends with white space")
	}
	return Token{hash: sha256.Sum256([]byte(text)), set: true}, nil
}

// IsSet reports whether there is a token to match.
func (t Token) IsSet() bool { return t.set }

// Matches compares a candidate in constant time.
func (t Token) Matches(candidate string) bool {
	hash := sha256.Sum256([]byte(candidate))
	return subtle.ConstantTimeCompare(hash[:], t.hash[:]) == 1 && t.set
}

// String hides the hash too.
func (t Token) String() string {
	if t.set {
		return "set"
	}
	return "not set"
}

// GoString hides the hash from %#v.
func (t Token) GoString() string { return "memhttp.Token(" + t.String() + ")" }

// MatchesRequest reports whether a request carries the token, as a bearer token or as the password of HTTP Basic.
func (t Token) MatchesRequest(r *http.Request) bool {
	if _, password, ok := r.BasicAuth(); ok {
		return t.Matches(password)
	}
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && t.Matches(strings.TrimSpace(credentials))
}
