package config

import (
	"errors"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/server/internal/notify"
	"github.com/memwarden/memwarden/settings"
)

// Settings is the table of everything that can be set at the start of the server: its own settings, then the
// library's. Documents, flags and the config command are made from it.
func Settings() []settings.Setting {
	return slices.Concat(serverSettings(), memwarden.SnapshotSettings(), memwarden.IncidentSettings(), memwarden.ConfigSettings())
}

// The server's own settings, by the part of the name that follows settings.Prefix. A launcher sizes those whose names are
// exported.
const (
	addr             = settings.Prefix + "ADDR"
	dataDir          = settings.Prefix + "DATA_DIR"
	adminToken       = settings.Prefix + "ADMIN_TOKEN"
	readsNeedToken   = settings.Prefix + "READS_NEED_TOKEN"
	rateLimit        = settings.Prefix + "RATE_LIMIT"
	rateBurst        = settings.Prefix + "RATE_BURST"
	adminRateLimit   = settings.Prefix + "ADMIN_RATE_LIMIT"
	reportRateLimit  = settings.Prefix + "REPORT_RATE_LIMIT"
	trustedProxies   = settings.Prefix + "TRUSTED_PROXIES"
	frontendOrigins  = settings.Prefix + "FRONTEND_ORIGINS"
	MaxLiveClients   = settings.Prefix + "MAX_LIVE_CLIENTS"
	MaxRequests      = settings.Prefix + "MAX_REQUESTS"
	StatedLimit      = settings.Prefix + "MEMORY_LIMIT"
	MaxRequestMemory = settings.Prefix + "MAX_REQUEST_MEMORY"
	requestWait      = settings.Prefix + "REQUEST_WAIT"
	databaseURL      = settings.Prefix + "DATABASE_URL"
	DatabaseMaxConns = settings.Prefix + "DATABASE_MAX_CONNS"
	reportsMaxCount  = settings.Prefix + "REPORTS_MAX_COUNT"
	reportsMaxAge    = settings.Prefix + "REPORTS_MAX_AGE"
	leaksMaxCount    = settings.Prefix + "LEAK_REPORTS_MAX_COUNT"
	leaksMaxAge      = settings.Prefix + "LEAK_REPORTS_MAX_AGE"
	redisURL         = settings.Prefix + "REDIS_URL"
	redisMaxConns    = settings.Prefix + "REDIS_MAX_CONNS"
	cacheMaxEntries  = settings.Prefix + "CACHE_MAX_ENTRIES"
	cacheMaxBytes    = settings.Prefix + "CACHE_MAX_BYTES"
	cacheTTL         = settings.Prefix + "CACHE_TTL"
	webhookURL       = settings.Prefix + "WEBHOOK_URL"
	webhookSecret    = settings.Prefix + "WEBHOOK_SECRET"
	webhookFormat    = settings.Prefix + "WEBHOOK_FORMAT"
	webhookEvents    = settings.Prefix + "WEBHOOK_EVENTS"
	webhookTimeout   = settings.Prefix + "WEBHOOK_TIMEOUT"
	webhookRetry     = settings.Prefix + "WEBHOOK_RETRY"
	drainDelay       = settings.Prefix + "DRAIN_DELAY"
	shutdownTimeout  = settings.Prefix + "SHUTDOWN_TIMEOUT"
	logLevel         = settings.Prefix + "LOG_LEVEL"
	logFormat        = settings.Prefix + "LOG_FORMAT"
	logMemory        = settings.Prefix + "LOG_MEMORY_INTERVAL"
	logFile          = settings.Prefix + "LOG_FILE"
	logFileMaxBytes  = settings.Prefix + "LOG_FILE_MAX_BYTES"
	logFileMaxCount  = settings.Prefix + "LOG_FILE_MAX_COUNT"
)

// Sections of settings that not every command has.
const (
	SectionLogs    = "Logs"
	SectionLogFile = "Log file" // of the command start alone
)

