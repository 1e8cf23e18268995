// Package gcpolicy decides when to help the garbage collector: when to force a collection and when not to, when to
// return memory to the operating system, when to relieve a collector that runs without end, and what GOGC should be.
//
// It knows samples of package memstat, levels of package pressure and limits of package limit, all as arguments. The
// decisions (Allow, Record, Relieve, Automate, Tune) are pure; two thin shells act on the runtime: Collector forces
// collections, Percent sets GOGC. It does not own the memory limit: package limit does, and relief is asked of it. The
// facade stands above.
package gcpolicy

import (
	"errors"
	"fmt"
	"time"

	"github.com/memwarden/memwarden/pressure"
	"github.com/memwarden/memwarden/settings"
)

// Config joins the configurations of all decisions. It is never changed after it was handed over.
type Config struct {
	Backoff   BackoffConfig
	Relief    ReliefConfig
	Automatic AutomaticConfig
	Tuner     TunerConfig
}

// Default has everything on but the tuner.
func Default() Config {
	return Config{Backoff: DefaultBackoff(), Relief: DefaultRelief(), Automatic: DefaultAutomatic(), Tuner: DefaultTuner()}
}

// Validate returns every mistake, joined; each is a *settings.FieldError that names the field as JSON does, such as
// backoff.min_interval_seconds.
func (c Config) Validate() error {
	var m mistakes
	c.Backoff.check(&m)
	c.Relief.check(&m)
	c.Automatic.check(&m)
	c.Tuner.check(&m)
	return m.err()
}

// mistakes collects what is wrong with a configuration.
type mistakes []error

func (m *mistakes) reject(wrong bool, field, format string, arguments ...any) {
	if wrong {
		*m = append(*m, &settings.FieldError{Field: field, Message: fmt.Sprintf(format, arguments...)})
	}
}

func (m *mistakes) err() error { return errors.Join(*m...) }

// share checks a ratio in (0, 1]; the condition is written so that NaN is a mistake too.
func (m *mistakes) share(field string, ratio float64) {
	m.reject(!(ratio > 0 && ratio <= 1), field, "%v: want more than 0, at most 1", ratio)
}

// duration checks a time that must pass.
func (m *mistakes) duration(field string, d time.Duration) {
	m.reject(d <= 0, field, "%v: want more than 0", d.Seconds())
}

// level checks a level at which something is done.
func (m *mistakes) level(field string, level pressure.Level) {
	m.reject(level == pressure.Normal || level > pressure.Critical, field, "%v: want elevated, high or critical", level)
}
