package memwarden

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// peerPatience is how long a peer of a process that takes snapshots of itself may wait for an answer, or for the end of its
// connection. The process stands still for milliseconds; the rest is what a busy machine may take.
const peerPatience = 5 * time.Second

// descriptors is how many files and connections this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// openFiles says what is open; a name may be gone already.
func openFiles() string {
	links, _ := filepath.Glob("/proc/self/fd/*")
	var text strings.Builder
	for _, link := range links {
		name, err := os.Readlink(link)
		fmt.Fprintln(&text, link, name, err)
	}
	return text.String()
}

// beginAtEase begins a warden that sees no pressure, whatever else the machine does: under pressure it opens files for good.
func beginAtEase(t *testing.T) *Warden {
	t.Helper()
	o, _ := newContainer(t, "8589934592").options()
	return beginPatient(t, o)
}

// descriptorsLeft is how many descriptors there are once there are no more than before, or else after ten seconds: samples
// of the warden open files for a moment.
func descriptorsLeft(t *testing.T, before int) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if after := descriptors(t); after <= before || time.Now().After(deadline) {
			return after
		}
	}
}

// TestSnapshotsCloseWhatTheyOpen: at once, and not when a collection finds that nobody has it any more.
func TestSnapshotsCloseWhatTheyOpen(t *testing.T) {
	w := beginAtEase(t)
	if _, err := w.Snapshot(t.Context(), io.Discard); err != nil { // what is opened once and kept
		t.Fatal(err)
	}
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	before := descriptors(t)
	for range 3 {
		if _, err := w.Snapshot(t.Context(), new(bytes.Buffer)); err != nil {
			t.Fatal(err)
		}
	}
	if after := descriptorsLeft(t, before); after > before {
		t.Errorf("%d descriptors, before %d:\n%s", after, before, openFiles())
	}
}

// traffic is what a service does all the time: it answers clients that stay and clients that come and go, and allocates.
type traffic struct {
	listener net.Listener
	stop     atomic.Bool
	clients  sync.WaitGroup
	workers  sync.WaitGroup // and who serves them
	parked   chan struct{}
	failures chan error
	rounds   [trafficClients]atomic.Int64 // of each client that stays
	longest  atomic.Int64                 // nanoseconds that one waited for an answer
}

const (
	trafficClients = 8
	trafficParked  = 500 // goroutines that wait for the end
)

func beginTraffic(t *testing.T) *traffic {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &traffic{listener: listener, parked: make(chan struct{}), failures: make(chan error, trafficClients)}
	l.workers.Go(l.serve)
	for i := range trafficClients {
		l.work(&l.clients, func() error { return l.client(&l.rounds[i]) })
	}
	l.work(&l.clients, l.comeAndGo)
	l.work(&l.workers, l.allocate)
	for range trafficParked {
		l.workers.Go(func() { <-l.parked })
	}
	return l
}

func (l *traffic) work(in *sync.WaitGroup, does func() error) {
	in.Go(func() {
		err := does()
		if err == nil {
			return
		}
		select {
		case l.failures <- err:
		default: // there are enough that tell what is wrong
		}
	})
}

// serve echoes what comes, until the listener is closed.
func (l *traffic) serve() {
	for {
		connection, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.work(&l.workers, func() error {
			_, err := io.Copy(connection, connection)
			return errors.Join(err, connection.Close())
		})
	}
}

