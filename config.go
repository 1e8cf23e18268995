package memwarden

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/memwarden/memwarden/leak"
	"github.com/memwarden/memwarden/settings"
)

// Config is what can be adjusted while a warden runs. Durations are in seconds, ratios from 0 to 1.
type Config struct {
	Sampling SamplingConfig `json:"sampling"`
	Pressure PressureConfig `json:"pressure"`
	Limit    LimitConfig    `json:"limit"`
	GC       GCConfig       `json:"gc"`
	Leaks    LeakConfig     `json:"leaks"`
}

// SamplingConfig says how often memory is read.
type SamplingConfig struct {
	IntervalSeconds     float64 `json:"interval_seconds"`
	SlowIntervalSeconds float64 `json:"slow_interval_seconds"`
}

// PressureConfig places the pressure levels, as shares of a limit.
type PressureConfig struct {
	ElevatedRatio    float64 `json:"elevated_ratio"`
	HighRatio        float64 `json:"high_ratio"`
	CriticalRatio    float64 `json:"critical_ratio"`
	HysteresisRatio  float64 `json:"hysteresis_ratio"`
	RiseDwellSeconds float64 `json:"rise_dwell_seconds"`
	FallDwellSeconds float64 `json:"fall_dwell_seconds"`
}

// LimitConfig governs the Go memory limit.
type LimitConfig struct {
	Manage              bool    `json:"manage"`
	Ratio               float64 `json:"ratio"`
	OffHeapReserveBytes int64   `json:"off_heap_reserve_bytes"`
	// MemoryBytes is the memory that the process may use where no container says so; 0: unknown.
	MemoryBytes int64 `json:"memory_bytes"`
}

// GCConfig governs what is done to the garbage collector.
type GCConfig struct {
	ForceOnPressure     bool    `json:"force_on_pressure"`
	ReturnToOS          bool    `json:"return_to_os"`
	MinIntervalSeconds  float64 `json:"min_interval_seconds"`
	MaxIntervalSeconds  float64 `json:"max_interval_seconds"`
	Relief              bool    `json:"relief"`
	Tuner               bool    `json:"tuner"`
	TunerThresholdRatio float64 `json:"tuner_threshold_ratio"`
	TunerMinPercent     int64   `json:"tuner_min_percent"`
	TunerMaxPercent     int64   `json:"tuner_max_percent"`
}

// LeakConfig governs the detection of leaks. Another WindowSeconds or IntervalSeconds begins anew to watch, but that leaks that
// are suspected stay so until the new windows show what becomes of them. All else keeps what was seen.
type LeakConfig struct {
	Enabled bool `json:"enabled"`
	// Paused keeps what was seen, and looks at nothing until it is taken back. What was added meanwhile is not judged.
	Paused bool `json:"paused"`
	// IntervalSeconds is how often it is looked; a sixteenth of WindowSeconds where that is less.
	IntervalSeconds float64 `json:"interval_seconds"`
	// WindowSeconds is the shortest window; the others are 3, 18 and 72 times as long.
	WindowSeconds float64 `json:"window_seconds"`
	// MinRiseRatio is what must be added in a short window, as a share of what was there.
	MinRiseRatio float64 `json:"min_rise_ratio"`
	// Snapshots allows heap snapshots to be taken of what is suspected; see SnapshotOptions.Dir for where they are kept.
	Snapshots bool `json:"snapshots"`
	// GoroutineProfile allows to ask the runtime for goroutines that nothing can wake any more (Go 1.27 and later), once in
	// a shortest window and when goroutines are suspected. A program that wakes such a goroutine all the same, by way of a
	// weak pointer, is ended by the runtime.
	GoroutineProfile bool `json:"goroutine_profile"`
	// TrackCollections is how many collections a tracked object may outlive once it was released; 0: none is reported.
	TrackCollections int64 `json:"track_collections"`
	// AutoCleanup allows to clean up after a leak that is confirmed, or suspected under high pressure.
	AutoCleanup bool `json:"auto_cleanup"`
}

// interval is how often it is looked.
func (c LeakConfig) interval() time.Duration {
	return min(seconds(c.IntervalSeconds), seconds(c.WindowSeconds)/(2*leak.LeastLooks))
}

// configField ties a field of Config to the setting that gives its start-up value. The setting's default, kind and
// range are the field's own: they are stated here and nowhere else.
type configField struct {
	path string // in the JSON document
	at   func(*Config) any
	settings.Setting
}

