package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func readDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "notifications.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const secret = "hunter2"

func TestParseReceivers(t *testing.T) {
	got, err := ParseReceivers(" https://u:p@h/x?y=1%2C2 ,http://[::1]:9093")
	if err != nil || len(got) != 2 || got[0].String() != "https://u:p@h/x?y=1%2C2" || got[1].Host != "[::1]:9093" {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{
		"", "http://h,", "ftp://" + secret, "http:///" + secret, "http:" + secret, secret, "http://h/#" + secret, "http://u:" + secret + "%zz@h",
		"https://:80", strings.Repeat("http://h,", 10) + "http://" + secret,
	} {
		if _, err := ParseReceivers(text); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseReceivers(f *testing.F) {
	f.Add("https://u:p@h/x,http://h")
	f.Add("http://h,")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseReceivers(text)
		if (err == nil) != (len(list) > 0) || len(list) > maxReceivers {
			t.Fatalf("%q: %v, %v", text, list, err)
		}
		for _, u := range list {
			again, err := url.Parse(u.String())
			if err != nil || checkReceiver(again) != nil {
				t.Errorf("%q: %v is none, %v", text, u, err)
			}
			if alerts, err := url.Parse(alertsURL(u)); err != nil || alerts.Host != u.Host || !strings.HasSuffix(strings.TrimSuffix(alerts.Path, "/"), alertsPath) {
				t.Errorf("%q: alerts go to %v, %v", text, alerts, err)
			}
		}
	})
}

func TestParseKeys(t *testing.T) {
	of := func(n int) string {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(secret, 10)[:n]))
	}
	for text, want := range map[string]int{"": 0, of(24): 1, of(64): 1, of(24) + ", " + of(32): 2, keyText: 1} {
		keys, err := ParseKeys(text)
		if err != nil || len(keys.list) != want {
			t.Errorf("%q: %d keys, %v", text, len(keys.list), err)
		}
		for _, shown := range []string{fmt.Sprint(keys), fmt.Sprintf("%+v", keys), fmt.Sprintf("%#v", keys)} {
			if shown != map[bool]string{true: "not set", false: "********"}[want == 0] {
				t.Errorf("%q is shown as %s", text, shown)
			}
		}
	}
	for _, text := range []string{of(23), of(65), of(24) + ",", strings.TrimPrefix(of(24), "whsec_"), "whsec_" + secret, strings.Repeat(of(24)+",", 4) + of(24)} {
		if _, err := ParseKeys(text); err == nil || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), of(24)[6:]) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestSignature is HMAC-SHA256 over id, seconds and body, for each key; without keys there is none.
func TestSignature(t *testing.T) {
	other := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	at, body := time.Unix(1614265330, 999), []byte(`{"test": 2432232314}`)
	var want []string
	for _, text := range []string{keyText, other} {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
		if err != nil {
			t.Fatal(err)
		}
		sum := hmac.New(sha256.New, raw)
		sum.Write([]byte("msg_1.1614265330." + string(body)))
		want = append(want, "v1,"+base64.StdEncoding.EncodeToString(sum.Sum(nil)))
	}
	header := http.Header{}
	if err := mustKeys(t, keyText+","+other).sign(header, "msg_1", at, body); err != nil {
		t.Fatal(err)
	}
	if got := header.Get("Webhook-Signature"); got != strings.Join(want, " ") || header.Get("Webhook-Id") != "msg_1" || header.Get("Webhook-Timestamp") != "1614265330" {
		t.Errorf("%v\nwant %v", header, want)
	}
	header = http.Header{}
	if err := (Keys{}).sign(header, "msg_1", at, body); err != nil || header.Get("Webhook-Signature") != "" || header.Get("Webhook-Id") == "" {
		t.Errorf("%v, %v", header, err)
	}
}

func TestParseEvents(t *testing.T) {
	if got, err := ParseEvents("Pressure, leaks"); err != nil || fmt.Sprint(got) != "[pressure leaks]" {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "leaks,", "all", strings.Repeat("x", 1000)} {
		if _, err := ParseEvents(text); err == nil || len(err.Error()) > 200 {
			t.Errorf("%q: %v", text, err)
		}
	}
}
