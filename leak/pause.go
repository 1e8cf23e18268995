package leak

import "time"

// Resume tells that nothing was seen for a while, and that what was added meanwhile is not to be judged: each figure goes on
// from where it was, as if it had been as high all the time. What has become less was given back. Of sites nothing is known
// from before.
func (d *Detector) Resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = time.Time{}
	for _, s := range d.series {
		s.resumed, s.suspicion.rebase = true, true
		for i := range s.sites {
			s.sites[i].clear()
		}
	}
}

// carryOn takes a value in the place of the one before a pause.
func (s *series) carryOn(value float64) {
	if by := value - s.value; s.resumed && by > 0 {
		for _, scale := range s.scales {
			scale.raise(by)
		}
		if s.suspicion.led == "" {
			s.suspicion.raise(by)
		}
	}
	s.resumed, s.value = false, value
}

// raise adds to all that was seen.
func (s *scale) raise(by float64) {
	for i := range s.buckets {
		s.buckets[i].least += by
	}
	s.least += by
}
