package health

// hysteresis is whether a check withholds readiness. It is a value: next returns the state after a result.
//
// A series that alternates never switches it, whatever it started with, unless one result is enough.
type hysteresis struct {
	known bool // there was a result
	off   bool // readiness is withheld
	row   int  // results in a row that speak against off; below the number that switches it
}

// next returns the state after one more result. The first decides at once: a program that has never been well is not
// ready, and need not prove twice that it is.
func (h hysteresis) next(down bool, failAfter, recoverAfter int) hysteresis {
	if !h.known || down == h.off {
		return hysteresis{known: true, off: down}
	}
	needed := failAfter
	if h.off {
		needed = recoverAfter
	}
	if h.row+1 >= needed {
		return hysteresis{known: true, off: down}
	}
	h.row++
	return h
}
