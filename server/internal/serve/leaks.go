package serve

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/contrib/pgxpool"
	"github.com/memwarden/memwarden/server/internal/store"
)

// reportHeld makes a leak report of a database connection that is not given back. It waits for nothing: what is held may
// be the last connection, which the report needs, too. Of a start that migrates for long only the log tells.
func (s *service) reportHeld(h pgxpool.Held) {
	warden := s.reporter.Load()
	if warden == nil {
		return
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if err := warden.ReportLeak(now, heldReport(h)); err != nil {
		s.o.Logger.Error("memory leak report could not be kept: a connection to the database is held for long", "error", err)
	}
}

// heldReport says who holds a connection. A stack has functions and places, and nothing of what is said over the
// connection.
func heldReport(h pgxpool.Held) memwarden.LeakReport {
	var frames []string
	for line := range strings.Lines(h.Stack) {
		place := strings.TrimSpace(line)
		if strings.HasPrefix(line, "\t") && len(frames) > 0 {
			frames[len(frames)-1] += " " + place
		} else if place != "" {
			frames = append(frames, place)
		}
	}
	var functions []string
	for _, frame := range frames {
		function, _, _ := strings.Cut(frame, " ")
		functions = append(functions, function)
	}
	const kind = "connection_held"
	signature := ""
	if taker := store.Taker(functions); taker != "" {
		signature = kind + " " + taker
	}
	return memwarden.LeakReport{
		Kind: kind, Owner: databaseOwner{}.Name(), AllocStack: frames, Signature: signature, FirstSeen: h.Since,
		Sentence: fmt.Sprintf("a connection to the database was taken %v ago and has not been given back", h.For.Round(time.Second)),
	}
}
