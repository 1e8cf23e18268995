package pressure

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/memwarden/memwarden/bytesize"
)

// Decision is the level in force after a sample, with what it was judged from. It holds no pointers: copies may be
// kept, and asked for their Reason later.
type Decision struct {
	At time.Time
	// Level is in force, Since when it was taken, Previous the one before. Changed says that this sample changed it.
	Level, Previous Level
	Since           time.Time
	Changed         bool
	// Seen is what this sample shows by itself, before dwell and hysteresis: less than Level while a level is on its way
	// down, more while one is on its way up.
	Seen Level

	kept       Level // Seen with the hysteresis
	signals    [maxSignals]Signal
	count      int
	evidence   evidence
	ownShare   float64 // of the machine's memory
	limitKnown bool
	running    time.Duration // how long Seen has been, or Level has not been, seen
	config     Config
}

// Signals returns the signals that the sample had figures for, at most three. The caller owns the slice.
func (d Decision) Signals() []Signal { return append([]Signal(nil), d.signals[:d.count]...) }

// Room is what is free before the nearest limit, garbage counted as used; false where no limit is known.
func (d *Decision) Room() (bytes int64, known bool) {
	for i := range d.signals[:d.count] {
		s := &d.signals[i]
		if free := max(0, s.LimitBytes-s.UsedBytes-s.GarbageBytes); !known || free < bytes {
			bytes, known = free, true
		}
	}
	return bytes, known
}

// Judged reports whether the sample had figures for any signal, or other evidence.
func (d Decision) Judged() bool { return d.count > 0 || d.evidence.limiter }

// Strongest returns the signal with the highest level, among those the one with the highest ratio.
func (d Decision) Strongest() (Signal, bool) {
	if signal := d.strongest(); signal != nil {
		return *signal, true
	}
	return Signal{}, false
}

func (d *Decision) strongest() *Signal {
	var strongest *Signal
	for i := range d.signals[:d.count] {
		signal := &d.signals[i]
		if strongest == nil || signal.stronger(strongest) {
			strongest = signal
		}
	}
	return strongest
}

// container returns the signal of the container, if there is one.
func (d *Decision) container() *Signal {
	for i := range d.signals[:d.count] {
		if d.signals[i].Name == SignalContainer {
			return &d.signals[i]
		}
	}
	return nil
}

// judge returns the level of the signals and the evidence, where the levels begin lower by slack.
func (d *Decision) judge(slack float64) Level {
	level, ours := Normal, Normal
	for i := range d.signals[:d.count] {
		shown := d.levelOf(&d.signals[i], slack)
		level = max(level, shown)
		if !d.capped(&d.signals[i]) {
			ours = max(ours, shown)
		}
	}
	if d.evidence.events || d.evidence.stalled && ours >= Elevated {
		level = min(level+1, Critical)
	}
	if d.evidence.limiter {
		level = max(level, High)
	}
	return level
}

// urgent reports whether the container is so full, garbage included, that a rise to Critical does not wait.
func (d *Decision) urgent() bool {
	container := d.container()
	return container != nil && container.rawRatio() >= d.config.Critical
}

// Reason says in one sentence, with figures, why the level is what it is: also why nothing fired, and what a level is
// waiting for. It allocates; Next leaves it to whoever asks.
func (d Decision) Reason() string {
	cause := d.cause()
	lasting := "" // nothing for what has only begun
	if d.running > 0 {
		lasting = ", for " + seconds(d.running)
	}
	switch {
	case !d.Judged() && d.Level == Normal:
		return "level normal, not judged: " + cause
	case d.Seen == d.Level && d.Level == Normal:
		return "level normal because " + cause
	case d.Seen == d.Level:
		return fmt.Sprintf("level %s because %s%s", d.Level, cause, lasting)
	case d.Seen > d.Level:
		return fmt.Sprintf("level %s until %s has been seen for %s: %s%s",
			d.Level, d.Seen, seconds(d.config.RiseDwell), cause, lasting)
	case d.kept >= d.Level:
		return fmt.Sprintf("level %s held: %s, within the hysteresis of %s below %s",
			d.Level, cause, percent(d.config.Hysteresis), d.Level)
	default:
		return fmt.Sprintf("level %s held: %s, below %s for %s of the %s that a fall takes",
			d.Level, cause, d.Level, seconds(d.running), seconds(d.config.FallDwell))
	}
}

