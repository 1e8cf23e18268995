// Package leak judges whether a process leaks: whether its live heap, its memory outside of that, its descriptors, threads
// or goroutines go up and never come back, and what grows with them.
//
// It knows figures and times that it is given. It reads nothing, starts nothing and holds no memory of the program: the
// facade above samples, takes profiles and snapshots, and acts. See Detector for the rules and for what they miss.
package leak

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Verdict is what is thought of a figure. The higher, the worse.
type Verdict uint8

// The verdicts.
const (
	Insufficient Verdict = iota // less was seen than any rule takes, which is nearly two of the shortest windows
	Healthy
	Watch     // it goes up as a leak would, but not for long enough, or not by enough
	Suspect   // a rule holds; see Detector
	Confirmed // it went on rising for another third of the rule's window
)

var verdicts = [...]string{"insufficient data", "healthy", "watch", "suspect", "confirmed"}

// String returns the verdict in lower case.
func (v Verdict) String() string {
	if int(v) >= len(verdicts) {
		return fmt.Sprintf("verdict(%d)", uint8(v))
	}
	return verdicts[v]
}

// MarshalText returns String.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Kind is a figure that is judged.
type Kind uint8

// The kinds.
const (
	Heap        Kind = iota // live heap less what owners account for
	Native                  // resident memory less that of the Go runtime
	Descriptors             // open files, sockets and the like
	Threads
	Goroutines
	kinds
)

// Kinds are all there are.
func Kinds() []Kind { return []Kind{Heap, Native, Descriptors, Threads, Goroutines} }

var kindNames = [kinds]string{"heap", "native", "descriptors", "threads", "goroutines"}

// String returns the kind in lower case.
func (k Kind) String() string {
	if k >= kinds {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// MarshalText returns String.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// leastRise is below what a rise of a kind is never told: bytes, or how many.
var leastRise = [kinds]float64{Heap: 1 << 20, Native: 8 << 20, Descriptors: 20, Threads: 10, Goroutines: 50}

// DefaultWindow is the shortest window of a Detector.
const DefaultWindow = 20 * time.Minute

// LeastLooks is how often in the shortest window a Detector must be told what is seen.
const LeastLooks = 8

// Options of a Detector. They are read once, by NewDetector.
type Options struct {
	// Window is the shortest window, at least 1 s; default DefaultWindow. The others are 3, 18 and 72 times as long:
	// an hour, 6 and 24 hours.
	Window time.Duration
	// Interval is how often Add is called, at most an eighth of Window; default 1 s. Time that passes without a call for
	// longer than three of them, as in a process that was stopped, does not count.
	Interval time.Duration
	// MinRise is what must be added in a window for a fast leak, as a share of what was there; default 0.2.
	MinRise float64
}

func (o Options) withDefaults() (Options, error) {
	if o.Window == 0 {
		o.Window = DefaultWindow
	}
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	if o.MinRise == 0 {
		o.MinRise = 0.2
	}
	var mistakes []error
	if o.Window < time.Second || o.Window > 30*24*time.Hour {
		mistakes = append(mistakes, fmt.Errorf("leak: window %s: want 1s to 720h", o.Window))
	}
	if o.Interval <= 0 || o.Interval > o.Window/LeastLooks {
		mistakes = append(mistakes, fmt.Errorf("leak: interval %s: want above 0 and at most %s, an eighth of the window", o.Interval, o.Window/LeastLooks))
	}
	if !(o.MinRise > 0 && o.MinRise <= 10) {
		mistakes = append(mistakes, fmt.Errorf("leak: least rise %v: want above 0 and at most 10", o.MinRise))
	}
	return o, errors.Join(mistakes...)
}

// Observation is what was seen at a time. What is not known is NaN, and so is what is infinite or negative.
type Observation struct {
	Values [kinds]float64 // by Kind
	// Owned is what owners account for of the live heap, and is not in Values[Heap]. Where it is not known, no site is
	// judged by itself: it could be an owner's.
	Owned float64
	// Load is what the work may be measured by, such as requests a second. NaN: not known.
	Load float64
}

// NothingSeen is an Observation without figures.
func NothingSeen() (o Observation) {
	for i := range o.Values {
		o.Values[i] = math.NaN()
	}
	o.Owned, o.Load = math.NaN(), math.NaN()
	return o
}

// Site is something that may grow with a figure: what an allocation site has in use, or how many goroutines there are
// with a stack.
type Site struct {
	Name  string
	Value float64 // bytes, or how many
}

// Finding is what is thought of one kind.
type Finding struct {
	Kind    Kind
	Verdict Verdict
	// Rule and Window tell what holds; empty for Healthy and Insufficient.
	Rule   Rule
	Window time.Duration
	// Since is when the verdict was first Suspect; zero before.
	Since time.Time
	// From and To are the floor at the beginning and at the end of what was judged, Rise their difference, PerSecond how
	// fast it went up. Where one site alone was judged they are what that had: the reason says so.
	From, To, Rise, PerSecond float64
	// Sites are those that grew as the whole did, the largest first. None: nothing is known of them, or none did.
	Sites []SiteGrowth
	// Reason is a sentence.
	Reason string
}

// SiteGrowth is by how much a site grew in the window.
type SiteGrowth struct {
	Name  string
	By    float64
	Share float64 // of the whole rise, 1 at most
}

// Left is the time until a limit is reached if it goes on like this, and whether it ever is.
func (f Finding) Left(limit float64) (time.Duration, bool) {
	if f.PerSecond <= 0 || !(limit > 0) {
		return 0, false
	}
	seconds := max(0, limit-f.To) / f.PerSecond
	if seconds > math.MaxInt64/1e9 {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}
