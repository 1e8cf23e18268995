package reference

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/settings"
)

// templatePath is the environment file that a production setup begins with.
var templatePath = filepath.Join("..", "..", "..", ".env.production.template")

func TestTemplateIsUpToDate(t *testing.T) { upToDate(t, templatePath, template()) }

// template lists every setting with its unit, default, range and effect. All are commented out: what nobody decides
// follows the container, the machine and the defaults.
func template() string {
	var out strings.Builder
	out.WriteString(`# Settings of the service in production: copy this file to .env.production and edit it.
#
# Every setting is here, with its default; remove the # before NAME= to set it. What is not set follows the container and
# the machine where the start script sizes it, or has its default. An empty value counts as not set.
#
# One NAME=value a line; nothing is evaluated, a $ is a $. A value ends before a # that follows white space. Values with
# such a #, or with space around them, stand between single quotes, where every character is itself, or double quotes,
# where \n, \", \\ and \$ stand for a new line, a quote, a backslash and a dollar.
#
# What this file holds may be secret: chmod 600 .env.production.
#
# Made from the code by make generate.
`)
	adjustable := map[string]bool{}
	for _, s := range memwarden.ConfigSettings() {
		adjustable[s.Name] = true
	}
	section := ""
	for _, s := range templateSettings() {
		if s.Section != section {
			section = s.Section
			fmt.Fprintf(&out, "\n# ===== %s =====\n", section)
		}
		out.WriteString("\n")
		for _, line := range wrap(s.Help, 118) {
			fmt.Fprintf(&out, "# %s\n", line)
		}
		facts := []string{s.Kind.String()}
		if s.Default != "" {
			facts = append(facts, "default "+s.Default)
		} else {
			facts = append(facts, "no default")
		}
		if limits := s.Range(); limits != "" {
			facts = append(facts, limits)
		}
		if s.Secret {
			facts = append(facts, "secret")
		}
		if adjustable[s.Name] {
			facts = append(facts, "can be changed while the service runs")
		}
		fmt.Fprintf(&out, "# [%s]\n#%s\n", strings.Join(facts, "; "), config.FormatAssignment(s.Name, s.Default))
	}
	return out.String()
}

// templateSettings are all that an environment file may set, those of the Go runtime first.
func templateSettings() []settings.Setting {
	return slices.Concat(config.RuntimeSettings(), config.Settings())
}

func wrap(text string, columns int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > columns {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

var commentedSetting = regexp.MustCompile(`(?m)^#([A-Z][A-Z0-9_]*=)`)

// TestTemplateAndConfigurationAgree reads the template as the service does, with every setting made effective: what it
// sets is what the code knows, both ways, with the defaults that the code has.
func TestTemplateAndConfigurationAgree(t *testing.T) {
	text, err := os.ReadFile(templatePath)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "effective.env")
	if err := os.WriteFile(file, commentedSetting.ReplaceAll(text, []byte("$1")), 0o600); err != nil {
		t.Fatal(err)
	}
	effective, _, err := config.Load(config.Sources{EnvFile: &file})
	if err != nil {
		t.Fatal(err)
	}
	none := ""
	plain, _, err := config.Load(config.Sources{EnvFile: &none})
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, a := range effective.File {
		listed[a.Name] = true
	}
	known := map[string]bool{config.MemoryLimit: true, config.GCPercent: true, config.MaxProcs: true}
	for _, v := range plain.Values.All() {
		known[v.Setting.Name] = true
	}
	for name := range known {
		if !listed[name] {
			t.Errorf("%s is read and not in the template", name)
		}
	}
	for name := range listed {
		if !known[name] {
			t.Errorf("%s is in the template and not read", name)
		}
	}
	if !reflect.DeepEqual(fields(plain), fields(effective)) {
		t.Errorf("the template's defaults are not the code's:\n%+v\n%+v", fields(plain), fields(effective))
	}

	asItStands, _, err := config.Load(config.Sources{EnvFile: &templatePath})
	if err != nil || len(asItStands.File) != 0 {
		t.Errorf("the template as it stands sets %v, %v", asItStands.File, err)
	}
}

// fields are what the service acts on, without where it came from.
func fields(c config.Config) config.Config {
	c.Values, c.EnvFile, c.File = settings.Values{}, "", nil
	return c
}

// others are values for settings that have a check of their own.
var others = map[string]string{
	"MEMWARDEN_ADDR": ":1", "MEMWARDEN_ADMIN_TOKEN": "correct horse battery staple", "MEMWARDEN_TRUSTED_PROXIES": "10.0.0.0/8",
	"MEMWARDEN_FRONTEND_ORIGINS": "https://app.example",
	"MEMWARDEN_DATABASE_URL":     "postgres://h/d", "MEMWARDEN_REDIS_URL": "redis://h", "MEMWARDEN_WEBHOOK_URL": "https://h/",
	"MEMWARDEN_WEBHOOK_SECRET": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "MEMWARDEN_WEBHOOK_FORMAT": "alertmanager",
	"MEMWARDEN_WEBHOOK_EVENTS": "leaks", "MEMWARDEN_LOG_LEVEL": "debug", "MEMWARDEN_LOG_FORMAT": "text",
	"MEMWARDEN_PRESSURE_ELEVATED": "0.71", "MEMWARDEN_PRESSURE_HIGH": "0.81", "MEMWARDEN_PRESSURE_CRITICAL": "0.91",
	// These have no other value below what they are bounded by.
	"MEMWARDEN_GC_MAX_INTERVAL": "6m", "MEMWARDEN_GC_TUNER_MAX": "501", "MEMWARDEN_SLOW_INTERVAL": "11s",
}

// TestEverySettingChangesSomething: a setting that the code lists and does not act on would promise what is not there.
func TestEverySettingChangesSomething(t *testing.T) {
	none := ""
	plain, _, err := config.Load(config.Sources{EnvFile: &none})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range config.Settings() {
		environ := []string{s.Name + "=" + another(s)}
		if s.Name == "MEMWARDEN_READS_NEED_TOKEN" {
			environ = append(environ, "MEMWARDEN_ADMIN_TOKEN="+others["MEMWARDEN_ADMIN_TOKEN"])
		}
		changed, warnings, err := config.Load(config.Sources{EnvFile: &none, Environ: environ})
		if err != nil || warnings != nil {
			t.Errorf("%v: %v %v", environ, err, warnings)
		} else if reflect.DeepEqual(fields(plain), fields(changed)) {
			t.Errorf("%v changes nothing", environ)
		}
	}
}

// another is a value that a setting has not by default.
func another(s settings.Setting) string {
	if text, ok := others[s.Name]; ok {
		return text
	}
	switch s.Kind {
	case settings.Bool:
		return strconv.FormatBool(s.Default != "true")
	case settings.Int:
		n, _ := strconv.Atoi(s.Default)
		return strconv.Itoa(n + 1)
	case settings.Ratio:
		f, _ := strconv.ParseFloat(s.Default, 64)
		return strconv.FormatFloat(f-0.005, 'f', -1, 64)
	case settings.Duration:
		return s.Default + "1s"
	case settings.Bytes:
		return "99MiB"
	default:
		return "another"
	}
}
