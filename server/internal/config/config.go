// Package config reads the server's configuration: flags before the environment, before an environment file, before
// defaults.
//
// It knows the table of the server's settings, which the library's joins, and the grammar of environment files. It
// reads no environment and no command line of its own, both come as arguments, and it opens no file but the
// environment file. Package launch and every command of cmd/memwarden stand above.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/server/internal/notify"
	"github.com/memwarden/memwarden/settings"
)

// Config is the configuration in force.
type Config struct {
	Addr           string // host:port
	MaxLiveClients int

	MaxRequests      int
	MaxRequestMemory int64         // bytes
	RequestWait      time.Duration // 0: none

	AdminToken     memhttp.Token
	ReadsNeedToken bool
	RateLimit      int // requests a second of one client; 0: no limit
	RateBurst      int
	AdminRateLimit int // as RateLimit
	// ReportRateLimit bounds the reports a second that pages at one address send.
	ReportRateLimit int
	TrustedProxies  []netip.Prefix
	FrontendOrigins []string // of pages that may send reports, beside the service's own

	DataDir          string
	DatabaseURL      Secret // empty: the embedded database
	DatabaseMaxConns int
	RedisURL         Secret // empty: none
	RedisMaxConns    int
	CacheMaxEntries  int
	CacheMaxBytes    int64
	CacheTTL         time.Duration
	ReportsMaxCount  int
	ReportsMaxAge    time.Duration
	LeaksMaxCount    int
	LeaksMaxAge      time.Duration

	WebhookURL     Secret // empty: nobody is told
	WebhookSecret  Secret // empty: nothing is signed
	WebhookFormat  notify.Format
	WebhookEvents  []string
	WebhookTimeout time.Duration
	WebhookRetry   time.Duration // 0: none

	DrainDelay      time.Duration
	ShutdownTimeout time.Duration // DrainDelay included

	LogLevel          slog.Level
	LogFormat         string        // json or text
	LogMemoryInterval time.Duration // 0: never

	// The log file of the command start.
	LogFile         string
	LogFileMaxBytes int64
	LogFileMaxCount int // older ones beside it

	Warden    memwarden.Config
	Snapshot  memwarden.SnapshotOptions // its Dir is set
	Incidents memwarden.IncidentOptions // its Dir is set

	// Values are the settings with their sources, in the order of Settings.
	Values settings.Values
	// EnvFile is the environment file that was read; empty: none. File is all that it sets, the settings too.
	EnvFile string
	File    []Assignment
}

// Names of the sources of values; a value of the environment file has the file's name, one that nobody set
// settings.SourceDefault.
const (
	SourceFlag        = "flag"
	SourceEnvironment = "environment"
)

// DefaultEnvFile is read from the working directory where it is a regular file.
const DefaultEnvFile = ".env"

// Sources are where a configuration comes from.
type Sources struct {
	// Flag looks a setting's name up on the command line; nil: there are no flags.
	Flag func(name string) (string, bool)
	// Environ is the environment, as NAME=value.
	Environ []string
	// EnvFile is the environment file, which must exist. Nil: DefaultEnvFile in Dir, if it exists; empty: none.
	EnvFile *string
	// Dir is the directory that DefaultEnvFile is read from; empty: the working directory.
	Dir string
}

// Load reads and checks the configuration. The error joins every mistake of every source, so that all of them can be
// mended at once, and contains no secret; Config.Values is then still good for showing what was understood. The
// warnings are about things that change nothing, such as an unknown name in the environment.
func Load(s Sources) (c Config, warnings []string, err error) {
	var mistakes []error
	c.EnvFile, c.File, err = s.readEnvFile()
	mistakes = append(mistakes, err)
	table := Settings()
	mistakes = append(mistakes, unknownInFile(table, c.EnvFile, c.File)...)
	mistakes = append(mistakes, runtimeMistakes(c.EnvFile, c.File)...)

	layers := []settings.Layer{
		{Source: SourceEnvironment, Lookup: lookupEnviron(s.Environ)},
		{Source: c.EnvFile, Lookup: lookupFile(c.File)},
	}
	if s.Flag != nil {
		layers = append([]settings.Layer{{Source: SourceFlag, Lookup: s.Flag}}, layers...)
	}
	c.Values, err = settings.Resolve(table, layers...)
	mistakes = append(mistakes, err)
	c.Warden, err = memwarden.ConfigFrom(c.Values)
	mistakes = append(mistakes, err)
	c.fill()
	mistakes = append(mistakes, c.mistakes()...)

	warnings = append(unknownInEnvironment(table, s.Environ), c.exposedSecrets()...)
	return c, warnings, c.withLines(errors.Join(mistakes...))
}

// withLines has every mistake in a value of the environment file name its line.
func (c *Config) withLines(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // each of what is joined is looked at
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, c.withLines(one))
		}
		return errors.Join(all...)
	}
	mistake, ok := err.(*settings.Mistake) //nolint:errorlint // nothing wraps it
	if !ok || mistake.Source != c.EnvFile {
		return err
	}
	for _, a := range c.File {
		if a.Name == mistake.Name {
			return &LineError{c.EnvFile, a.Line, fmt.Sprintf("%s: %v", a.Name, mistake.Err)}
		}
	}
	return err
}

