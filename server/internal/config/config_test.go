package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func flags(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

func envFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestDefaults(t *testing.T) {
	c, warnings, err := Load(Sources{Dir: t.TempDir()})
	if err != nil || warnings != nil {
		t.Fatal(warnings, err)
	}
	got := fmt.Sprintln(c.Addr, c.MaxLiveClients, c.MaxRequests, c.MaxRequestMemory, c.RequestWait, c.AdminToken, c.ReadsNeedToken, c.RateLimit, c.RateBurst, c.AdminRateLimit, c.ReportRateLimit, c.TrustedProxies, c.DataDir,
		c.DatabaseURL == "", c.DatabaseMaxConns, c.ReportsMaxCount, c.ReportsMaxAge, c.LeaksMaxCount, c.LeaksMaxAge, c.RedisURL == "", c.RedisMaxConns, c.CacheMaxEntries, c.CacheMaxBytes, c.CacheTTL, c.WebhookURL == "", c.WebhookSecret == "", c.WebhookFormat, c.WebhookEvents, c.WebhookTimeout, c.WebhookRetry,
		c.DrainDelay, c.ShutdownTimeout, c.LogLevel, c.LogFormat, c.LogMemoryInterval, c.LogFile, c.LogFileMaxBytes, c.LogFileMaxCount, c.EnvFile == "")
	want := "127.0.0.1:8080 100 256 67108864 250ms not set false 100 200 10 5 [] data true 20 1000 24h0m0s 1000 24h0m0s true 10 10000 4194304 10m0s true true json [leaks pressure incidents] 10s 15m0s 1s 30s INFO json 1m0s logs/application.log 16777216 4 true\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if c.Warden.Limit.Ratio != 0.9 || c.Warden.Sampling.IntervalSeconds != 1 {
		t.Errorf("the library's configuration: %+v", c.Warden)
	}
}

// The table is what documents and flags are made of.
func TestTable(t *testing.T) {
	table := Settings()
	names := map[string]bool{}
	for _, s := range table {
		if names[s.Name] || names[s.Flag()] {
			t.Errorf("%s stands twice", s.Name)
		}
		names[s.Name], names[s.Flag()] = true, true
		if s.Section == "" || !strings.HasSuffix(s.Help, ".") || !strings.HasPrefix(s.Name, settings.Prefix) {
			t.Errorf("%s: section %q, help %q", s.Name, s.Section, s.Help)
		}
	}
	if _, err := settings.Resolve(table); err != nil {
		t.Errorf("a default cannot be used: %v", err)
	}
}

func TestPrecedence(t *testing.T) {
	file := envFile(t, "MEMWARDEN_ADDR=:1\nMEMWARDEN_DATA_DIR=from-file\nMEMWARDEN_RATE_LIMIT=3\nMEMWARDEN_LIMIT_RATIO=50%\nGOGC=77\n", 0o600)
	c, warnings, err := Load(Sources{
		Flag:    flags(map[string]string{"MEMWARDEN_ADDR": ":3"}),
		Environ: []string{"MEMWARDEN_ADDR=:2", "MEMWARDEN_DATA_DIR=from-environment", "MEMWARDEN_DATA_DIR=second", "MEMWARDEN_RATE_LIMIT="},
		EnvFile: &file,
	})
	if err != nil || warnings != nil {
		t.Fatal(warnings, err)
	}
	for name, want := range map[string]string{
		"MEMWARDEN_ADDR": ":3 flag", "MEMWARDEN_DATA_DIR": "from-environment environment", "MEMWARDEN_RATE_LIMIT": "3 " + file,
		"MEMWARDEN_LIMIT_RATIO": "50% " + file, "MEMWARDEN_RATE_BURST": "200 default",
	} {
		if v := c.Values.Get(name); v.Text+" "+v.Source != want {
			t.Errorf("%s: %s %s, want %s", name, v.Text, v.Source, want)
		}
	}
	if c.Addr != ":3" || c.DataDir != "from-environment" || c.Incidents.Dir != filepath.Join("from-environment", "incidents") || c.RateLimit != 3 || c.Warden.Limit.Ratio != 0.5 || c.EnvFile != file {
		t.Errorf("%+v", c)
	}
	if !slices.Contains(c.File, Assignment{"GOGC", "77", 5}) {
		t.Errorf("names of others are not kept: %v", c.File)
	}
}

