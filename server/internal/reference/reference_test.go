package reference

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/auto"
	"github.com/memwarden/memwarden/server/internal/config"
)

// TestMain leaves out the goroutines that importing auto has started.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

var updateDocument = flag.Bool("update", false, "write docs/reference/configuration.md and .env.production.template anew")

// TestReferenceIsUpToDate compares the reference of settings with the tables that the code reads.
func TestReferenceIsUpToDate(t *testing.T) {
	upToDate(t, filepath.Join("..", "..", "..", "docs", "reference", "configuration.md"), reference())
}

// upToDate compares a generated document with what it should be, or writes it.
func upToDate(t *testing.T, path, want string) {
	t.Helper()
	if *updateDocument {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is stale (%v): run make generate", path, err)
	}
}

// reference is the document of every setting of the service and of package auto.
func reference() string {
	var out strings.Builder
	out.WriteString(`# Configuration

Settings of the service, in the order of precedence: flags, the environment, the environment file (` + "`.env`" + ` in the
working directory, or ` + "`--env-file`" + `), defaults. ` + "`memwarden config`" + ` shows the values in force and where each comes from;
every mistake is listed at once. A setting without a flag is a secret: every user of a machine can read its command
lines. An empty value counts as not set. Those of the log file have flags of ` + "`memwarden start`" + ` alone.

Those marked *auto* also configure ` + "`import _ \"github.com/memwarden/memwarden/auto\"`" + `, from the environment alone; those marked
*API* can be changed while the service runs (` + "`PATCH /api/monitoring/memory/config`" + `), which goes before everything here.

Made from the code by ` + "`make generate`" + `.
`)
	byAuto := map[string]bool{}
	for _, s := range auto.Settings() {
		byAuto[s.Name] = true
	}
	adjustable := map[string]bool{}
	for _, s := range memwarden.ConfigSettings() {
		adjustable[s.Name] = true
	}
	section := ""
	for _, s := range config.Settings() {
		if s.Section != section {
			section = s.Section
			fmt.Fprintf(&out, "\n## %s\n\n| variable | flag | default | range | marks | meaning |\n| --- | --- | --- | --- | --- | --- |\n", section)
		}
		flag, standard, limits, marks := "", "", s.Range(), []string{}
		if !s.Secret {
			flag = "`--" + s.Flag() + "`"
		}
		if s.Default != "" {
			standard = "`" + s.Default + "`"
		}
		if byAuto[s.Name] {
			marks = append(marks, "auto")
		}
		if adjustable[s.Name] {
			marks = append(marks, "API")
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s | %s |\n", s.Name, flag, standard, limits, strings.Join(marks, ", "), s.Help)
	}
	out.WriteString("\n## Go runtime\n\nNo settings of memwarden: `memwarden start` and `memwarden run` pass them on from the environment file, checked.\n\n| variable | range | meaning |\n| --- | --- | --- |\n")
	for _, s := range config.RuntimeSettings() {
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", s.Name, s.Range(), s.Help)
	}
	out.WriteString("\n## Automatic start only\n\n| variable | default | meaning |\n| --- | --- | --- |\n")
	served := map[string]bool{}
	for _, s := range config.Settings() {
		served[s.Name] = true
	}
	for _, s := range auto.Settings() {
		if !served[s.Name] {
			fmt.Fprintf(&out, "| `%s` | `%s` | %s |\n", s.Name, s.Default, s.Help)
		}
	}
	out.WriteString("\n`MEMWARDEN_ADDR` has no default there: without it no listener is opened, and `MEMWARDEN_LOG_MEMORY_INTERVAL` is `0s`.\n")
	return out.String()
}
