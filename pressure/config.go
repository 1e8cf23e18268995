package pressure

import (
	"errors"
	"fmt"
	"time"

	"github.com/memwarden/memwarden/settings"
)

// Config says where the levels begin and how long they must hold. It is never changed after it was handed over.
type Config struct {
	// Elevated, High and Critical are the shares of a limit at which the levels begin: rising, in (0, 1].
	Elevated, High, Critical float64
	// Hysteresis is how far below its beginning a level is left. At least 0, less than Elevated and than the smallest
	// step between two levels.
	Hysteresis float64
	// RiseDwell is how long a level must have been seen before it is taken, and FallDwell how long a level must not have
	// been seen before it is left. At least 0. With both at 0 every sample decides alone, but for the hysteresis.
	RiseDwell, FallDwell time.Duration
	// BytesOverride is a limit for the process where its container has none; 0: none. Its resident set is held against
	// it.
	BytesOverride int64
}

// Default has the levels at 70, 80 and 90 %. The other figures are chosen, and hold in the simulations of this package's
// tests: a hysteresis of 3 %, which is less than a third of a step; a rise after 2 s, which is two more samples at one a
// second, so that one spike is none; a fall after 30 s, so that what was given back must stay given back.
func Default() Config {
	return Config{
		Elevated: 0.70, High: 0.80, Critical: 0.90, Hysteresis: 0.03,
		RiseDwell: 2 * time.Second, FallDwell: 30 * time.Second,
	}
}

// Validate returns every mistake, joined; each is a *settings.FieldError that names the field as JSON does.
func (c Config) Validate() error {
	var mistakes []error
	reject := func(wrong bool, field, format string, arguments ...any) {
		if wrong {
			mistakes = append(mistakes, &settings.FieldError{Field: field, Message: fmt.Sprintf(format, arguments...)})
		}
	}
	// The conditions are written so that NaN is a mistake too.
	reject(!(c.Elevated > 0 && c.Elevated <= 1), "elevated_ratio", "%v: want more than 0, at most 1", c.Elevated)
	reject(!(c.High > c.Elevated && c.High <= 1), "high_ratio", "%v: want more than elevated_ratio (%v), at most 1", c.High, c.Elevated)
	reject(!(c.Critical > c.High && c.Critical <= 1), "critical_ratio", "%v: want more than high_ratio (%v), at most 1", c.Critical, c.High)
	step := min(c.Elevated, c.High-c.Elevated, c.Critical-c.High)
	// Where the levels are wrong there is no step to compare with.
	reject(!(c.Hysteresis >= 0) || len(mistakes) == 0 && !(c.Hysteresis < step), "hysteresis_ratio",
		"%v: want 0 or more, less than the smallest step between two levels (%.4g)", c.Hysteresis, step)
	reject(c.RiseDwell < 0, "rise_dwell_seconds", "%v: want 0 or more", c.RiseDwell.Seconds())
	reject(c.FallDwell < 0, "fall_dwell_seconds", "%v: want 0 or more", c.FallDwell.Seconds())
	reject(c.BytesOverride < 0, "bytes_override", "%d: want 0 (none) or more", c.BytesOverride)
	return errors.Join(mistakes...)
}

// threshold is the ratio at which a level above Normal begins.
func (c *Config) threshold(level Level) float64 {
	switch level {
	case Elevated:
		return c.Elevated
	case High:
		return c.High
	default:
		return c.Critical
	}
}

// at returns the level of a ratio, where the levels begin lower by slack.
func (c *Config) at(ratio, slack float64) Level {
	for level := Critical; level > Normal; level-- {
		if ratio >= c.threshold(level)-slack {
			return level
		}
	}
	return Normal
}
