package memhttp

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

func TestParseToken(t *testing.T) {
	hash := sha256.Sum256([]byte(secret))
	written := "sha256:" + hex.EncodeToString(hash[:])
	for _, text := range []string{secret, written, strings.ToUpper(written[7:])} {
		if !strings.Contains(text, ":") && text != secret {
			text = "sha256:" + text
		}
		token := mustToken(t, text)
		if !token.IsSet() || !token.Matches(secret) || token.Matches(secret+" ") || token.Matches(written) || token.Matches("") {
			t.Errorf("the token of %q recognises something else than its text", text)
		}
	}
	for text, part := range map[string]string{
		"short":                             "it has 5 characters, want at least 16",
		"fifteen letters":                   "it has 15 characters",
		" sixteen letters":                  "begins or ends with white space",
		secret + "\n":                       "begins or ends with white space",
		"sha256:":                           "64 hexadecimal digits",
		"sha256:" + strings.Repeat("0", 63): "64 hexadecimal digits",
		"sha256:" + strings.Repeat("x", 64): "64 hexadecimal digits",
		"sha256:" + strings.Repeat("0", 66): "64 hexadecimal digits",
	} {
		token, err := ParseToken(text)
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("ParseToken(%q): %v, want %q in it", text, err, part)
		} else if strings.Contains(err.Error(), strings.TrimSpace(strings.TrimPrefix(text, "sha256:"))) && len(text) > len("sha256:") {
			t.Errorf("the error repeats the token: %v", err)
		}
		if token.IsSet() || token.Matches(text) {
			t.Errorf("ParseToken(%q) gives a token besides its error", text)
		}
	}
}

// TestZeroToken: nothing opens what has no token, neither nothing nor a text whose hash is zero, if there is one.
func TestZeroToken(t *testing.T) {
	token := mustToken(t, "")
	if token != (Token{}) || token.IsSet() || token.Matches("") || token.Matches("\x00") {
		t.Error("a token that is not set recognises something")
	}
	zero := mustToken(t, "sha256:"+strings.Repeat("0", 64))
	if !zero.IsSet() || zero.Matches("") {
		t.Error("a token of 64 zeros is not a token like any other")
	}
}

// TestTokenIsNotKept: a Token has room for a hash, which is compared as a whole, and not for a text; nothing prints it.
func TestTokenIsNotKept(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Token]()) {
		if f.IsExported() || f.Type != reflect.TypeFor[[sha256.Size]byte]() && f.Type.Kind() != reflect.Bool {
			t.Errorf("Token has a field %s of %v", f.Name, f.Type)
		}
	}
	token := mustToken(t, secret)
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(secret)))
	encoded, err := json.Marshal(map[string]any{"token": token})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{AdminToken: token}
	for _, text := range []string{fmt.Sprint(token), fmt.Sprintf("%+v %#v %s %q", token, token, token, token), fmt.Sprintf("%v %+v", o, o), string(encoded)} {
		if strings.Contains(text, secret) || strings.Contains(text, hash) || strings.Contains(text, "[") && strings.Contains(text, fmt.Sprint(token.hash)) {
			t.Errorf("%s shows the token", text)
		}
	}
	if token.String() != "set" || (Token{}).String() != "not set" || fmt.Sprintf("%#v", token) != "memhttp.Token(set)" {
		t.Errorf("a token prints as %v and %#v", token, token)
	}
}

func TestMatchesRequest(t *testing.T) {
	token := mustToken(t, secret)
	for header, want := range map[string]bool{
		"Bearer " + secret: true, "bearer  " + secret + " ": true, "BEARER " + secret: true,
		"": false, "Bearer": false, "Bearer ": false, secret: false, "Token " + secret: false, "Bearer " + strings.ToUpper(secret): false,
		"Basic " + secret: false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		if got := token.MatchesRequest(r); got != want {
			t.Errorf("Authorization %q: %v, want %v", header, got, want)
		}
	}
	for password, want := range map[string]bool{secret: true, "": false, secret + "x": false} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth("whoever", password)
		if got := token.MatchesRequest(r); got != want {
			t.Errorf("the password %q: %v, want %v", password, got, want)
		}
		r.SetBasicAuth(secret, password)
		if got := token.MatchesRequest(r); got != want {
			t.Errorf("the token as the user name, and the password %q: %v, want %v", password, got, want)
		}
	}
}