// TestLeakSettings: from wherever they come, they reach the warden's configuration.
func TestLeakSettings(t *testing.T) {
	for name, of := range map[string]func(memwarden.LeakConfig) bool{
		"MEMWARDEN_LEAK_PAUSED":       func(c memwarden.LeakConfig) bool { return c.Paused },
		"MEMWARDEN_LEAK_AUTO_CLEANUP": func(c memwarden.LeakConfig) bool { return c.AutoCleanup },
	} {
		file := envFile(t, name+"=true\n", 0o600)
		for source, s := range map[string]Sources{
			"none": {Dir: t.TempDir()}, "file": {EnvFile: &file}, "environment": {Dir: t.TempDir(), Environ: []string{name + "=true"}},
			"flag":             {Dir: t.TempDir(), Flag: flags(map[string]string{name: "true"})},
			"flag before file": {EnvFile: &file, Flag: flags(map[string]string{name: "false"})},
		} {
			c, warnings, err := Load(s)
			if want := source == "file" || source == "environment" || source == "flag"; err != nil || warnings != nil || of(c.Warden.Leaks) != want {
				t.Errorf("%s from %s: %+v, %v, %v", name, source, c.Warden.Leaks, warnings, err)
			}
		}
	}
}

func TestWhichEnvFile(t *testing.T) {
	file := envFile(t, "MEMWARDEN_ADDR=:1\n", 0o600)
	dir := filepath.Dir(file)
	none, missing := "", filepath.Join(dir, "missing")

	if c, _, err := Load(Sources{Dir: dir}); err != nil || c.Addr != ":1" || c.EnvFile != file {
		t.Errorf("in the directory: %q of %q, %v", c.Addr, c.EnvFile, err)
	}
	if c, _, err := Load(Sources{Dir: dir, EnvFile: &none}); err != nil || c.EnvFile != "" || c.Addr == ":1" {
		t.Errorf("none: %q, %v", c.EnvFile, err)
	}
	if _, _, err := Load(Sources{Dir: dir, EnvFile: &missing}); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing: %v", err)
	}
	venv := t.TempDir() // a directory of that name belongs to somebody else
	if err := os.Mkdir(filepath.Join(venv, ".env"), 0o700); err != nil {
		t.Fatal(err)
	}
	if c, _, err := Load(Sources{Dir: venv}); err != nil || c.EnvFile != "" {
		t.Errorf("a directory: %q, %v", c.EnvFile, err)
	}
}

const secret = "hunter2-hunter2-hunter2"