// cause says what the sample shows.
func (d *Decision) cause() string {
	signal := d.strongest()
	level := Normal
	if signal != nil {
		level = signal.Level
	}
	if d.evidence.limiter && level < High {
		text := fmt.Sprintf("the collector's CPU limiter was active in collection %d under the Go memory limit", d.evidence.cycle)
		if signal != nil {
			text += fmt.Sprintf(" (%s)", d.use(signal))
		}
		return text
	}
	if signal == nil {
		if d.limitKnown {
			return "no use is known to hold against the limit"
		}
		return "no limit is known"
	}
	text := d.use(signal) + ", " + d.compared(signal)
	if d.Seen > level && d.evidence.events {
		text += ", raised by one level as use was at " + limitOf(d.evidence.group) + " within the last " + seconds(evidenceHold)
	} else if d.Seen > level {
		text += fmt.Sprintf(", raised by one level as tasks were stalled on memory for %s of the last 10s", percent(d.evidence.stall))
	}
	return text
}

// use prints a signal's figures.
func (d *Decision) use(s *Signal) string {
	text := fmt.Sprintf("%s use is %s (%s of %s", subject(s.Name), percent(s.Ratio), bytesize.Format(s.UsedBytes), bytesize.Format(s.LimitBytes))
	if s.Group != "" {
		text += " of the parent group " + s.Group
	}
	if s.GarbageBytes > 0 {
		text += fmt.Sprintf(", %s of garbage left out", bytesize.Format(s.GarbageBytes))
	}
	return text + ")"
}

// compared says which threshold decided on a signal's level.
func (d *Decision) compared(s *Signal) string {
	switch byRatio := d.config.at(s.Ratio, 0); {
	case s.Level > byRatio:
		return fmt.Sprintf("%s with its garbage, at or above %s", percent(s.rawRatio()), percent(fullRatio))
	case s.Level < byRatio:
		return fmt.Sprintf("at or above %s, but no more than %s as this process holds %s of it, below %s",
			percent(d.config.threshold(byRatio)), s.Level, percent(d.ownShare), percent(heavyShare))
	case s.Level == Normal:
		return "below " + percent(d.config.Elevated)
	default:
		return "at or above " + percent(d.config.threshold(s.Level))
	}
}

func subject(name SignalName) string {
	if name == SignalGoLimit {
		return "Go limit"
	}
	return string(name)
}

// limitOf names the limit of a container, which is a parent group if it has a path.
func limitOf(parent string) string {
	if parent == "" {
		return "the container's limit"
	}
	return "the limit of the parent group " + parent
}

// percent prints a ratio with one decimal where it has one, rounded down: what prints like a threshold has reached it.
func percent(ratio float64) string {
	const exact = 1e-6 // 0.57 × 1000 is a little less than 570
	text := strconv.FormatFloat(math.Floor(ratio*1000+exact)/10, 'f', 1, 64)
	if n := len(text) - 2; text[n:] == ".0" {
		text = text[:n]
	}
	return text + " %"
}

func seconds(d time.Duration) string {
	if d >= 10*time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// MarshalJSON writes the decision with its reason and signals.
func (d Decision) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		At       time.Time `json:"at"`
		Level    Level     `json:"level"`
		Previous Level     `json:"previous"`
		Since    time.Time `json:"since"`
		Changed  bool      `json:"changed"`
		Seen     Level     `json:"seen"`
		Judged   bool      `json:"judged"`
		Reason   string    `json:"reason"`
		Signals  []Signal  `json:"signals"`
	}{d.At, d.Level, d.Previous, d.Since, d.Changed, d.Seen, d.Judged(), d.Reason(), append([]Signal{}, d.signals[:d.count]...)})
}