func serverSettings() []settings.Setting {
	const (
		server    = "Server"
		security  = "Security"
		rates     = "Rate limits"
		database  = "Database"
		redis     = "Redis"
		cache     = "Cache"
		webSocket = "WebSocket"
		retention = "Retention"
		notified  = "Notifications"
		shutdown  = "Shutdown"
	)
	return []settings.Setting{
		{Name: addr, Section: server, Kind: settings.String, Default: "127.0.0.1:8080", Check: checkAddr,
			Help: "Address to listen on, as host:port. Without a host (:8080) it is every address of the machine."},
		{Name: MaxRequests, Section: server, Kind: settings.Int, Default: "256", Min: 1, Max: 1e6,
			Help: "Requests under way at one time; half as many at high memory pressure, a quarter at critical. Health, metrics and routes that need the token are not counted, and never refused for it."},
		{Name: MaxRequestMemory, Section: server, Kind: settings.Bytes, Default: "64MiB", Min: 16 << 20, Max: 1 << 40,
			Help: "Memory that these requests may take together, by estimate; the next is refused."},
		{Name: requestWait, Section: server, Kind: settings.Duration, Default: "250ms", Min: 0, Max: 60,
			Help: "How long a request may wait for its turn; 0s: not at all."},

		{Name: adminToken, Section: security, Kind: settings.String, Secret: true, Check: checkToken,
			Help: "Token of whoever may change or reveal something: at least 16 characters, or sha256: and the 64 hexadecimal digits of its hash. Without it nobody may."},
		{Name: readsNeedToken, Section: security, Kind: settings.Bool, Default: "false",
			Help: "Ask for the token on every route but health."},
		{Name: trustedProxies, Section: security, Kind: settings.String, Check: checkProxies,
			Help: "Addresses and networks (10.0.0.0/8) of the proxies in front, with commas between them. A client is then known by the address that they write into X-Forwarded-For or Forwarded, one of which they must write. Without any it is known by the address of its connection."},
		{Name: frontendOrigins, Section: security, Kind: settings.String, Check: checkOrigins,
			Help: "Origins (https://app.example.com) whose pages may send reports, with commas between them; *: all. Pages of the service's own origin may in any case. It is browsers that keep to this: other programs can send what they like."},

		{Name: rateLimit, Section: rates, Kind: settings.Int, Default: "100", Min: 0, Max: 1e6,
			Help: "Requests a second that one client may make, on average; 0: no limit."},
		{Name: rateBurst, Section: rates, Kind: settings.Int, Default: "200", Min: 1, Max: 1e6,
			Help: "Requests that one client may make at once."},
		{Name: adminRateLimit, Section: rates, Kind: settings.Int, Default: "10", Min: 0, Max: 1e6,
			Help: "Requests a second that one client may make on routes that need the token, on average; 0: no limit."},
		{Name: reportRateLimit, Section: rates, Kind: settings.Int, Default: "5", Min: 1, Max: 1e6,
			Help: "Reports a second that pages at one address may send, on average; four times as many at once."},

		{Name: dataDir, Section: database, Kind: settings.String, Default: "data",
			Help: "Directory of the embedded database; a relative one lies in the working directory. It is made if it does not exist."},
		{Name: databaseURL, Section: database, Kind: settings.String, Secret: true, Check: checkURL("postgres", "postgresql"),
			Help: "PostgreSQL to use in place of the embedded database: a URL that begins with postgres:// or postgresql://."},
		{Name: DatabaseMaxConns, Section: database, Kind: settings.Int, Default: "20", Min: 1, Max: 1000,
			Help: "Connections to PostgreSQL at one time."},

		{Name: redisURL, Section: redis, Kind: settings.String, Secret: true, Check: checkURL("redis", "rediss"),
			Help: "Redis that several servers share: the limits of their clients, up to 10000 requests a second, and which reports from pages they have, so that one which comes to two of them is kept once; its health is checked: a URL that begins with redis://, or rediss:// for TLS. While it does not answer, each server goes by itself."},
		{Name: redisMaxConns, Section: redis, Kind: settings.Int, Default: "10", Min: 1, Max: 10000,
			Help: "Connections to Redis at one time."},

		{Name: cacheMaxEntries, Section: cache, Kind: settings.Int, Default: "10000", Min: 1, Max: 1e7,
			Help: "Entries of the cache that knows which reports from pages were kept, so that one which is sent again is kept once."},
		{Name: cacheMaxBytes, Section: cache, Kind: settings.Bytes, Default: "4MiB", Min: 64 << 10, Max: 1 << 40,
			Help: "Memory that this cache may take, its own overhead included; it shrinks at high pressure."},
		{Name: cacheTTL, Section: cache, Kind: settings.Duration, Default: "10m", Min: 1, Max: 86400,
			Help: "How long this cache remembers a report."},

		{Name: MaxLiveClients, Section: webSocket, Kind: settings.Int, Default: "100", Min: 1, Max: 10000,
			Help: "Clients of the live stream at one time; the next is refused."},

		{Name: reportsMaxCount, Section: retention, Kind: settings.Int, Default: "1000", Min: 1, Max: 100000,
			Help: "Reports from pages that are kept; the oldest make room."},
		{Name: reportsMaxAge, Section: retention, Kind: settings.Duration, Default: "24h", Min: 60, Max: 8784 * 3600,
			Help: "How long a report from a page is kept."},
		{Name: leaksMaxCount, Section: retention, Kind: settings.Int, Default: "1000", Min: 1, Max: 100000,
			Help: "Leak reports that are kept; the oldest make room."},
		{Name: leaksMaxAge, Section: retention, Kind: settings.Duration, Default: "24h", Min: 60, Max: 8784 * 3600,
			Help: "How long a leak report is kept."},

		{Name: webhookURL, Section: notified, Kind: settings.String, Secret: true, Check: checkReceivers,
			Help: "Where leaks, critical pressure and incident bundles are posted to: URLs that begin with http:// or https://, at most 10, with commas between them. A user name and password in one are sent as HTTP Basic."},
		{Name: webhookSecret, Section: notified, Kind: settings.String, Secret: true, Check: checkKeys,
			Help: "Key that signs what is posted, as Standard Webhooks has it: whsec_ and 24 to 64 bytes in base64. Several with commas between them while one replaces another. Without it nothing is signed."},
		{Name: webhookFormat, Section: notified, Kind: settings.String, Default: string(notify.JSON), Check: checkWord(string(notify.JSON), string(notify.Alertmanager)),
			Help: "Form of what is posted: json, or alertmanager for Alertmanagers, whose URLs these are then."},
		{Name: webhookEvents, Section: notified, Kind: settings.String, Default: strings.Join(notify.EventNames(), ","), Check: checkEvents,
			Help: "What is told of, with commas between them: leaks, pressure (that is critical), incidents (bundles that nobody asked for)."},
		{Name: webhookTimeout, Section: notified, Kind: settings.Duration, Default: "10s", Min: 0.1, Max: 60,
			Help: "How long a receiver may take for its answer."},
		{Name: webhookRetry, Section: notified, Kind: settings.Duration, Default: "15m", Min: 0, Max: 86400,
			Help: "How long a notification that was not taken is tried again, after longer and longer pauses; 0s: it is not. The others wait meanwhile, 100 of them."},

		{Name: drainDelay, Section: shutdown, Kind: settings.Duration, Default: "1s", Min: 0, Max: 600,
			Help: "How long the server still accepts requests after it says that it is not ready. Behind a load balancer or in Kubernetes: 5s or more."},
		{Name: shutdownTimeout, Section: shutdown, Kind: settings.Duration, Default: "30s", Min: 1, Max: 3600,
			Help: "How long a shutdown may take, the drain delay included; longer than that and the exit code is 1."},

		{Name: logLevel, Section: SectionLogs, Kind: settings.String, Default: "info", Check: checkWord("debug", "info", "warn", "error"),
			Help: "Least level of the messages that are logged: debug, info, warn or error."},
		{Name: logFormat, Section: SectionLogs, Kind: settings.String, Default: "json", Check: checkWord("json", "text"),
			Help: "Form of the log: json or text."},
		{Name: logMemory, Section: SectionLogs, Kind: settings.Duration, Default: "1m", Min: 0, Max: 86400,
			Help: "How often a line sums up the memory in the log; 0s: never. Changes are logged when they happen."},

		{Name: logFile, Section: SectionLogFile, Kind: settings.String, Default: "logs/application.log",
			Help: "File in which memwarden start keeps what the service says, beside the standard output; a relative one lies in the service's directory."},
		{Name: logFileMaxBytes, Section: SectionLogFile, Kind: settings.Bytes, Default: "16MiB", Min: 64 << 10, Max: 1 << 40,
			Help: "Size of this file. Before it would be larger it is copied to an older one, whose name ends in .1, and emptied."},
		{Name: logFileMaxCount, Section: SectionLogFile, Kind: settings.Int, Default: "4", Min: 1, Max: 1000,
			Help: "Older files that are kept, each of that size."},
	}
}

