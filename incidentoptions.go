package memwarden

import (
	"fmt"
	"time"

	"github.com/memwarden/memwarden/settings"
)

// IncidentOptions say whether evidence is written to disk before the process is killed for its memory, and what is kept of
// it. The zero value keeps none.
type IncidentOptions struct {
	// Disabled writes none, whatever Dir says.
	Disabled bool
	// Dir is where incident bundles are kept: a directory of their own, made if it is not there. Empty: none are written.
	Dir string
	// MaxCount, MaxAge and MaxBytes bound what is kept there; the oldest go first. Default 20, 7 days and 1 GiB.
	MaxCount int
	MaxAge   time.Duration
	MaxBytes int64
	// NoSnapshots leaves heap snapshots out of the bundles. They are taken last, where there are time and room.
	NoSnapshots bool
	// Trace keeps a flight recorder running, whose last seconds are put into each bundle. It costs time with each
	// switch between goroutines, and up to 8 MiB.
	Trace bool
}

// withDefaults validates the options and fills in what is missing.
func (o IncidentOptions) withDefaults() (IncidentOptions, error) {
	if o.MaxCount < 0 || o.MaxAge < 0 || o.MaxBytes < 0 {
		return o, fmt.Errorf("Incidents.MaxCount %d, MaxAge %v and MaxBytes %d must not be negative", o.MaxCount, o.MaxAge, o.MaxBytes)
	}
	standard := DefaultIncidentOptions()
	if o.MaxCount == 0 {
		o.MaxCount = standard.MaxCount
	}
	if o.MaxAge == 0 {
		o.MaxAge = standard.MaxAge
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = standard.MaxBytes
	}
	return o, nil
}

// The settings of incident bundles.
const (
	incidentEnabled   = settings.Prefix + "INCIDENT_ENABLED"
	incidentDir       = settings.Prefix + "INCIDENT_DIR"
	incidentMaxCount  = settings.Prefix + "INCIDENT_MAX_COUNT"
	incidentMaxAge    = settings.Prefix + "INCIDENT_MAX_AGE"
	incidentMaxBytes  = settings.Prefix + "INCIDENT_MAX_BYTES"
	incidentSnapshots = settings.Prefix + "INCIDENT_SNAPSHOTS"
	incidentTrace     = settings.Prefix + "INCIDENT_TRACE"
)

// IncidentSettings is the table of settings that give IncidentOptions their values: MEMWARDEN_INCIDENT_… in the
// environment.
func IncidentSettings() []settings.Setting {
	const section = "Incident bundles"
	return []settings.Setting{
		{Name: incidentEnabled, Section: section, Kind: settings.Bool, Default: "true",
			Help: "Write evidence to disk before the process is killed for its memory: profiles, goroutines, figures."},
		{Name: incidentDir, Section: section, Kind: settings.String,
			Help: "Directory that incident bundles are kept in, of their own. The service has them in its data directory where none is set; elsewhere none are written then."},
		{Name: incidentMaxCount, Section: section, Kind: settings.Int, Default: "20", Min: 1, Max: 1000,
			Help: "Incident bundles that are kept; the oldest go first."},
		{Name: incidentMaxAge, Section: section, Kind: settings.Duration, Default: "168h", Min: 60, Max: 366 * 86400,
			Help: "Age at which an incident bundle is removed."},
		{Name: incidentMaxBytes, Section: section, Kind: settings.Bytes, Default: "1GiB", Min: 16 << 20, Max: 1 << 50,
			Help: "Bytes of the disk that all incident bundles together may take; the oldest go first."},
		{Name: incidentSnapshots, Section: section, Kind: settings.Bool, Default: "true",
			Help: "Put a heap snapshot into incident bundles, last, where there are time and room."},
		{Name: incidentTrace, Section: section, Kind: settings.Bool, Default: "false",
			Help: "Keep an execution trace of the last seconds, for incident bundles. It costs time with each switch between goroutines, and up to 8 MiB."},
	}
}

// IncidentOptionsFrom builds IncidentOptions from resolved settings.
func IncidentOptionsFrom(values settings.Values) IncidentOptions {
	return IncidentOptions{
		Disabled: !values.Bool(incidentEnabled), Dir: values.String(incidentDir), MaxCount: int(values.Int(incidentMaxCount)), MaxAge: values.Duration(incidentMaxAge),
		MaxBytes: values.Int(incidentMaxBytes), NoSnapshots: !values.Bool(incidentSnapshots), Trace: values.Bool(incidentTrace),
	}
}

// DefaultIncidentOptions returns the options of a warden that was told nothing.
func DefaultIncidentOptions() IncidentOptions {
	values, err := settings.Resolve(IncidentSettings())
	if err != nil {
		panic(err) // a default outside its own range: a defect that every test would meet
	}
	return IncidentOptionsFrom(values)
}
