package memstat

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

var (
	errNotStat  = errors.New("is not in the form of proc's stat")
	errNotRatio = errors.New("not a share of 100")
)

// parseStatm reads the resident size from /proc/PID/statm, which counts in pages. It is absent of a process without
// memory of its own, which is one that has ended and not been waited for, or a kernel thread.
func parseStatm(text []byte, pageSize int64) (Int, error) {
	size, rest := nextWord(bytes.TrimSpace(text))
	resident, _ := nextWord(rest)
	total, err := parseNumber(size)
	if err != nil {
		return Int{}, err
	}
	pages, err := parseNumber(resident)
	switch {
	case err != nil:
		return Int{}, err
	case total == 0:
		return Int{}, nil
	case pages > math.MaxInt64/pageSize:
		return Int{}, errOverflow
	}
	return Known(pages * pageSize), nil
}

// identity is what /proc/PID/stat tells a process by.
type identity struct {
	start int64 // in clock ticks after boot; with the id it names a process for good
	ended bool  // and not yet waited for by its parent
}

// parseStat reads a process's identity from /proc/PID/stat. The second field, the command's name, is in parentheses
// and may contain anything; the fields after the last parenthesis are counted from the third.
func parseStat(text []byte) (identity, error) {
	const state, threads, start = 3, 20, 22
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return identity{}, errNotStat
	}
	rest := bytes.TrimSpace(text[end+1:])
	var id identity
	for field := state; field <= start; field++ {
		var word []byte
		word, rest = nextWord(rest)
		if len(word) == 0 {
			return identity{}, errNotStat
		}
		var err error
		switch field {
		case state:
			id.ended = string(word) == "Z" || string(word) == "X"
		case threads:
			// A zombie whose other threads run on is a process whose first thread alone has ended.
			var n int64
			n, err = parseNumber(word)
			id.ended = id.ended && n <= 1
		case start:
			id.start, err = parseNumber(word)
		}
		if err != nil {
			return identity{}, errNotStat
		}
	}
	return id, nil
}

// parseMaxOpenFiles reads the soft limit of descriptors from /proc/PID/limits; absent where there is none.
func parseMaxOpenFiles(text []byte) (Int, error) {
	const key = "Max open files"
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		rest, ok := bytes.CutPrefix(line, []byte(key))
		if !ok {
			continue
		}
		soft, _ := nextWord(rest)
		if string(soft) == "unlimited" {
			return Int{}, nil
		}
		n, err := parseNumber(soft)
		if err != nil {
			return Int{}, fmt.Errorf("%s: %w", key, err)
		}
		return Known(n), nil
	}
	return Int{}, fmt.Errorf("%s: %w", key, errMissing)
}

// parsePSI reads a pressure file: lines of "some" and "full" with averages in per cent and a total in microseconds.
// The scope is the caller's to set.
func parsePSI(text []byte) (PSI, error) {
	var psi PSI
	var failed error
	found := false
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		kind, rest := nextWord(line)
		var err error
		switch string(kind) {
		case "some":
			err = parseStall(rest, &psi.SomeAvg10Ratio, &psi.SomeAvg60Ratio, &psi.SomeSecondsTotal)
		case "full":
			err = parseStall(rest, &psi.FullAvg10Ratio, &psi.FullAvg60Ratio, &psi.FullSecondsTotal)
		default:
			continue
		}
		found = true
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", string(kind), err)
		}
	}
	if !found {
		return PSI{}, fmt.Errorf("some: %w", errMissing)
	}
	return psi, failed
}

// parseStall reads the key=value pairs of one line of a pressure file.
func parseStall(rest []byte, avg10, avg60, total *Float) error {
	var failed error
	for len(rest) > 0 {
		var word []byte
		word, rest = nextWord(rest)
		key, value, _ := bytes.Cut(word, []byte{'='})
		var err error
		switch string(key) {
		case "avg10":
			*avg10, err = parsePercent(value)
		case "avg60":
			*avg60, err = parsePercent(value)
		case "total":
			var n int64
			if n, err = parseNumber(value); err == nil {
				*total = Known(float64(n) / 1e6)
			}
		}
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", string(key), err)
		}
	}
	return failed
}

// parsePercent reads "12.34" as 0.1234. strconv would want a string, and that an allocation.
func parsePercent(text []byte) (Float, error) {
	whole, fraction, _ := bytes.Cut(text, []byte{'.'})
	n, err := parseNumber(whole)
	if err != nil {
		return Float{}, err
	}
	if n > 100 {
		return Float{}, errNotRatio
	}
	scale := int64(100)
	for i, c := range fraction {
		if c < '0' || c > '9' {
			return Float{}, errNotNumber
		}
		if i < 9 { // the kernel writes two
			n, scale = n*10+int64(c-'0'), scale*10
		}
	}
	if n > scale {
		return Float{}, errNotRatio
	}
	return Known(float64(n) / float64(scale)), nil
}
