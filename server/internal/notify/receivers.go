package notify

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// ParseReceivers reads URLs with commas between them; a comma in one is written as %2C. They begin with http:// or
// https://, and may have a user name and password, which are sent as HTTP Basic. No error shows any of it: addresses of
// webhooks are secrets as a rule.
func ParseReceivers(text string) ([]*url.URL, error) {
	var list []*url.URL
	parts := strings.Split(text, ",")
	if len(parts) > maxReceivers {
		return nil, fmt.Errorf("%d URLs: want at most %d", len(parts), maxReceivers)
	}
	for i, part := range parts {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil {
			err = errors.New("not a URL: outside letters, digits, - . _ and ~, characters of a user name or password are written as %XX")
		} else {
			err = checkReceiver(u)
		}
		if err != nil {
			return nil, fmt.Errorf("URL %d: %w", i+1, err)
		}
		list = append(list, u)
	}
	return list, nil
}

func checkReceiver(u *url.URL) error {
	if u == nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" {
		return errors.New("want a URL that begins with http:// or https:// and a host")
	}
	if u.Fragment != "" {
		return errors.New("want a URL without #")
	}
	return nil
}

const (
	keyPrefix      = "whsec_"
	minKey, maxKey = 24, 64 // bytes
	maxKeys        = 4
)

// Keys sign what is sent, each beside the others: receivers accept one signature of several, so that a new key can come
// before the old one goes. The zero Keys sign nothing. They are never printed.
type Keys struct{ list []*standardwebhooks.Webhook }

// ParseKeys reads keys as Standard Webhooks writes them, with commas between them: whsec_ and 24 to 64 bytes in base64.
// Nothing is no key. No error shows any of it.
func ParseKeys(text string) (Keys, error) {
	var keys Keys
	if text == "" {
		return keys, nil
	}
	parts := strings.Split(text, ",")
	if len(parts) > maxKeys {
		return Keys{}, fmt.Errorf("%d keys: want at most %d", len(parts), maxKeys)
	}
	for i, part := range parts {
		encoded, ok := strings.CutPrefix(strings.TrimSpace(part), keyPrefix)
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(raw) < minKey || len(raw) > maxKey {
			return Keys{}, fmt.Errorf("key %d: want %s and %d to %d bytes in base64, as of: echo %s$(openssl rand -base64 32)",
				i+1, keyPrefix, minKey, maxKey, keyPrefix)
		}
		key, err := standardwebhooks.NewWebhookRaw(raw)
		if err != nil {
			return Keys{}, fmt.Errorf("key %d cannot be used", i+1)
		}
		keys.list = append(keys.list, key)
	}
	return keys, nil
}

// String hides the keys, and only says whether there are any.
func (k Keys) String() string {
	if len(k.list) == 0 {
		return "not set"
	}
	return "********"
}

// GoString hides the keys from %#v.
func (k Keys) GoString() string { return k.String() }

// sign adds the headers of Standard Webhooks 1.0 (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and body.
// A receiver refuses what was signed long ago, and what has an id that it has seen.
func (k Keys) sign(header http.Header, id string, at time.Time, body []byte) error {
	header.Set(standardwebhooks.HeaderWebhookID, id)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	var signatures []string
	for _, key := range k.list {
		signature, err := key.Sign(id, at, body)
		if err != nil {
			return err
		}
		signatures = append(signatures, signature)
	}
	if len(signatures) > 0 {
		header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	}
	return nil
}
