package gcpolicy

import (
	"fmt"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
)

// AutomaticConfig says what pressure does by itself.
type AutomaticConfig struct {
	Enabled bool
	// CollectAt is the level from which on a collection is forced where there is garbage of at least MinGarbageRatio of
	// the limit that makes the pressure.
	CollectAt       pressure.Level
	MinGarbageRatio float64
	// ReturnAt is the level from which on free heap is returned to the operating system where there is at least
	// MinFreeRatio of the limit, and MinFreeBytes. Garbage that is collected on the same occasion counts as free heap:
	// collected alone it would stay with the process, and the kernel would see no difference.
	ReturnAt     pressure.Level
	MinFreeRatio float64
	MinFreeBytes int64
}

// DefaultAutomatic collects at high where that can bring use down by 5 %, half the step between two levels, and returns
// free heap at elevated where it is 10 %, one step. Less than 16 MiB is not worth a collection, which returning it
// costs too.
func DefaultAutomatic() AutomaticConfig {
	return AutomaticConfig{
		Enabled: true, CollectAt: pressure.High, MinGarbageRatio: 0.05,
		ReturnAt: pressure.Elevated, MinFreeRatio: 0.10, MinFreeBytes: 16 << 20,
	}
}

// Validate returns every mistake, joined, each a *settings.FieldError.
func (c AutomaticConfig) Validate() error {
	var m mistakes
	c.check(&m)
	return m.err()
}

func (c AutomaticConfig) check(m *mistakes) {
	m.level("automatic.collect_level", c.CollectAt)
	m.share("automatic.min_garbage_ratio", c.MinGarbageRatio)
	m.level("automatic.return_level", c.ReturnAt)
	m.share("automatic.min_free_ratio", c.MinFreeRatio)
	m.reject(c.MinFreeBytes < 0, "automatic.min_free_bytes", "%d: want 0 or more", c.MinFreeBytes)
}

// AutomaticDecision is what pressure asks of the Collector, which may still refuse by its backoff.
type AutomaticDecision struct {
	At         time.Time `json:"at"`
	Collect    bool      `json:"collect"`
	ReturnToOS bool      `json:"return_to_os"`
	// GarbageBytes are heap objects that the last collection did not find live, FreeBytes free heap that was not
	// returned.
	GarbageBytes memstat.Int `json:"garbage_bytes,omitzero"`
	FreeBytes    memstat.Int `json:"free_bytes,omitzero"`
	Reason       string      `json:"reason"`
}

// Request returns what is to be asked of the Collector; ok is false where nothing is.
func (d AutomaticDecision) Request() (request Request, ok bool) {
	return Request{Reason: d.Reason, ReturnToOS: d.ReturnToOS}, d.Collect || d.ReturnToOS
}

// Automate decides by the pressure and the sample it was judged from. It acts on what the sample shows, not on a level
// that is only held while use falls: then what was done is working already. It is pure and needs no state, because the
// Collector's backoff has one.
func Automate(cfg AutomaticConfig, p pressure.Decision, s *memstat.Sample) AutomaticDecision {
	d := AutomaticDecision{At: p.At, GarbageBytes: difference(s.Go.HeapObjectsBytes, s.Go.HeapLiveBytes), FreeBytes: s.Go.HeapFreeBytes}
	signal, judged := p.Strongest()
	level := min(p.Level, p.Seen)
	switch {
	case !cfg.Enabled:
		d.Reason = "nothing to do: automatic collections are switched off"
		return d
	case !judged:
		d.Reason = "nothing to do: there is no pressure to judge by"
		return d
	case level < min(cfg.CollectAt, cfg.ReturnAt):
		d.Reason = fmt.Sprintf("nothing to do: pressure is %s and the sample shows %s", p.Level, p.Seen)
		return d
	}
	ofLimit := func(ratio float64) int64 { return int64(ratio * float64(signal.LimitBytes)) }
	garbage, free := d.GarbageBytes.Or(0), d.FreeBytes.Or(0)
	d.Collect = level >= cfg.CollectAt && garbage >= max(ofLimit(cfg.MinGarbageRatio), 1)
	returnable := free
	if d.Collect {
		returnable += garbage // which the collection turns into free heap
	}
	d.ReturnToOS = level >= cfg.ReturnAt && returnable >= max(ofLimit(cfg.MinFreeRatio), cfg.MinFreeBytes, 1)

	figures := fmt.Sprintf("pressure is %s, with %s of garbage and %s of free heap in a limit of %s", level,
		bytesize.Format(garbage), bytesize.Format(free), bytesize.Format(signal.LimitBytes))
	switch {
	case d.Collect && d.ReturnToOS:
		d.Reason = "collect and return memory: " + figures
	case d.Collect:
		d.Reason = "collect: " + figures
	case d.ReturnToOS:
		d.Reason = "return memory: " + figures
	default:
		d.Reason = "nothing worth collecting: " + figures
	}
	return d
}