func TestEveryMistakeAtOnceAndNoSecret(t *testing.T) {
	file := envFile(t, "MEMWARDEN_DATABASE_URL=mysql://u:"+secret+"@h/d\nMEMWARDEN_ADDRESS=:1\nbroken "+secret+"\nMEMWARDEN_TOKEN_OF_THE_ADMINISTRATOR="+secret+"\n", 0o600)
	_, _, err := Load(Sources{
		Flag: flags(map[string]string{"MEMWARDEN_ADDR": "8080", "MEMWARDEN_PRESSURE_HIGH": "0.95", "MEMWARDEN_LOG_LEVEL": "loud"}),
		Environ: []string{
			"MEMWARDEN_ADMIN_TOKEN=hunter2", "MEMWARDEN_REDIS_URL=redis://:" + secret + "%zz@h", "MEMWARDEN_DATABASE_MAX_CONNS=0",
			"MEMWARDEN_READS_NEED_TOKEN=maybe", "MEMWARDEN_DRAIN_DELAY=45s", "MEMWARDEN_LOG_FORMAT=xml",
			"MEMWARDEN_WEBHOOK_URL=https://h/" + secret + ",ftp://u:" + secret + "@h", "MEMWARDEN_WEBHOOK_SECRET=" + secret, "MEMWARDEN_WEBHOOK_EVENTS=all", "MEMWARDEN_LIMIT_RATIO=2",
		},
		EnvFile: &file,
	})
	want := strings.ReplaceAll(`FILE:3: want NAME=value
FILE:2: MEMWARDEN_ADDRESS is not a setting: did you mean MEMWARDEN_ADDR?
FILE:4: MEMWARDEN_TOKEN_OF_THE_ADMINISTRATOR is not a setting
MEMWARDEN_ADDR (flag): "8080": want host:port, such as 127.0.0.1:8080
MEMWARDEN_ADMIN_TOKEN (environment): memhttp: admin token: it has 7 characters, want at least 16
MEMWARDEN_READS_NEED_TOKEN (environment): "maybe": want true or false
FILE:1: MEMWARDEN_DATABASE_URL: want a URL that begins with postgres:// or postgresql://
MEMWARDEN_DATABASE_MAX_CONNS (environment): "0": want 1 to 1000
MEMWARDEN_REDIS_URL (environment): not a URL: outside letters, digits, - . _ and ~, characters of a user name or password are written as %XX
MEMWARDEN_WEBHOOK_URL (environment): URL 2: want a URL that begins with http:// or https:// and a host
MEMWARDEN_WEBHOOK_SECRET (environment): key 1: want whsec_ and 24 to 64 bytes in base64, as of: echo whsec_$(openssl rand -base64 32)
MEMWARDEN_WEBHOOK_EVENTS (environment): "all": want leaks or pressure or incidents, with commas between them
MEMWARDEN_LOG_LEVEL (flag): "loud": want debug, info, warn or error
MEMWARDEN_LOG_FORMAT (environment): "xml": want json or text
MEMWARDEN_LIMIT_RATIO (environment): "2": want 0.1 to 1
MEMWARDEN_PRESSURE_HIGH (flag): 0.95 is not below pressure.critical_ratio 0.9
MEMWARDEN_DRAIN_DELAY (environment): 45s is not below MEMWARDEN_SHUTDOWN_TIMEOUT 30s, which it is a part of`, "FILE", file)
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Error("a mistake shows a secret")
	}
}

func TestChecks(t *testing.T) {
	cases := []struct {
		setting, text string
		good          bool
	}{
		{addr, ":0", true}, {addr, "[::1]:80", true}, {addr, "example.org:443", true}, {addr, ":65536", false}, {addr, ":http", false}, {addr, ":00", false},
		{adminToken, "sha256:" + strings.Repeat("ab", 32), true}, {adminToken, "sha256:ab", false}, {adminToken, strings.Repeat("x", 16), true},
		{databaseURL, "postgresql://h/d", true}, {databaseURL, "host=h dbname=d", false}, {redisURL, "rediss://h", true}, {redisURL, "http://h", false},
		{webhookURL, "https://u:p@h/x?y, http://[::1]:9093", true}, {webhookURL, "https://", false}, {webhookFormat, "Alertmanager", true},
		{webhookFormat, "slack", false}, {webhookEvents, "Pressure", true}, {webhookTimeout, "0s", false}, {webhookRetry, "0s", true},
		{webhookSecret, "whsec_" + strings.Repeat("YWFh", 8), true}, {webhookSecret, strings.Repeat("YWFh", 8), false},
		{trustedProxies, "10.0.0.0/8, ::1", true}, {trustedProxies, "10.0.0.1/8", false}, {trustedProxies, "proxy", false},
		{frontendOrigins, "https://app.example, http://localhost:3000", true}, {frontendOrigins, "*", true}, {frontendOrigins, "app.example", false},
		{rateLimit, "0", true}, {rateBurst, "0", false}, {rateLimit, "-1", false}, {logLevel, "WARN", true}, {logFormat, "Text", true},
		{drainDelay, "0s", true}, {drainDelay, "5", false}, {shutdownTimeout, "500ms", false},
	}
	for _, c := range cases {
		_, _, err := Load(Sources{Dir: t.TempDir(), Environ: []string{c.setting + "=" + c.text}})
		if (err == nil) != c.good {
			t.Errorf("%s=%s: %v", c.setting, c.text, err)
		}
	}
	c, _, err := Load(Sources{Dir: t.TempDir(), Environ: []string{logLevel + "=WARN", logFormat + "=Text", drainDelay + "=0s"}})
	if err != nil || c.LogLevel != slog.LevelWarn || c.LogFormat != "text" || c.DrainDelay != 0 || c.ShutdownTimeout != 30*time.Second {
		t.Errorf("%+v, %v", c, err)
	}
	c, _, err = Load(Sources{Dir: t.TempDir(), Environ: []string{trustedProxies + "=10.0.0.0/8 192.0.2.1"}})
	if err != nil || fmt.Sprint(c.TrustedProxies) != "[10.0.0.0/8 192.0.2.1/32]" {
		t.Errorf("trusted proxies %v, %v", c.TrustedProxies, err)
	}
	if _, _, err = Load(Sources{Dir: t.TempDir(), Environ: []string{readsNeedToken + "=yes"}}); err == nil || !strings.Contains(err.Error(), adminToken) {
		t.Errorf("reads need a token that is not set: %v", err)
	}
}

