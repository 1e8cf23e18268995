package memwarden

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/memwarden/memwarden/leak/track"
	"github.com/memwarden/memwarden/shutdown"
)

// Options of a Warden. The zero value watches the calling process with the default configuration.
type Options struct {
	// PID is another process to watch from outside; 0 is the calling one. A process that is watched from outside is
	// judged and reported, but neither its memory limit nor its collector can be governed.
	PID int
	// Config holds the start-up values; nil: DefaultConfig. It is copied.
	Config *Config
	// Store keeps history and configuration changes across restarts; nil: they live as long as the process. The
	// warden does not close it.
	Store Store
	// LeakReports keeps leak reports, the caller's own (ReportLeak) and the warden's; nil: 1,000 for 24 hours in at most
	// 8 MiB of memory, shown among the limits as leak_reports. The warden neither registers nor closes what is given.
	LeakReports Reports
	// BrowserLeaks keeps the leaks that pages report (ReportBrowserLeak), within bounds of their own. LeakReports must list
	// them among its own, by numbers of one series. Nil: they are kept in memory where LeakReports is nil too, shown among
	// the limits as browser_leaks, and else not at all.
	BrowserLeaks Reports
	// DismissedLeaks keeps what somebody has dismissed (SettleLeak). LeakReports must list it among its own, by numbers of one
	// series. Nil: the newest 1,000 signatures are kept in memory where LeakReports is nil too, in at most 4 MiB, shown among
	// the limits as dismissed_leaks; and else a signature is known to be dismissed as long as LeakReports has the report.
	DismissedLeaks DismissedLeaks
	// LeakReportsMaxAge is how long LeakReports keeps a report; default 24 h. A leak that goes on is reported anew before
	// its report is too old.
	LeakReportsMaxAge time.Duration
	// FlushInterval is how often the history is stored. Default 5 s.
	FlushInterval time.Duration
	// LogInterval is how often a line sums up the memory in the log; 0: never. Changes are always logged.
	LogInterval time.Duration
	// Load is what the program's work may be measured by, such as requests a second. Leak detection takes off what memory
	// goes along with it. It is called often, must be fast and safe for concurrent use; NaN: not known now. Nil: not known.
	Load func() float64
	// MaxTracked is how many objects are tracked at once (Track), at most 1,000,000; default 100,000.
	MaxTracked int
	// Snapshot says how heap snapshots are taken and kept.
	Snapshot SnapshotOptions
	// Incidents says whether evidence is written to disk before the process is killed for its memory.
	Incidents IncidentOptions
	// WarnSubscribers is how many subscriptions to events are taken for a leak: the log then says where they come from,
	// and again whenever their number has doubled. Default 256, at most 16,384.
	WarnSubscribers int
	// Shutdown holds the deadlines of the shutdown sequence.
	Shutdown shutdown.Options
	// Logger receives what happens; every line but those of health checks and of the shutdown says "memory". A message
	// that is repeated is written ten times at once and then every 10 s, with "suppressed" for those left out between.
	// Nil: slog.Default().
	Logger *slog.Logger
	// LookupEnv finds GOMEMLIMIT, GOGC and MEMWARDEN_GOMEMLIMIT_DERIVED; nil: os.LookupEnv.
	LookupEnv func(string) (string, bool)
	// Now is the clock by which samples are judged; nil: time.Now.
	Now func() time.Time
	// Root is where /proc and /sys are found; empty: "/".
	Root string
}

const (
	defaultFlushInterval     = 5 * time.Second
	defaultLeakReportsMaxAge = 24 * time.Hour
	// DerivedMark is set to 1 in the environment by a launcher that derived GOMEMLIMIT itself: the warden in the
	// program goes on managing that limit instead of respecting it as the user's own.
	DerivedMark = "MEMWARDEN_GOMEMLIMIT_DERIVED"
)

// withDefaults validates the options and fills in what is missing.
func (o Options) withDefaults() (Options, error) {
	var problems []error
	if o.PID < 0 {
		problems = append(problems, fmt.Errorf("PID %d is negative", o.PID))
	}
	if o.FlushInterval < 0 {
		problems = append(problems, fmt.Errorf("FlushInterval %v is negative", o.FlushInterval))
	}
	if o.LeakReportsMaxAge < 0 {
		problems = append(problems, fmt.Errorf("LeakReportsMaxAge %v is negative", o.LeakReportsMaxAge))
	}
	if o.LogInterval < 0 {
		problems = append(problems, fmt.Errorf("LogInterval %v is negative", o.LogInterval))
	}
	if o.WarnSubscribers < 0 || o.WarnSubscribers > maxSubscribers {
		problems = append(problems, fmt.Errorf("WarnSubscribers %d: want 1 to %d, or 0 for %d", o.WarnSubscribers, maxSubscribers, defaultWarnSubscribers))
	}
	if o.MaxTracked < 0 || o.MaxTracked > track.MostObjects {
		problems = append(problems, fmt.Errorf("MaxTracked %d: want 1 to %d, or 0 for %d", o.MaxTracked, track.MostObjects, track.DefaultMaxObjects))
	}
	if o.Config == nil {
		c := DefaultConfig()
		o.Config = &c
	} else {
		c := *o.Config
		o.Config = &c
		if err := c.Validate(); err != nil {
			problems = append(problems, fmt.Errorf("Config (begin with DefaultConfig): %w", err))
		}
	}
	var err error
	if o.Snapshot, err = o.Snapshot.withDefaults(); err != nil {
		problems = append(problems, err)
	}
	if o.Incidents, err = o.Incidents.withDefaults(); err != nil {
		problems = append(problems, err)
	}
	if o.WarnSubscribers == 0 {
		o.WarnSubscribers = defaultWarnSubscribers
	}
	if o.LeakReportsMaxAge == 0 {
		o.LeakReportsMaxAge = defaultLeakReportsMaxAge
	}
	if o.FlushInterval == 0 {
		o.FlushInterval = defaultFlushInterval
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Shutdown.Logger == nil {
		o.Shutdown.Logger = o.Logger
	}
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := errors.Join(problems...); err != nil {
		return Options{}, fmt.Errorf("memwarden: options: %w", err)
	}
	return o, nil
}
