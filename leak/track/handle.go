package track

import "context"

// Handle is an object that is tracked. It does not keep the object alive, and the object may hold it. It is safe for
// concurrent use; a nil Handle does nothing.
type Handle struct {
	group  *group
	object interface{ address() uintptr }

	// What follows is with group.mu.
	prev, next *Handle
	stop       func() bool // of what would release it later
	at         int64       // nanoseconds from the tracker's epoch until Look saw it released
	cycles     uint32      // collections that were completed then, modulo 1<<32
	state      state
}

// state of a Handle.
type state uint8

const (
	held     state = iota // not yet released
	released              // and in the group's list
	seen                  // by Look, after it was released
	over                  // collected, or the tracker was closed
)

// Release says that the object should become garbage: who called Track, or took it over, uses it no more. It takes some
// ten nanoseconds. Further calls do nothing.
func (h *Handle) Release() {
	if h == nil {
		return
	}
	g := h.group
	g.mu.Lock()
	stop := h.stop
	h.stop = nil
	switch {
	case h.state != held:
	case g.closed:
		h.drop()
	default:
		h.state = released
		g.held--
		g.append(h)
	}
	g.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// ReleaseAfter releases the object when the context is done, unless that has happened by then. An object that is
// collected before leaves nothing behind with the context. A second call takes the place of the first.
//
// Until it is done, what the context's values lead to is held by it: an object that is among them is not collected
// before.
func (h *Handle) ReleaseAfter(ctx context.Context) {
	if h == nil {
		return
	}
	stop := context.AfterFunc(ctx, h.Release)
	h.group.mu.Lock()
	if h.state == held {
		h.stop, stop = stop, h.stop
	}
	h.group.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// Address is where the object is, until it is collected; 0 after that. The number does not keep it alive.
func (h *Handle) Address() uintptr { return h.object.address() }

// collected is called by the runtime some time after the object was freed.
func (h *Handle) collected() {
	h.group.mu.Lock()
	stop := h.stop
	h.drop()
	h.group.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// drop ends the tracking of an object, once. The caller holds group.mu.
func (h *Handle) drop() {
	g := h.group
	switch h.state {
	case held:
		g.held--
	case released, seen:
		g.unlink(h)
	case over:
		return
	}
	h.state, h.stop = over, nil
	g.t.count.Add(-1)
}

// append adds a handle to the list of those that were released. The caller holds mu.
func (g *group) append(h *Handle) {
	h.prev = g.last
	if g.last == nil {
		g.first = h
	} else {
		g.last.next = h
	}
	g.last = h
	g.waiting++
}

// unlink takes a handle out of the list. The caller holds mu.
func (g *group) unlink(h *Handle) {
	if h.prev == nil {
		g.first = h.next
	} else {
		h.prev.next = h.next
	}
	if h.next == nil {
		g.last = h.prev
	} else {
		h.next.prev = h.prev
	}
	h.prev, h.next = nil, nil
	g.waiting--
}
