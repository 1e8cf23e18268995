package leak

import "time"

// SetMinRise changes Options.MinRise; 0 is its default. All that was seen is kept, and judged by it from the next value on;
// what is suspected stays so. The error says what is wrong with it; then nothing has changed.
func (d *Detector) SetMinRise(ratio float64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.o
	o.MinRise = ratio
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	d.o = o
	for _, s := range d.series {
		s.minRise = o.MinRise
	}
	return nil
}

// Anew returns a detector with other options that has seen nothing, but knows of the leaks that are suspected: they keep
// their Since, and it sees by its own windows what becomes of them, for as long as the window took that they were found in.
// An error lists every mistake in the options. The old one may be used as before.
func (d *Detector) Anew(o Options) (*Detector, error) {
	next, err := NewDetector(o)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	next.active = d.active
	for kind, s := range next.series {
		old := d.series[kind]
		s.value, s.resumed = old.value, old.resumed
		if old.began == 0 {
			s.finding.Reason = "it is watched anew: " + s.finding.Reason
			continue
		}
		s.finding, s.suspicion = old.finding, old.suspicion.clone()
		s.suspicion.carried = true
	}
	return next, nil
}

// followCarried sees what becomes of a suspicion of an older detector. Until the windows that it was found in are known
// again, the shortest tells whether what had risen was given back. From then on it is as any other.
func (s *series) followCarried(i int, j judged, active time.Duration) {
	own := i == s.suspicion.scale
	switch led := s.suspicion.led != ""; {
	case led && own:
		var known bool
		if j, known = s.followSite(); !known {
			return
		}
	case led, i != 0 && !own, len(s.scales[i].buckets) < enoughBuckets:
		return
	}
	if s.givenBack(j) || !own {
		return
	}
	s.suspicion.carried = false
	s.suspicion.began, s.suspicion.progress = active, active
	s.suspicion.base, s.suspicion.high = j.rise.to, max(s.suspicion.high, j.rise.to)
}
