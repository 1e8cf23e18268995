//go:build unix

package tests

import (
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// memoryLines are the lines that `grep -i memory` finds.
func memoryLines(text string) (found []string) {
	for l := range strings.Lines(text) {
		if strings.Contains(strings.ToLower(l), "memory") {
			found = append(found, strings.TrimSpace(l))
		}
	}
	return found
}

func TestLogs(t *testing.T) {
	t.Parallel()
	for format, summary := range map[string]*regexp.Regexp{
		"json": regexp.MustCompile(`(?m)^\{"time":"[^"]+","level":"INFO","msg":"memory","\w+":"normal","heap_live":"[^"]+","go_used":"[^"]+".*\}$`),
		"text": regexp.MustCompile(`(?m)^time=\S+ level=INFO msg=memory \w+=normal heap_live="[^"]+" go_used="[^"]+".*$`),
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := setup{Env: map[string]string{"LOG_FORMAT": format, "LOG_MEMORY_INTERVAL": "1s"}}.start(t)
			s.patch(t, 1)
			s.Send(t, http.StatusOK, http.MethodPost, memory+"/gc", "")
			servicetest.Within(t, patience, "summed up its memory three times", func() bool { return len(summary.FindAllString(s.Out.String(), -1)) >= 3 })
			s.Stop(t)
			lines := strings.Join(memoryLines(s.Out.String()), "\n")
			for _, want := range []string{"memory limit", "memory configuration changed", "memory collection asked for", "memory collected"} {
				if !strings.Contains(lines, want) {
					t.Errorf("grep finds no line about %q:\n%s", want, &s.Out)
				}
			}
			if format == "json" {
				s.logged(t) // every line can be read
				wantKeysOnce(t, s.Out.String())
			}
			if err := s.Said.String(); strings.Contains(err, "msg") {
				t.Errorf("the log is on the standard error, too:\n%s", err)
			}
			s.wantNowhere(t, token)
		})
	}
}

// wantKeysOnce: what collects logs takes one of two values of a key, or refuses the line.
func wantKeysOnce(t *testing.T, log string) {
	t.Helper()
	for l := range strings.Lines(log) {
		for _, key := range []string{"time", "level", "msg"} {
			if strings.Count(l, `"`+key+`":`) != 1 {
				t.Errorf("the key %q is not once in a line: %s", key, l)
			}
		}
	}
}

func TestLogLevel(t *testing.T) {
	t.Parallel()
	for level, hidden := range map[string][]string{
		"debug": nil, "warn": {"DEBUG", "INFO"}, "error": {"DEBUG", "INFO", "WARN"},
	} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			s := setup{Env: map[string]string{"LOG_LEVEL": level, "LOG_MEMORY_INTERVAL": "1s"}}.start(t)
			s.patch(t, 1)
			s.followed(t, livePath).Close() // which is told on level debug
			if level == "debug" {
				s.WaitForText(t, &s.Out, regexp.MustCompile(`"level":"DEBUG".*live stream`))
			}
			s.Stop(t)
			for _, l := range s.logged(t) {
				for _, one := range hidden {
					if l.Level == one {
						t.Errorf("a line is on level %s: %+v", one, l)
					}
				}
			}
		})
	}
}

// TestFailureIsLogged also on the quietest level.
func TestFailureIsLogged(t *testing.T) {
	t.Parallel()
	s := setup{Env: map[string]string{"LOG_LEVEL": "error", "SHUTDOWN_TIMEOUT": "1s"}}.start(t)
	openRequest(t, s)
	s.Signal(t, syscall.SIGTERM)
	if code := s.Exit(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if lines := s.logged(t); len(lines) == 0 {
		t.Error("nothing is logged of a shutdown that failed")
	}
}
