package memwarden_test

import (
	"context"
	"fmt"
	"log"

	"github.com/memwarden/memwarden"
)

// session is what a service holds of a visitor.
type session struct {
	visitor string
	cart    []string
}

// lastSessions keeps the newest session of each visitor, which its author believes to be one that is open.
var lastSessions = map[string]*session{}

// A session that was closed should be garbage. As something still holds it three collections later, a leak report says
// so, and with MEMWARDEN_LEAK_SNAPSHOTS=true by which path: memwarden_test.lastSessions[…].
func ExampleTrack() {
	ctx := context.Background()
	w, err := memwarden.Start(ctx, memwarden.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s := &session{visitor: "Ada"}
	lastSessions[s.visitor] = s // the leak
	h, err := memwarden.Track(w, s, "sessions")
	if err != nil {
		log.Print(err) // the service goes on, and this session is not followed
	}
	s.cart = append(s.cart, "a book")
	fmt.Println(w.Tracked())
	h.Release() // the session is closed: from here on nothing may hold it
	fmt.Println(w.Tracked())
	if err := w.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// [{sessions memwarden_test.session 1 0}]
	// [{sessions memwarden_test.session 0 1}]
}
