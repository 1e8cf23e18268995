//go:build unix

package tests

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

const (
	shutdownRounds = 4
	loadClients    = 8
	followers      = 3 // of each kind
)

// TestShutdownUnderLoad ends the service while clients ask it one thing after the other and others follow the live
// stream. Nobody may notice more than that the connection is not kept.
func TestShutdownUnderLoad(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	how := setup{Env: map[string]string{"DATA_DIR": servicetest.OpenDir(t), "DRAIN_DELAY": ""}} // the default
	var promised int64
	for range shutdownRounds {
		s := how.start(t)
		if got := servicetest.Decode[config](t, s.Get(t, memory+"/config")); got.Version < promised {
			t.Errorf("version %d is in force, acknowledged was %d", got.Version, promised)
		}
		l := &load{address: strings.TrimPrefix(s.URL, "http://")}
		for range followers {
			l.followEvents(t, s)
			l.followMessages(t)
		}
		for i := range loadClients {
			l.work.Go(func() { l.ask(t, i) })
		}
		servicetest.Within(t, patience, "answered enough to prove something", func() bool {
			return l.answered.Load() >= 10*loadClients && l.version.Load() > 0
		})
		time.Sleep(time.Duration(random.Int64N(int64(500 * time.Millisecond)))) // so that it ends at any moment
		l.ending.Store(true)
		s.Stop(t)
		l.work.Wait()
		promised = l.version.Load()
		t.Logf("%d requests answered in full, %d connections found the door closed", l.answered.Load(), l.refused.Load())
	}
}

// load is what the clients of one round have seen.
type load struct {
	address  string
	ending   atomic.Bool // the service was told to end
	work     sync.WaitGroup
	answered atomic.Int64
	refused  atomic.Int64 // connections that were never accepted
	version  atomic.Int64 // newest that was acknowledged
}

// ask sends one request after the other, on a connection that it keeps for as long as the service does, until the service
// takes no connection any more.
func (l *load) ask(t *testing.T, client int) {
	for number := 0; ; {
		conn, err := net.Dial("tcp", l.address)
		if err != nil {
			if !l.ending.Load() || !isRefused(err) {
				t.Errorf("client %d: %v", client, err)
			}
			return
		}
		answers := bufio.NewReader(conn)
		for fresh := true; ; fresh = false {
			number++
			closing, err := l.exchange(conn, answers, client, number)
			if err != nil && !(fresh && l.ending.Load() && l.doorIsClosed()) {
				t.Errorf("client %d: request %d, first of its connection: %v: %v", client, number, fresh, err)
			}
			if err != nil || closing {
				break
			}
		}
		conn.Close()
	}
}

// doorIsClosed tells whether the service has stopped to accept. A connection that waited for that until then ends without
// an answer, and never was one of the service.
func (l *load) doorIsClosed() bool {
	conn, err := net.Dial("tcp", l.address)
	if err == nil {
		conn.Close()
		return false
	}
	l.refused.Add(1)
	return isRefused(err)
}

// isRefused: nobody listens any more, or ceased to just now.
func isRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}

// exchange sends a request and reads the whole answer.
func (l *load) exchange(conn net.Conn, answers *bufio.Reader, client, number int) (closing bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return false, err
	}
	method, path, body := http.MethodGet, memory+"/stats", ""
	switch number % 3 {
	case 1:
		method, path, body = http.MethodPatch, memory+"/config", patchBody(int64(client*1e6+number))
	case 2:
		path = "/"
	}
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		method, path, l.address, token, len(body), body); err != nil {
		return false, err
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return false, fmt.Errorf("after %d bytes of the answer: %w", len(content), err)
	}
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%s %s: status %d: %s", method, path, response.StatusCode, content)
	}
	l.answered.Add(1)
	if method == http.MethodPatch {
		var version int64
		if _, err := fmt.Sscanf(string(content), `{"version":%d`, &version); err != nil {
			return false, fmt.Errorf("%w: %s", err, content)
		}
		for old := l.version.Load(); version > old && !l.version.CompareAndSwap(old, version); old = l.version.Load() {
		}
	}
	return response.Close, nil
}

// followEvents reads the stream of server-sent events, which must end as an answer does.
func (l *load) followEvents(t *testing.T, s *service) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // whose streams may last
	response, err := client.Get(s.URL + livePath)
	if err != nil {
		t.Fatal(err)
	}
	l.work.Go(func() {
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		if err != nil || !strings.HasPrefix(string(content), "event: sample\n") || !strings.HasSuffix(string(content), "\n\n") {
			t.Errorf("a stream of %d bytes ended with %v", len(content), err)
		}
	})
}

// followMessages reads a WebSocket, which must end with the code for a server that goes away.
func (l *load) followMessages(t *testing.T) {
	t.Helper()
	conn, response, err := websocket.DefaultDialer.Dial("ws://"+l.address+livePath, nil)
	if err != nil {
		t.Fatalf("%v: %v", err, response)
	}
	l.work.Go(func() {
		defer conn.Close()
		for {
			_, _, err := conn.ReadMessage()
			if err == nil {
				continue
			}
			if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
				t.Errorf("a WebSocket ended with %v, want code 1001", err)
			}
			return
		}
	})
}

// TestShutdownBesideBadClients has clients that would hold it up: one that does not read, one that never says its token.
func TestShutdownBesideBadClients(t *testing.T) {
	t.Parallel()
	s := setup{Env: map[string]string{"READS_NEED_TOKEN": "true", "SHUTDOWN_TIMEOUT": "3s"}}.start(t)
	for range 3 {
		conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL, "http")+livePath, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	before := time.Now()
	s.Stop(t)
	if took := time.Since(before); took > soon {
		t.Errorf("the end took %v", took)
	}
}