func TestUnknownNamesInTheEnvironmentAreWarnings(t *testing.T) {
	_, warnings, err := Load(Sources{Dir: t.TempDir(), Environ: []string{
		"MEMWARDEN_DATADIR=" + secret, "memwarden_addr=:1", "MEMWARDEN_PORT=8080", "MEMWARDEN_" + strings.Repeat("X", 200) + "=1", "PATH=/bin",
		// Kubernetes, for a Service of this name, and the launcher:
		"MEMWARDEN_PORT=tcp://10.0.0.1:8080", "MEMWARDEN_SERVICE_HOST=10.0.0.1", "MEMWARDEN_SERVICE_PORT=8080", "MEMWARDEN_SERVICE_PORT_HTTP=8080",
		"MEMWARDEN_PORT_8080_TCP=tcp://10.0.0.1:8080", "MEMWARDEN_PORT_8080_TCP_ADDR=10.0.0.1", "MEMWARDEN_GOMEMLIMIT_DERIVED=1",
	}})
	want := []string{
		"MEMWARDEN_DATADIR is not a setting: did you mean MEMWARDEN_DATA_DIR? (environment)",
		"MEMWARDEN_PORT is not a setting (environment)",
		"MEMWARDEN_" + strings.Repeat("X", 200) + " is not a setting (environment)",
		"memwarden_addr is not a setting: did you mean MEMWARDEN_ADDR? (environment)",
	}
	if err != nil || !slices.Equal(warnings, want) {
		t.Errorf("%v\n%s", err, strings.Join(warnings, "\n"))
	}
}

func TestWarnsOfSecretsThatAllCanRead(t *testing.T) {
	if onWindows {
		t.Skip("no such modes")
	}
	const text = "MEMWARDEN_ADMIN_TOKEN=" + secret + "\n"
	for _, c := range []struct {
		text string
		mode os.FileMode
		want int
	}{{text, 0o600, 0}, {text, 0o640, 0}, {text, 0o644, 1}, {"MEMWARDEN_ADDR=:1\n", 0o644, 0}} {
		file := envFile(t, c.text, c.mode)
		_, warnings, err := Load(Sources{EnvFile: &file})
		if err != nil || len(warnings) != c.want || strings.Contains(strings.Join(warnings, ""), secret) {
			t.Errorf("%q, mode %o: %q, %v", c.text, c.mode, warnings, err)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	file := envFile(t, "OTHER="+secret+"\n", 0o600)
	c, _, err := Load(Sources{EnvFile: &file, Environ: []string{
		databaseURL + "=postgres://u:" + secret + "@h/d", redisURL + "=redis://:" + secret + "@h", adminToken + "=" + secret,
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.Values = settings.Values{} // masks by Display alone
	var out strings.Builder
	fmt.Fprintf(&out, "%v %+v %#v %s %q", c, c, c, c.DatabaseURL, c.RedisURL)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "config", c, "url", c.DatabaseURL)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "url", c.RedisURL, "file", c.File)
	if err := json.NewEncoder(&out).Encode(c); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Error(out.String())
	}
	if string(c.DatabaseURL) != "postgres://u:"+secret+"@h/d" || Secret("").String() != "" {
		t.Error("a secret is lost")
	}
}
