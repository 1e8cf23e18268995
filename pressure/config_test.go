package pressure

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/settings"
)

func TestConfigValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for name, test := range map[string]struct {
		change func(*Config)
		fields string
	}{
		"no levels":            {func(c *Config) { *c = Config{} }, "elevated_ratio high_ratio critical_ratio"},
		"not numbers":          {func(c *Config) { c.High, c.Hysteresis = math.NaN(), math.NaN() }, "high_ratio critical_ratio hysteresis_ratio"},
		"percent":              {func(c *Config) { c.Elevated, c.High, c.Critical = 70, 80, 90 }, "elevated_ratio high_ratio critical_ratio"},
		"not rising":           {func(c *Config) { c.High = c.Elevated }, "high_ratio"},
		"falling":              {func(c *Config) { c.Critical = 0.5 }, "critical_ratio"},
		"hysteresis of a step": {func(c *Config) { c.Hysteresis = 0.2 }, "hysteresis_ratio"},
		"hysteresis to zero":   {func(c *Config) { c.Elevated, c.Hysteresis = 0.02, 0.03 }, "hysteresis_ratio"},
		"negative": {func(c *Config) { c.Hysteresis, c.RiseDwell, c.FallDwell, c.BytesOverride = -1, -1, -1, -1 },
			"hysteresis_ratio rise_dwell_seconds fall_dwell_seconds bytes_override"},
		"least":  {func(c *Config) { *c = Config{Elevated: 1e-9, High: 0.5, Critical: 1} }, ""},
		"dwells": {func(c *Config) { c.RiseDwell, c.FallDwell = 0, time.Hour }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Default()
			test.change(&cfg)
			var fields []string
			if err := cfg.Validate(); err != nil {
				for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
					var mistake *settings.FieldError
					if !errors.As(err, &mistake) || mistake.Message == "" {
						t.Fatalf("%#v is no FieldError", err)
					}
					fields = append(fields, mistake.Field)
				}
			}
			if got := strings.Join(fields, " "); got != test.fields {
				t.Errorf("mistakes in %q, want %q", got, test.fields)
			}
		})
	}
}

func TestLevelText(t *testing.T) {
	for level := Normal; level <= Critical; level++ {
		text, err := level.MarshalText()
		var back Level
		if err != nil || back.UnmarshalText(text) != nil || back != level {
			t.Errorf("%v becomes %q and %v", level, text, back)
		}
	}
	var level Level
	if err := level.UnmarshalText([]byte("severe")); err == nil || Level(9).String() != "level(9)" {
		t.Errorf("unknown level: %v, %v", err, Level(9))
	}
}