// configFields is the table of everything adjustable, in the order of documents.
func configFields() []configField {
	const (
		sampling = "Monitoring"
		levels   = "Pressure thresholds"
		limits   = "Memory limit"
		gc       = "Garbage collection"
		leaks    = "Leak detection"
	)
	return []configField{
		{"sampling.interval_seconds", func(c *Config) any { return &c.Sampling.IntervalSeconds },
			setting("SAMPLE_INTERVAL", sampling, settings.Duration, "1s", 0.1, 60, "How often a sample is taken and judged; of a process at rest five times as rarely, up to 5s: once for ten minutes pressure was normal, 2 GiB were free before every limit, memory and goroutines stayed the same within 2 %, and nobody followed the events.")},
		{"sampling.slow_interval_seconds", func(c *Config) any { return &c.Sampling.SlowIntervalSeconds },
			setting("SLOW_INTERVAL", sampling, settings.Duration, "10s", 1, 600, "How often costly figures are read: smaps, descriptors, limits, pauses, the machine's memory; 24 times in the shortest window of leak detection at least. At most 25s keeps to following a resized container within 30 s.")},

		{"pressure.elevated_ratio", func(c *Config) any { return &c.Pressure.ElevatedRatio },
			setting("PRESSURE_ELEVATED", levels, settings.Ratio, "0.70", 0.05, 1, "Share of a limit at which pressure is elevated.")},
		{"pressure.high_ratio", func(c *Config) any { return &c.Pressure.HighRatio },
			setting("PRESSURE_HIGH", levels, settings.Ratio, "0.80", 0.05, 1, "Share of a limit at which pressure is high; above elevated.")},
		{"pressure.critical_ratio", func(c *Config) any { return &c.Pressure.CriticalRatio },
			setting("PRESSURE_CRITICAL", levels, settings.Ratio, "0.90", 0.05, 1, "Share of a limit at which pressure is critical; above high.")},
		{"pressure.hysteresis_ratio", func(c *Config) any { return &c.Pressure.HysteresisRatio },
			setting("PRESSURE_HYSTERESIS", levels, settings.Ratio, "0.03", 0, 0.2, "How far below a level's share use must fall before the level is left; less than the gaps between levels.")},
		{"pressure.rise_dwell_seconds", func(c *Config) any { return &c.Pressure.RiseDwellSeconds },
			setting("PRESSURE_RISE_DWELL", levels, settings.Duration, "2s", 0, 300, "How long use must stay up before the level rises; critical use of the container rises at once.")},
		{"pressure.fall_dwell_seconds", func(c *Config) any { return &c.Pressure.FallDwellSeconds },
			setting("PRESSURE_FALL_DWELL", levels, settings.Duration, "30s", 0, 3600, "How long use must stay down before the level falls.")},

		{"limit.manage", func(c *Config) any { return &c.Limit.Manage },
			setting("LIMIT_MANAGE", limits, settings.Bool, "true", 0, 0, "Derive the Go memory limit from the container's. An explicit GOMEMLIMIT is never touched.")},
		{"limit.ratio", func(c *Config) any { return &c.Limit.Ratio },
			setting("LIMIT_RATIO", limits, settings.Ratio, "0.90", 0.1, 1, "Share of the container's limit, less the reserve, that the Go runtime may use.")},
		{"limit.off_heap_reserve_bytes", func(c *Config) any { return &c.Limit.OffHeapReserveBytes },
			setting("OFF_HEAP_RESERVE", limits, settings.Bytes, "0", 0, 1<<50, "Memory that the program uses outside the Go heap: cgo, mmap, an embedded database.")},
		{"limit.memory_bytes", func(c *Config) any { return &c.Limit.MemoryBytes },
			setting("MEMORY_LIMIT", limits, settings.Bytes, "0", 0, 1<<50, "Memory that the process may use where no container limits it; 0: none stated.")},

		{"gc.force_on_pressure", func(c *Config) any { return &c.GC.ForceOnPressure },
			setting("GC_ON_PRESSURE", gc, settings.Bool, "true", 0, 0, "Force a collection when pressure is high and there is garbage; backed off when little comes back.")},
		{"gc.return_to_os", func(c *Config) any { return &c.GC.ReturnToOS },
			setting("GC_RETURN_TO_OS", gc, settings.Bool, "true", 0, 0, "Return free heap to the operating system under pressure.")},
		{"gc.min_interval_seconds", func(c *Config) any { return &c.GC.MinIntervalSeconds },
			setting("GC_MIN_INTERVAL", gc, settings.Duration, "10s", 1, 3600, "Shortest time between forced collections.")},
		{"gc.max_interval_seconds", func(c *Config) any { return &c.GC.MaxIntervalSeconds },
			setting("GC_MAX_INTERVAL", gc, settings.Duration, "5m", 1, 86400, "Longest back-off between forced collections; not below the shortest time.")},
		{"gc.relief", func(c *Config) any { return &c.GC.Relief },
			setting("GC_RELIEF", gc, settings.Bool, "true", 0, 0, "Raise a derived memory limit for a minute when the collector spirals.")},
		{"gc.tuner", func(c *Config) any { return &c.GC.Tuner },
			setting("GC_TUNER", gc, settings.Bool, "false", 0, 0, "Tune GOGC to the memory that is left. An explicit GOGC is never touched.")},
		{"gc.tuner_threshold_ratio", func(c *Config) any { return &c.GC.TunerThresholdRatio },
			setting("GC_TUNER_THRESHOLD", gc, settings.Ratio, "0.70", 0.1, 1, "Share of the memory limit that the tuned heap may fill.")},
		{"gc.tuner_min_percent", func(c *Config) any { return &c.GC.TunerMinPercent },
			setting("GC_TUNER_MIN", gc, settings.Int, "50", 10, 1000, "Lowest GOGC that the tuner sets.")},
		{"gc.tuner_max_percent", func(c *Config) any { return &c.GC.TunerMaxPercent },
			setting("GC_TUNER_MAX", gc, settings.Int, "500", 10, 10000, "Highest GOGC that the tuner sets; not below the lowest.")},

		{"leaks.enabled", func(c *Config) any { return &c.Leaks.Enabled },
			setting("LEAK_DETECTION", leaks, settings.Bool, "true", 0, 0, "Watch for leaks of memory, goroutines, descriptors and threads.")},
		{"leaks.paused", func(c *Config) any { return &c.Leaks.Paused },
			setting("LEAK_PAUSED", leaks, settings.Bool, "false", 0, 0, "Keep what was seen, and look at nothing until this is taken back. What was added meanwhile is not judged.")},
		{"leaks.interval_seconds", func(c *Config) any { return &c.Leaks.IntervalSeconds },
			setting("LEAK_SAMPLE_INTERVAL", leaks, settings.Duration, "5s", 0.1, 3600, "How often it is looked; at least sixteen times in the shortest window, if that is more often. A change begins anew to watch; what is suspected stays so.")},
		{"leaks.window_seconds", func(c *Config) any { return &c.Leaks.WindowSeconds },
			setting("LEAK_WINDOW", leaks, settings.Duration, "20m", 1, 7*86400, "Shortest window that growth is judged in; the others are 3, 18 and 72 times as long. Shorter ones find fast leaks sooner, and take more for one. A change begins anew to watch; what is suspected stays so.")},
		{"leaks.min_rise_ratio", func(c *Config) any { return &c.Leaks.MinRiseRatio },
			setting("LEAK_MIN_RISE", leaks, settings.Ratio, "0.2", 0.01, 1, "What each of two short windows on end must add, as a share of what was there. A change keeps what was seen, and judges it.")},
		{"leaks.snapshots", func(c *Config) any { return &c.Leaks.Snapshots },
			setting("LEAK_SNAPSHOTS", leaks, settings.Bool, "false", 0, 0, "Take heap snapshots of what is suspected, and of what is confirmed, to say what holds it. They are kept where SNAPSHOT_DIR says, or without it in a directory of the program's own among temporary files.")},
		{"leaks.goroutine_profile", func(c *Config) any { return &c.Leaks.GoroutineProfile },
			setting("LEAK_GOROUTINE_PROFILE", leaks, settings.Bool, "true", 0, 0, "Ask the runtime (Go 1.27 and later) for goroutines that nothing can wake any more, once in a shortest window and when goroutines are suspected. Switch it off in a program that wakes goroutines by way of weak pointers alone: the runtime would end it.")},
		{"leaks.track_collections", func(c *Config) any { return &c.Leaks.TrackCollections },
			setting("LEAK_TRACK_COLLECTIONS", leaks, settings.Int, "3", 0, 1000, "Collections that an object may outlive which the program tracks and has released; it must also have stayed for a fortieth of the shortest window. 0: none is reported.")},
		{"leaks.auto_cleanup", func(c *Config) any { return &c.Leaks.AutoCleanup },
			setting("LEAK_AUTO_CLEANUP", leaks, settings.Bool, "false", 0, 0, "Clean up after a leak that is confirmed, or suspected at high pressure: an incident bundle is kept, cleanup tasks run that are meant for it, owners shrink, a collection, memory returned to the operating system. At most four times an hour, less often while little comes of it.")},
	}
}

