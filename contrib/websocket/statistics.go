package websocket

import "sync/atomic"

// Statistics are what has become of connections and messages since the hub was made; Usage tells how many there are.
type Statistics struct {
	Accepted        int64 // connections that were opened
	Refused         int64 // requests that did not become one
	Slow            int64 // clients dropped because they did not keep up
	Vanished        int64 // clients dropped because they showed no sign of life
	Unauthenticated int64 // clients dropped for their first message, or for not sending one
	Sent            int64 // messages written, each client's counted
	Lost            int64 // messages that a client did not get, though they were in its queue
}

// counters are the same as they grow.
type counters struct {
	accepted, refused, slow, vanished, unauthenticated, sent, lost atomic.Int64
}

// Statistics returns the counts so far.
func (h *Hub) Statistics() Statistics {
	c := &h.counts
	return Statistics{
		Accepted: c.accepted.Load(), Refused: c.refused.Load(), Slow: c.slow.Load(), Vanished: c.vanished.Load(),
		Unauthenticated: c.unauthenticated.Load(), Sent: c.sent.Load(), Lost: c.lost.Load(),
	}
}
