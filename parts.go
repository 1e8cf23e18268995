package memwarden

import (
	"time"

	"github.com/memwarden/memwarden/gcpolicy"
	"github.com/memwarden/memwarden/limit"
	"github.com/memwarden/memwarden/pressure"
)

// The functions of this file turn a Config into what the parts below take.

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func limitConfig(c Config) limit.Config {
	return limit.Config{Manage: c.Limit.Manage, Ratio: c.Limit.Ratio, ReserveBytes: c.Limit.OffHeapReserveBytes, BytesOverride: c.Limit.MemoryBytes}
}

func pressureConfig(c Config) pressure.Config {
	p := c.Pressure
	return pressure.Config{
		Elevated: p.ElevatedRatio, High: p.HighRatio, Critical: p.CriticalRatio, Hysteresis: p.HysteresisRatio,
		RiseDwell: seconds(p.RiseDwellSeconds), FallDwell: seconds(p.FallDwellSeconds), BytesOverride: c.Limit.MemoryBytes,
	}
}

func backoffConfig(c Config) gcpolicy.BackoffConfig {
	backoff := gcpolicy.DefaultBackoff()
	backoff.MinInterval, backoff.MaxInterval = seconds(c.GC.MinIntervalSeconds), seconds(c.GC.MaxIntervalSeconds)
	return backoff
}

func reliefConfig(c Config) gcpolicy.ReliefConfig {
	relief := gcpolicy.DefaultRelief()
	relief.Enabled = c.GC.Relief
	return relief
}

func automaticConfig(c Config) gcpolicy.AutomaticConfig {
	automatic := gcpolicy.DefaultAutomatic()
	// A level above the highest is never reached.
	const never = pressure.Critical + 1
	if !c.GC.ForceOnPressure {
		automatic.CollectAt = never
	}
	if !c.GC.ReturnToOS {
		automatic.ReturnAt = never
	}
	return automatic
}

func tunerConfig(c Config) gcpolicy.TunerConfig {
	tuner := gcpolicy.DefaultTuner()
	tuner.Enabled, tuner.ThresholdRatio = c.GC.Tuner, c.GC.TunerThresholdRatio
	tuner.MinPercent, tuner.MaxPercent = int(c.GC.TunerMinPercent), int(c.GC.TunerMaxPercent)
	return tuner
}