func (s Sources) readEnvFile() (name string, assignments []Assignment, err error) {
	if s.EnvFile != nil {
		name = *s.EnvFile
	} else if path := filepath.Join(s.Dir, DefaultEnvFile); isFile(path) {
		name = path
	}
	if name == "" {
		return "", nil, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return name, nil, fmt.Errorf("environment file: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	assignments, err = ParseEnvFile(name, file)
	return name, assignments, err
}

// isFile also says yes where it cannot tell, so that opening the file says why.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() || err != nil && !errors.Is(err, fs.ErrNotExist)
}

func lookupEnviron(environ []string) func(string) (string, bool) {
	values := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if _, twice := values[name]; !twice { // os.LookupEnv finds the first, too
			values[name] = value
		}
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

func lookupFile(assignments []Assignment) func(string) (string, bool) {
	values := make(map[string]string, len(assignments))
	for _, a := range assignments {
		values[a.Name] = string(a.Value)
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

// fill copies checked values into fields.
func (c *Config) fill() {
	v := c.Values
	c.Addr = v.String(addr)
	c.MaxLiveClients = int(v.Int(MaxLiveClients))
	c.MaxRequests = int(v.Int(MaxRequests))
	c.MaxRequestMemory = v.Bytes(MaxRequestMemory)
	c.RequestWait = v.Duration(requestWait)
	c.AdminToken, _ = memhttp.ParseToken(v.String(adminToken)) // the table has checked it
	c.ReadsNeedToken = v.Bool(readsNeedToken)
	c.RateLimit = int(v.Int(rateLimit))
	c.RateBurst = int(v.Int(rateBurst))
	c.AdminRateLimit = int(v.Int(adminRateLimit))
	c.ReportRateLimit = int(v.Int(reportRateLimit))
	c.TrustedProxies, _ = memhttp.ParseTrustedProxies(v.String(trustedProxies)) // the table has checked it
	c.FrontendOrigins, _ = memhttp.ParseOrigins(v.String(frontendOrigins))      // and this
	c.DataDir = v.String(dataDir)
	c.DatabaseURL = Secret(v.String(databaseURL))
	c.DatabaseMaxConns = int(v.Int(DatabaseMaxConns))
	c.ReportsMaxCount = int(v.Int(reportsMaxCount))
	c.ReportsMaxAge = v.Duration(reportsMaxAge)
	c.LeaksMaxCount = int(v.Int(leaksMaxCount))
	c.LeaksMaxAge = v.Duration(leaksMaxAge)
	c.RedisURL = Secret(v.String(redisURL))
	c.RedisMaxConns = int(v.Int(redisMaxConns))
	c.CacheMaxEntries = int(v.Int(cacheMaxEntries))
	c.CacheMaxBytes = v.Bytes(cacheMaxBytes)
	c.CacheTTL = v.Duration(cacheTTL)
	c.WebhookURL = Secret(v.String(webhookURL))
	c.WebhookSecret = Secret(v.String(webhookSecret))
	c.WebhookFormat = notify.Format(strings.ToLower(v.String(webhookFormat)))
	c.WebhookEvents, _ = notify.ParseEvents(v.String(webhookEvents)) // the table has checked it
	c.WebhookTimeout = v.Duration(webhookTimeout)
	c.WebhookRetry = v.Duration(webhookRetry)
	c.DrainDelay = v.Duration(drainDelay)
	c.ShutdownTimeout = v.Duration(shutdownTimeout)
	c.LogLevel = level(v.String(logLevel))
	c.LogFormat = strings.ToLower(v.String(logFormat))
	c.LogMemoryInterval = v.Duration(logMemory)
	c.LogFile = v.String(logFile)
	c.LogFileMaxBytes = v.Bytes(logFileMaxBytes)
	c.LogFileMaxCount = int(v.Int(logFileMaxCount))
	if c.Snapshot = memwarden.SnapshotOptionsFrom(v); c.Snapshot.Dir == "" {
		c.Snapshot.Dir = filepath.Join(c.DataDir, "snapshots")
	}
	if c.Incidents = memwarden.IncidentOptionsFrom(v); c.Incidents.Dir == "" {
		c.Incidents.Dir = filepath.Join(c.DataDir, "incidents")
	}
}

// mistakes are those that no setting shows alone.
func (c *Config) mistakes() []error {
	var all []error
	add := func(name, message string) {
		all = append(all, &settings.Mistake{Name: name, Source: c.Values.Get(name).Source, Err: errors.New(message)})
	}
	if c.DrainDelay >= c.ShutdownTimeout {
		add(drainDelay, fmt.Sprintf("%v is not below %s %v, which it is a part of", c.DrainDelay, shutdownTimeout, c.ShutdownTimeout))
	}
	// A token that was set and cannot be used is a mistake already.
	if c.ReadsNeedToken && c.Values.String(adminToken) == "" {
		add(readsNeedToken, "reads ask for a token, but there is no usable "+adminToken)
	}
	return all
}

// exposedSecrets warns of an environment file that holds secrets and that every user of the machine can read.
func (c *Config) exposedSecrets() []string {
	if c.EnvFile == "" {
		return nil
	}
	info, err := os.Stat(c.EnvFile)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o004 == 0 || onWindows {
		return nil
	}
	for _, value := range c.Values.All() {
		if value.Setting.Secret && value.Source == c.EnvFile {
			return []string{fmt.Sprintf("%s holds %s and every user of this machine can read it: chmod o-r %[1]s", c.EnvFile, value.Setting.Name)}
		}
	}
	return nil
}
