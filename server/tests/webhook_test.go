//go:build unix

package tests

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

const webhookKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// TestWebhooks: critical pressure comes to a receiver, signed. One that never answers holds up neither the other nor the
// end of the service, and nothing tells their addresses.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	verifier, err := standardwebhooks.NewWebhook(webhookKey)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 10)
	well := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = verifier.Verify(body, r.Header)
		}
		var got struct{ Type string }
		if err == nil {
			err = json.Unmarshal(body, &got)
		}
		if err != nil {
			t.Errorf("%v: %s", err, body)
		}
		told <- got.Type
	}))
	t.Cleanup(well.Close)
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(func() {
		close(release)
		hanging.Close()
	})
	s := setup{Env: map[string]string{
		"WEBHOOK_URL": hanging.URL + "/hidden," + well.URL + "/hidden", "WEBHOOK_SECRET": webhookKey, "WEBHOOK_TIMEOUT": "1m",
		"MEMORY_LIMIT": "16GiB", "LIMIT_MANAGE": "false", "SAMPLE_INTERVAL": "100ms", "PRESSURE_FALL_DWELL": "0s", "PRESSURE_RISE_DWELL": "0s", "SHUTDOWN_TIMEOUT": "20s",
	}}.start(t)
	next := func(want string) {
		t.Helper()
		got := ""
		servicetest.Within(t, patience, "tells "+want, func() bool {
			select {
			case got = <-told:
				return true
			default:
				return false
			}
		})
		if got != want {
			t.Errorf("told is %s, want %s", got, want)
		}
	}
	// The service uses more than the one, and little of the other.
	levels := func(body string) {
		t.Helper()
		if got, err := s.Ask(t.Context(), http.MethodPatch, memory+"/config", body); err != nil || got.Status != http.StatusOK {
			t.Fatalf("%v, %+v", err, got)
		}
	}
	levels(`{"limit":{"memory_bytes":16777216}}`)
	next("pressure.critical")
	levels(`{"limit":{"memory_bytes":17179869184}}`)
	next("pressure.over")
	servicetest.Within(t, patience, "counts what was sent", func() bool {
		return strings.Contains(string(s.Get(t, "/metrics").Body), "memwarden_webhook_sent_total{receiver=\"2\"} 2\n")
	})
	servicetest.Within(t, patience, "shows two receivers, and what waits for one", func() bool {
		o := s.limits(t).owner("webhook_queue")
		return o.MaxEntries == 202 && o.Entries == 3
	})
	s.Stop(t)
	s.WaitForText(t, &s.Out, regexp.MustCompile("not delivered before the end"))
	if log := s.Out.String() + s.Said.String(); strings.Contains(log, "hidden") || strings.Contains(log, webhookKey[6:]) {
		t.Errorf("a secret is shown: %s", log)
	}
}