func setting(name, section string, kind settings.Kind, standard string, least, most float64, help string) settings.Setting {
	return settings.Setting{Name: settings.Prefix + name, Section: section, Kind: kind, Default: standard, Min: least, Max: most, Help: help}
}

// ConfigSettings is the table of settings that give a Config its start-up values: MEMWARDEN_… in the environment.
func ConfigSettings() []settings.Setting {
	var table []settings.Setting
	for _, f := range configFields() {
		table = append(table, f.Setting)
	}
	return table
}

// ConfigFrom builds a Config from resolved settings and validates it; mistakes name the setting.
func ConfigFrom(values settings.Values) (Config, error) {
	var c Config
	names := map[string]string{}
	for _, f := range configFields() {
		names[f.path] = f.Name
		switch at := f.at(&c).(type) {
		case *bool:
			*at = values.Bool(f.Name)
		case *int64:
			*at = values.Int(f.Name)
		case *float64:
			if f.Kind == settings.Duration {
				*at = values.Duration(f.Name).Seconds()
			} else {
				*at = values.Ratio(f.Name)
			}
		}
	}
	var mistakes []error
	for _, mistake := range c.mistakes() {
		value := values.Get(names[mistake.Field])
		mistakes = append(mistakes, &settings.Mistake{Name: value.Setting.Name, Source: value.Source, Err: errors.New(mistake.Message)})
	}
	return c, errors.Join(mistakes...)
}

