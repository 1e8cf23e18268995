// Package sessions is a program with a large heap that has work to do: it holds sessions in a map, looks at them all the
// time, writes to those that it looks at, and knows how long the longest look took. It does what it is told on standard
// input, line by line; Start runs such a program and tells it.
//
// It knows nothing of snapshots: commands of the program that uses it do. The benchmarks stand above it.
package sessions

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// What a session is made of, besides its share of the map: 10 objects, and 12.5 pointers to objects on average, that
// from the map included.
const (
	ObjectsPerSession  = 10
	PointersPerSession = 12.5
)

// groups is among how many groups users are divided.
const groups = 1000

// session is of a user.
type session struct {
	ID      string
	User    *user
	Started time.Time
	Trail   *visit
	Looks   int
}

// user has a name, roles, and others around it: a heap in which everything had one holder would be too easy.
type user struct {
	Name, Mail string
	Roles      []string
	Group      *group
	InvitedBy  *user // every other one's
}

type group struct{ Name string }

// visit is a page that was visited, and the visit before it.
type visit struct {
	Before *visit
	Page   []byte
}

// Program is the sessions and who looks at them.
type Program struct {
	byNumber map[int]*session
	asked    chan chan time.Duration // for the longest time between two looks
	stop     context.CancelFunc
	stopping <-chan struct{}
	rested   chan struct{} // closed when the looks have ended
}

// New makes n sessions, each with a page of some bytes.
func New(n, page int) *Program {
	p := &Program{byNumber: make(map[int]*session, n), asked: make(chan chan time.Duration), rested: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	p.stop, p.stopping = stop, ctx.Done()
	all := make([]*group, groups)
	for i := range all {
		all[i] = &group{"group-" + strconv.Itoa(i)}
	}
	for i := range n {
		number := strconv.Itoa(1_000_000_000 + i)
		text := bytes.Repeat([]byte{'x'}, page) // written, as a page is: what nobody has written to has no memory
		s := &session{
			ID:      "session-" + number,
			User:    &user{Name: "user-" + number, Mail: "mail-" + number, Roles: []string{"role-" + number, ""}, Group: all[i%groups]},
			Started: time.Unix(int64(i), 0).UTC(),
			Trail:   &visit{&visit{nil, text[:page/2]}, text},
		}
		if i%2 == 1 {
			s.User.InvitedBy = p.byNumber[i/2].User
		}
		p.byNumber[i] = s
	}
	return p
}

// Main runs a program with the command line "N PAGE": so many sessions, each with a page of so many bytes. See
// Program.Run.
func Main(arguments []string, in io.Reader, out io.Writer, commands Commands) error {
	if len(arguments) != 2 {
		return errors.New("usage: N PAGE")
	}
	n, err := strconv.Atoi(arguments[0])
	if err != nil {
		return err
	}
	page, err := strconv.Atoi(arguments[1])
	if err != nil {
		return err
	}
	if n < 1 || page < 2 {
		return fmt.Errorf("%d sessions with pages of %d bytes: want 1 and 2 at least", n, page)
	}
	return New(n, page).Run(in, out, commands)
}

// Commands are what a program can do besides: each gets the rest of the line, and answers with a line, or nothing.
type Commands map[string]func(argument string) (answer string, err error)

// The lines of a program.
const (
	ready  = "ready"
	done   = "ok"
	failed = "error: "
)

// Run looks at the sessions and answers commands until the input ends: "longest" is the longest time between two looks
// in nanoseconds, since it was last asked; "gc" collects twice; "rest" ends the looks for good; others are those of
// commands. Each answer is a line: what was asked for, "ok", or "error: " with the reason.
func (p *Program) Run(in io.Reader, out io.Writer, commands Commands) error {
	runtime.GC()
	go p.look()
	defer p.rest()
	if _, err := fmt.Fprintln(out, ready); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		name, argument, _ := strings.Cut(lines.Text(), " ")
		answer, err := p.answer(name, argument, commands)
		if err != nil {
			answer = failed + strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (p *Program) answer(name, argument string, commands Commands) (string, error) {
	switch command := commands[name]; {
	case name == "longest":
		answer := make(chan time.Duration)
		select {
		case p.asked <- answer:
			return strconv.FormatInt(int64(<-answer), 10), nil
		case <-p.rested:
			return "", errors.New("it does not look any more")
		}
	case name == "rest":
		p.rest()
	case name == "gc":
		runtime.GC()
		runtime.GC()
	case command == nil:
		return "", fmt.Errorf("no such command: %q", name)
	default:
		if answer, err := command(argument); answer != "" || err != nil {
			return answer, err
		}
	}
	return done, nil
}

// rest ends the looks. It may be called again.
func (p *Program) rest() {
	p.stop()
	<-p.rested
}

// look looks at session after session and knows the longest time between two looks since it was last asked, that in which
// it was asked included. It writes to each session: the pages that it shares with a frozen copy of the process have to be
// copied meanwhile.
func (p *Program) look() {
	defer close(p.rested)
	var longest time.Duration
	last := time.Now()
	passed := func() {
		now := time.Now()
		longest = max(longest, now.Sub(last))
		last = now
	}
	for i := 0; ; i++ {
		p.byNumber[i%len(p.byNumber)].Looks++
		passed()
		select {
		case <-p.stopping:
			return
		case answer := <-p.asked:
			passed() // the world may have stood still since the look
			answer <- longest
			longest = 0 // last stays: who asked may do something before this goroutine runs again
		default:
		}
	}
}
