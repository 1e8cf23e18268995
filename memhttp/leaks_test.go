package memhttp

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/memwarden/memwarden"
)

func TestLeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWarden(t, memwarden.Options{})
		h := mustHandler(t, w, Options{})
		path := memoryPath + "/leaks"
		list := func(query string) (sentences []string, last int64) {
			t.Helper()
			var document struct{ Leaks []memwarden.KeptLeak }
			answer := ask(h, "GET", path+query, "", "Authorization", "")
			wantStatus(t, answer, http.StatusOK)
			decodeInto(t, answer, &document)
			for _, leak := range document.Leaks {
				sentences, last = append(sentences, leak.Sentence), leak.ID
			}
			return sentences, last
		}
		if text := strings.TrimSpace(ask(h, "GET", path, "").Body.String()); !strings.HasPrefix(text, `{"verdict":"insufficient data","checked_at":"`) ||
			!strings.HasSuffix(text, `"leaks":[]}`) || strings.Count(text, `"kind"`) != 5 {
			t.Errorf("at the beginning: %s", text)
		}
		for i := range 25 {
			if err := w.ReportLeak(t.Context(), memwarden.LeakReport{Kind: "timer", Sentence: fmt.Sprint("timer ", i)}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		newest, last := list("")
		if len(newest) != 20 || newest[0] != "timer 24" {
			t.Errorf("the first page is %q", newest)
		}
		if rest, _ := list(fmt.Sprint("?limit=100&before=", last)); len(rest) != 5 || rest[4] != "timer 0" {
			t.Errorf("the rest is %q", rest)
		}
		for _, query := range []string{"?limit=0", "?limit=101", "?before=0", "?before=x", "?after=1"} {
			wantProblem(t, ask(h, "GET", path+query, ""), http.StatusBadRequest, "query")
		}
	})
}

func TestLeaksThatCannotBeRead(t *testing.T) {
	log := &logBook{}
	w := startWarden(t, memwarden.Options{LeakReports: broken{}})
	h := mustHandler(t, w, Options{ReadsNeedToken: true, Logger: log.logger()})
	wantProblem(t, ask(h, "GET", memoryPath+"/leaks", "", "Authorization", ""), http.StatusUnauthorized, "token")
	answer := ask(h, "GET", memoryPath+"/leaks", "")
	wantProblem(t, answer, http.StatusServiceUnavailable, "cannot be read at the moment")
	if strings.Contains(answer.Body.String(), errBroken.Error()) || !strings.Contains(log.String(), errBroken.Error()) {
		t.Errorf("the answer is %s, the log %s", answer.Body, log)
	}
	if err := w.ReportLeak(context.Background(), memwarden.LeakReport{Kind: "timer", Sentence: "a timer is forgotten"}); err != nil {
		t.Errorf("a store that fails makes reporting fail: %v", err)
	}
}