// DefaultConfig returns the configuration of a warden that was told nothing.
func DefaultConfig() Config {
	values, err := settings.Resolve(ConfigSettings())
	if err == nil {
		var c Config
		if c, err = ConfigFrom(values); err == nil {
			return c
		}
	}
	panic(err) // a default outside its own range: a defect that every test would meet
}

// Validate reports every field whose value cannot be used: errors.Join of *settings.FieldError.
func (c Config) Validate() error {
	var all []error
	for _, mistake := range c.mistakes() {
		all = append(all, mistake)
	}
	return errors.Join(all...)
}

func (c Config) mistakes() []*settings.FieldError {
	var all []*settings.FieldError
	add := func(field, format string, args ...any) {
		all = append(all, &settings.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	for _, f := range configFields() {
		var value float64
		switch at := f.at(&c).(type) {
		case *int64:
			value = float64(*at)
		case *float64:
			value = *at
		default:
			continue
		}
		if math.IsNaN(value) || value < f.Min || value > f.Max {
			add(f.path, "%v: want %s", value, f.jsonRange())
		}
	}
	p := c.Pressure
	if p.ElevatedRatio >= p.HighRatio {
		add("pressure.elevated_ratio", "%v is not below pressure.high_ratio %v", p.ElevatedRatio, p.HighRatio)
	}
	if p.HighRatio >= p.CriticalRatio {
		add("pressure.high_ratio", "%v is not below pressure.critical_ratio %v", p.HighRatio, p.CriticalRatio)
	}
	if gap := min(p.HighRatio-p.ElevatedRatio, p.CriticalRatio-p.HighRatio); gap > 0 && p.HysteresisRatio >= gap {
		add("pressure.hysteresis_ratio", "%v is not less than the smallest gap between levels, %.3g", p.HysteresisRatio, gap)
	}
	if c.Sampling.IntervalSeconds > c.Sampling.SlowIntervalSeconds {
		add("sampling.interval_seconds", "%v is above sampling.slow_interval_seconds %v", c.Sampling.IntervalSeconds, c.Sampling.SlowIntervalSeconds)
	}
	if c.GC.MinIntervalSeconds > c.GC.MaxIntervalSeconds {
		add("gc.min_interval_seconds", "%v is above gc.max_interval_seconds %v", c.GC.MinIntervalSeconds, c.GC.MaxIntervalSeconds)
	}
	if c.GC.TunerMinPercent > c.GC.TunerMaxPercent {
		add("gc.tuner_min_percent", "%v is above gc.tuner_max_percent %v", c.GC.TunerMinPercent, c.GC.TunerMaxPercent)
	}
	return all
}

// jsonRange prints the range in the unit of the JSON field: seconds and bytes as numbers.
func (f configField) jsonRange() string {
	number := f.Setting
	number.Kind = settings.Ratio
	return number.Range()
}