func checkAddr(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return errors.New(strconv.Quote(text) + ": want host:port, such as 127.0.0.1:8080")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New(strconv.Quote(text) + ": want a port from 0 to 65535")
	} else if n == 0 && port != "0" {
		return errors.New(strconv.Quote(text) + ": want a port without leading zeros")
	}
	return nil
}

func checkToken(text string) error {
	_, err := memhttp.ParseToken(text)
	return err
}

func checkProxies(text string) error {
	_, err := memhttp.ParseTrustedProxies(text)
	return err
}

func checkOrigins(text string) error {
	_, err := memhttp.ParseOrigins(text)
	return err
}

func checkReceivers(text string) error {
	_, err := notify.ParseReceivers(text)
	return err
}

func checkKeys(text string) error {
	_, err := notify.ParseKeys(text)
	return err
}

func checkEvents(text string) error {
	_, err := notify.ParseEvents(text)
	return err
}

// checkURL accepts the schemes. Its error says nothing of the text, which holds a password as a rule; the error of
// url.Parse would print it.
func checkURL(schemes ...string) func(string) error {
	return func(text string) error {
		u, err := url.Parse(text)
		if err != nil {
			return errors.New("not a URL: outside letters, digits, - . _ and ~, characters of a user name or password are written as %XX")
		}
		if !slices.Contains(schemes, u.Scheme) {
			return errors.New("want a URL that begins with " + strings.Join(schemes, ":// or ") + "://")
		}
		return nil
	}
}

func checkWord(words ...string) func(string) error {
	return func(text string) error {
		if slices.Contains(words, strings.ToLower(text)) {
			return nil
		}
		return errors.New(strconv.Quote(text) + ": want " + strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1])
	}
}

// level reads a checked log level.
func level(text string) slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(text)) != nil {
		return slog.LevelInfo // not reached: the table has checked the text
	}
	return l
}
