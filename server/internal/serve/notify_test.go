package serve

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/memwarden/memwarden"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// TestReportsAreNotified: a leak that a part of the service reports comes to the webhook of the settings, signed, with the
// number under which the API has it; what was sent is counted.
func TestReportsAreNotified(t *testing.T) {
	const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	type mail struct {
		header http.Header
		body   []byte
	}
	inbox := make(chan mail, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		inbox <- mail{r.Header, body}
	}))
	t.Cleanup(receiver.Close)
	log := &servicetest.Text{}
	s := &service{
		o: Options{
			Config: load(t, map[string]string{"WEBHOOK_URL": receiver.URL + "/hidden?hidden", "WEBHOOK_SECRET": key}),
			Banner: io.Discard, Logger: slog.New(slog.NewTextHandler(log, nil)),
		},
		failed: make(chan error, 1),
	}
	if err := s.start(t.Context()); err != nil {
		t.Fatal(errors.Join(err, s.abandon(t.Context())))
	}
	s.reportHeld(held)
	select {
	case m := <-inbox:
		verifier, err := standardwebhooks.NewWebhook(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.Verify(m.body, m.header); err != nil {
			t.Error(err)
		}
		kept, err := s.warden.LeakReports(t.Context(), memwarden.LeakQuery{Limit: 1})
		if text := string(m.body); err != nil || len(kept) != 1 || !strings.Contains(text, `"type":"leak.reported"`) ||
			!strings.Contains(text, heldReport(held).Sentence) || !strings.Contains(text, `"leak":{"id":1,`) || kept[0].ID != 1 {
			t.Errorf("%s, kept is %+v, %v", text, kept, err)
		}
	case <-time.After(patience):
		t.Fatal("nothing has come")
	}
	found := func() bool {
		return slices.ContainsFunc(s.warden.State().Owners, func(o memwarden.OwnerUsage) bool { return o.Name == "webhook_queue" })
	}
	for deadline := time.Now().Add(patience); !found() && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if !found() {
		t.Error("the queue is not among the limits")
	}
	if err := s.abandon(t.Context()); err != nil {
		t.Error(err)
	}
	<-s.failed
	if strings.Contains(log.String(), "hidden") || strings.Contains(log.String(), key[6:]) {
		t.Errorf("the log has a secret: %s", log)
	}
}
