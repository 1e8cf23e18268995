// Command leaky is a small service that leaks when it is asked to, to see how a leak is found and named. Its README shows
// how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os/signal"
	"sync"
	"syscall"
	"time"

	_ "github.com/memwarden/memwarden/auto" // watches this program; the environment says how
)

// session is what the service holds of a visitor.
type session struct {
	visitor string
	cart    []byte
}

// sessions are all there ever were: nobody takes one out again. That is the leak.
var sessions struct {
	sync.Mutex
	open map[int]*session
}

// openSession begins to hold a session.
func openSession() {
	sessions.Lock()
	defer sessions.Unlock()
	n := len(sessions.open)
	sessions.open[n] = &session{visitor: fmt.Sprint("visitor ", n), cart: make([]byte, 1024)}
}

// answers come from a server that never answers: who waits for one waits for ever.
var answers = make(chan string)

// waitForAnswer begins to wait.
func waitForAnswer() {
	go func() { log.Print(<-answers) }()
}

// leakers are what can be leaked, and how often a second.
var leakers = map[string]struct {
	leak      func()
	perSecond int
}{
	"sessions":   {openSession, 250},
	"goroutines": {waitForAnswer, 10},
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	held := flag.Int("sessions", 0, "how many sessions there are to begin with, of a KiB each")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	sessions.open = map[int]*session{}
	for range *held {
		openSession()
	}
	if err := serve(ctx, *addr); err != nil {
		log.Fatal(err)
	}
}

// serve answers until ctx ends.
func serve(ctx context.Context, addr string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /leak/{what}", func(w http.ResponseWriter, r *http.Request) {
		l, ok := leakers[r.PathValue("what")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		go every(ctx, time.Second/time.Duration(l.perSecond), l.leak)
		fmt.Fprintln(w, "leaking", r.PathValue("what"))
	})
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	log.Print("listening on http://", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// every does something again and again until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			do()
		case <-ctx.Done():
			return
		}
	}
}
