//go:build unix

package tests

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGuideToProfilesAndLogs runs the commands of the guide as they stand there, beside a service that has a flight
// recorder and some lines in its log.
func TestGuideToProfilesAndLogs(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse-battery-staple"
	s := setup{Env: map[string]string{"ADMIN_TOKEN": secret, "INCIDENT_TRACE": "true", "LOG_MEMORY_INTERVAL": "1s"}}.start(t)
	summary := regexp.MustCompile(`"msg":"memory",.*"rss":.*"goroutines":\d+,"leaks":"`)
	s.WaitForText(t, &s.Out, summary)

	dir := t.TempDir()
	log := filepath.Join(dir, "logs", "application.log")
	if err := os.Mkdir(filepath.Dir(log), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, []byte(s.Out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := shellCommands(t, "profiling-and-logs.md")
	wants := []string{
		`Type: inuse_space`,
		`Type: inuse_space`,
		// The runtime counts from when its goroutine gets a processor, so five seconds can be a hundredth short.
		`(?s)profile\?seconds=5\b.*Type: cpu.*Duration: (4\.9|5)`,
		`goroutine profile: total \d+`,
		`Type: delay`,
		`(?m)^M=\S+ P=\S+ G=\S+ \S+ Time=\d+`,
		`"rss":"[0-9.]+ [KMG]iB"`,
		`nothing is wrong`,
	}
	if len(commands) != len(wants) {
		t.Fatalf("the guide has %d commands, the test knows %d", len(commands), len(wants))
	}
	for i, text := range commands {
		command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", text)
		command.Dir = dir
		command.Env = append(os.Environ(), "HOST="+strings.TrimPrefix(s.URL, "http://"), "TOKEN="+secret, "PPROF_TMPDIR="+dir)
		said, err := command.CombinedOutput()
		if err != nil || !regexp.MustCompile(wants[i]).Match(said) {
			t.Errorf("%s: %v, want %s in\n%s", text, err, wants[i], said)
		}
	}
	if answer, err := s.Client.Get(s.URL + "/debug/pprof/flightrecorder"); err != nil || answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the token: %v, %v", answer, err)
	} else {
		answer.Body.Close()
	}
	if strings.Contains(s.Out.String(), secret) {
		t.Error("the token is in the log")
	}
}

// shellCommands are the boxes of a guide that begin with sh.
func shellCommands(t *testing.T, guide string) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", guide))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		commands = append(commands, m[1])
	}
	return commands
}

// TestProductionGuide runs the commands of the guide to production: what it tells to look at is there.
func TestProductionGuide(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse-battery-staple"
	s := setup{Env: map[string]string{"ADMIN_TOKEN": secret}}.start(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "logs", "application.log"), []byte(s.Out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := shellCommands(t, "PRODUCTION_RELEASE_MEMORY_MANAGEMENT.md")
	if len(commands) < 10 {
		t.Fatalf("the guide has %d commands", len(commands))
	}
	for _, text := range commands {
		command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", text)
		command.Dir = dir
		command.Env = append(os.Environ(), "HOST="+strings.TrimPrefix(s.URL, "http://"), "TOKEN="+secret, "PPROF_TMPDIR="+dir,
			"PATH="+filepath.Dir(s.Command.Path)+":"+os.Getenv("PATH"))
		if said, err := command.CombinedOutput(); err != nil || len(said) == 0 {
			t.Errorf("%s: %v\n%s", text, err, said)
		}
	}
}
