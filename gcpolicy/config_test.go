package gcpolicy

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/pressure"
	"github.com/memwarden/memwarden/settings"
)

func fields(t *testing.T, err error) []string {
	t.Helper()
	var names []string
	if err == nil {
		return nil
	}
	for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
		var mistake *settings.FieldError
		if !errors.As(err, &mistake) || mistake.Message == "" {
			t.Fatalf("%#v is no FieldError", err)
		}
		names = append(names, mistake.Field)
	}
	return names
}

func TestConfigValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	all := strings.Fields(`
		backoff.min_interval_seconds backoff.max_interval_seconds backoff.min_reclaim_ratio backoff.max_time_ratio
		relief.factor_ratio relief.duration_seconds relief.cooldown_seconds relief.max_effective_percent relief.min_gc_cpu_ratio relief.dwell_seconds
		automatic.collect_level automatic.min_garbage_ratio automatic.return_level automatic.min_free_ratio automatic.min_free_bytes
		tuner.threshold_ratio tuner.min_percent tuner.max_percent tuner.hysteresis_ratio tuner.min_interval_seconds`)
	wrong := Config{
		Backoff:   BackoffConfig{MinInterval: -1, MaxInterval: -2, MinReclaimRatio: math.NaN(), MaxTimeRatio: 2},
		Relief:    ReliefConfig{Factor: math.NaN(), Duration: -1, Cooldown: -2, MaxEffectivePercent: 101, MinGCCPURatio: -1, Dwell: -1},
		Automatic: AutomaticConfig{CollectAt: pressure.Normal, MinGarbageRatio: math.Inf(1), ReturnAt: 9, MinFreeRatio: math.NaN(), MinFreeBytes: -1},
		Tuner:     TunerConfig{ThresholdRatio: math.NaN(), MinPercent: 0, MaxPercent: -1, HysteresisRatio: math.NaN(), MinInterval: -1},
	}
	if got := fields(t, wrong.Validate()); !slices.Equal(got, all) {
		t.Errorf("mistakes in %q, want %q", got, all)
	}
	for name, err := range map[string]error{
		"backoff.": wrong.Backoff.Validate(), "relief.": wrong.Relief.Validate(),
		"automatic.": wrong.Automatic.Validate(), "tuner.": wrong.Tuner.Validate(),
	} {
		got := fields(t, err)
		if len(got) < 4 || slices.ContainsFunc(got, func(field string) bool { return !strings.HasPrefix(field, name) }) {
			t.Errorf("%s: mistakes in %q", name, got)
		}
	}
}
