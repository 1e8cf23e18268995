package incident

import (
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/memwarden/memwarden/internal/sorting"
)

// GoroutineBytes is about what Goroutines takes for each goroutine while it is at work; TestGoroutineBytes measures it.
const GoroutineBytes = 450

// Goroutines writes the profile that Profile("goroutine") writes, but for labels, what is beyond 32 frames and which
// functions were inlined, and comes to an end however fast goroutines come. The runtime's own writer has room for ten that
// come while it makes room for the others, and begins again if there are more: with 200,000 of them, and 80,000 new ones a
// second, it can go on like that until the process is killed. It stops the program for moments, and takes GoroutineBytes for
// each goroutine until it returns. Its error says that even room for twice as many was not enough, or is w's. The form is
// that of pprof's profile.proto.
func Goroutines(now time.Time) func(io.Writer) error {
	return Buffered(func(w io.Writer) error {
		records, err := stacksOfAll()
		if err != nil {
			return err
		}
		out := gzip.NewWriter(w)
		_, err = out.Write(goroutineProfile(records, now))
		return errors.Join(err, out.Close())
	})
}

// stacksOfAll leaves room for those that come meanwhile: an eighth of all at first, as many as there are in the end.
func stacksOfAll() ([]runtime.StackRecord, error) {
	for share := 8; share > 0; share /= 2 {
		n := runtime.NumGoroutine()
		records := make([]runtime.StackRecord, n+n/share+64)
		if n, ok := runtime.GoroutineProfile(records); ok {
			return records[:n], nil
		}
	}
	return nil, errors.New("goroutines come faster than a profile of them can be taken")
}

// Fields of profile.proto: those of the profile, then those of its parts.
const (
	profileSampleType, profileSample, profileMapping, profileLocation, profileFunction, profileString = 1, 2, 3, 4, 5, 6
	profileTime, profilePeriodType, profilePeriod                                                     = 9, 11, 12

	typeOf, typeUnit                                                     = 1, 2
	sampleLocation, sampleValue                                          = 1, 2
	mappingID, mappingFile, mappingFunctions, mappingFiles, mappingLines = 1, 5, 7, 8, 9
	locationID, locationMapping, locationAddress, locationLine           = 1, 2, 3, 4
	lineFunction, lineNumber                                             = 1, 2
	functionID, functionName, functionSystemName, functionFile           = 1, 2, 3, 4
)

// profileWriter puts a profile together.
type profileWriter struct {
	message
	strings   map[string]uint64
	locations map[place]uint64
	functions map[string]uint64
}

// goroutineProfile is the profile of stacks, those of most goroutines first.
func goroutineProfile(records []runtime.StackRecord, at time.Time) []byte {
	counts := map[[32]uintptr]uint64{}
	for i := range records {
		counts[records[i].Stack0]++
	}
	type counted struct {
		stack []uintptr
		count uint64
	}
	var all []counted
	for stack, count := range counts {
		all = append(all, counted{(&runtime.StackRecord{Stack0: stack}).Stack(), count})
	}
	sorting.By(all, func(a, b counted) int { return cmp.Or(cmp.Compare(b.count, a.count), slices.Compare(a.stack, b.stack)) })

	p := &profileWriter{strings: map[string]uint64{}, locations: map[place]uint64{}, functions: map[string]uint64{}}
	p.text("") // the first there must be
	var kind, mapping message
	kind.number(typeOf, p.text("goroutine"))
	kind.number(typeUnit, p.text("count"))
	p.part(profileSampleType, kind)
	p.part(profilePeriodType, kind)
	p.number(profilePeriod, 1)
	p.number(profileTime, uint64(at.UnixNano()))
	mapping.number(mappingID, 1)
	if file, err := os.Executable(); err == nil { // else it has no name there
		mapping.number(mappingFile, p.text(file))
	}
	for _, known := range []int{mappingFunctions, mappingFiles, mappingLines} {
		mapping.number(known, 1)
	}
	p.part(profileMapping, mapping)
	for _, c := range all {
		var sample message
		frames := runtime.CallersFrames(c.stack)
		for more := true; more; {
			var frame runtime.Frame
			// Below all is what a goroutine returns to in the end.
			if frame, more = frames.Next(); frame.Function != "runtime.goexit" {
				sample.number(sampleLocation, p.location(frame))
			}
		}
		sample.number(sampleValue, c.count)
		p.part(profileSample, sample)
	}
	return p.message
}

// place is what tells frames apart: those of inlined functions have one address.
type place struct {
	pc       uintptr
	function string
	line     int
}

// location is the number of a place in the code.
func (p *profileWriter) location(frame runtime.Frame) uint64 {
	at := place{frame.PC, frame.Function, frame.Line}
	if id := p.locations[at]; id > 0 {
		return id
	}
	id := uint64(len(p.locations) + 1)
	p.locations[at] = id
	var location, line message
	line.number(lineFunction, p.function(frame.Function, frame.File))
	line.number(lineNumber, uint64(max(0, frame.Line)))
	location.number(locationID, id)
	location.number(locationMapping, 1)
	location.number(locationAddress, uint64(frame.PC))
	location.part(locationLine, line)
	p.part(profileLocation, location)
	return id
}

func (p *profileWriter) function(name, file string) uint64 {
	if id := p.functions[name]; id > 0 {
		return id
	}
	id := uint64(len(p.functions) + 1)
	p.functions[name] = id
	var function message
	function.number(functionID, id)
	function.number(functionName, p.text(name))
	function.number(functionSystemName, p.text(name))
	function.number(functionFile, p.text(file))
	p.part(profileFunction, function)
	return id
}

// text is the number of a text in the profile's table.
func (p *profileWriter) text(s string) uint64 {
	id, known := p.strings[s]
	if !known {
		id = uint64(len(p.strings))
		p.strings[s] = id
		p.part(profileString, message(s))
	}
	return id
}

// message is one of Protocol Buffers, field after field.
type message []byte

func (m *message) number(field int, value uint64) {
	m.varint(uint64(field) << 3)
	m.varint(value)
}

func (m *message) part(field int, part message) {
	m.varint(uint64(field)<<3 | 2)
	m.varint(uint64(len(part)))
	*m = append(*m, part...)
}

func (m *message) varint(value uint64) { *m = binary.AppendUvarint(*m, value) }