// echo sends a number and wants it back.
func (l *traffic) echo(connection net.Conn, number uint64) error {
	began := time.Now()
	if err := connection.SetDeadline(began.Add(time.Minute)); err != nil {
		return err
	}
	var message [8]byte
	binary.BigEndian.PutUint64(message[:], number)
	if _, err := connection.Write(message[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(connection, message[:]); err != nil {
		return err
	}
	if got := binary.BigEndian.Uint64(message[:]); got != number {
		return fmt.Errorf("message %d came back as %d", number, got)
	}
	for waited := int64(time.Since(began)); ; {
		if longest := l.longest.Load(); waited <= longest || l.longest.CompareAndSwap(longest, waited) {
			return nil
		}
	}
}

// client stays connected.
func (l *traffic) client(rounds *atomic.Int64) error {
	connection, err := net.Dial("tcp", l.listener.Addr().String())
	if err != nil {
		return err
	}
	for i := uint64(0); err == nil && !l.stop.Load(); i++ {
		err = l.echo(connection, i)
		rounds.Add(1)
		time.Sleep(time.Millisecond)
	}
	return errors.Join(err, connection.Close())
}

// comeAndGo connects anew for each message.
func (l *traffic) comeAndGo() error {
	for i := uint64(0); !l.stop.Load(); i++ {
		connection, err := net.Dial("tcp", l.listener.Addr().String())
		if err != nil {
			return err
		}
		if err := errors.Join(l.echo(connection, i), connection.Close()); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// allocate makes garbage of lists, which must be whole.
func (l *traffic) allocate() error {
	for !l.stop.Load() {
		var list *leakedSession
		for range 1000 {
			list = &leakedSession{next: list}
		}
		n := 0
		for ; list != nil; list = list.next {
			n++
		}
		if n != 1000 {
			return fmt.Errorf("a list of 1,000 has %d", n)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// goesOn waits until every client that stays was answered twice more: the second question came after the call.
func (l *traffic) goesOn(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for i := range l.rounds {
		for from := l.rounds[i].Load(); l.rounds[i].Load() < from+2; time.Sleep(time.Millisecond) {
			if len(l.failures) > 0 || time.Now().After(deadline) {
				t.Fatalf("client %d is not answered any more: %v", i, l.end())
			}
		}
	}
}

// end stops all of it and returns what went wrong.
func (l *traffic) end() error {
	l.stop.Store(true)
	l.clients.Wait()
	failed := l.listener.Close()
	close(l.parked)
	l.workers.Wait()
	close(l.failures)
	for err := range l.failures {
		failed = errors.Join(failed, err)
	}
	return failed
}

// TestSnapshotsUnderLoad takes snapshots of a process that serves, again and again. While the frozen copy and the helper are
// there the process goes on, and a connection that it closes ends for its peer: neither holds it open. Afterwards there is
// no process left, be it a dead one, and no descriptor.
func TestSnapshotsUnderLoad(t *testing.T) {
	hold(t)
	snapshots := 3
	if *long {
		snapshots = 200
	}
	w := beginAtEase(t)
	if _, err := w.Snapshot(t.Context(), io.Discard); err != nil { // what is opened once and kept
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	before := descriptors(t)
	l := beginTraffic(t)
	var longest time.Duration
	for i := range snapshots {
		peer, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		served, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		g, ended := heldUp(t, t.Context(), w)
		if len(children(t)) == 0 {
			t.Fatalf("snapshot %d: nobody reads the copy while the file is written", i)
		}
		l.goesOn(t)
		closed := time.Now()
		if err := errors.Join(served.Close(), peer.SetReadDeadline(closed.Add(time.Minute))); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("snapshot %d: the peer reads %v, want the end of the connection", i, err)
		}
		longest = max(longest, time.Since(closed))
		if len(children(t)) == 0 {
			t.Fatalf("snapshot %d: it was over before the peer saw the end of its connection", i)
		}
		close(g.opened)
		if err := errors.Join(<-ended, peer.Close()); err != nil {
			t.Fatalf("snapshot %d: %v", i, err)
		}
		if left := children(t); len(left) > 0 {
			t.Fatalf("snapshot %d has left processes:\n%v", i, left)
		}
	}
	l.goesOn(t)
	if err := l.end(); err != nil {
		t.Error(err)
	}
	answered := time.Duration(l.longest.Load())
	t.Logf("%d snapshots: peers waited for answers for %v at most, for the end of a connection %v", snapshots, answered, longest)
	if answered > peerPatience || longest > peerPatience {
		t.Errorf("peers waited for answers for %v, for the end of a connection %v: more than %v", answered, longest, peerPatience)
	}
	if after := descriptorsLeft(t, before); after > before {
		t.Errorf("%d descriptors after %d snapshots, before %d:\n%s", after, snapshots, before, openFiles())
	}
	noChildren(t)
}
