package memstat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The parsers turn the content of kernel files into figures. They are pure, allocate only for errors, and tell with an
// error what they could not make sense of, while what they could is still returned.

var (
	errNotNumber = errors.New("not a whole number")
	errOverflow  = errors.New("number out of range")
	errMissing   = errors.New("line is missing")
)

// unlimited is the least limit that stands for "none": cgroup v1 shows the largest multiple of the page size below
// 2^63, older kernels 2^63−1 or 2^64−1.
const unlimited = 1 << 62

// nextLine cuts the first line off.
func nextLine(text []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(text, []byte{'\n'})
	return line, rest
}

// nextWord cuts the first word off, words being set apart by spaces and tabs.
func nextWord(line []byte) (word, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	end := bytes.IndexAny(line, " \t")
	if end < 0 {
		return line, nil
	}
	return line[:end], line[end:]
}

// parseNumber reads a whole number without a sign that fits into 63 bits.
func parseNumber(text []byte) (int64, error) {
	if len(text) == 0 {
		return 0, errNotNumber
	}
	var n int64
	overflow := false
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, errNotNumber
		}
		digit := int64(c - '0')
		overflow = overflow || n > (math.MaxInt64-digit)/10
		if !overflow {
			n = n*10 + digit
		}
	}
	if overflow {
		return 0, errOverflow
	}
	return n, nil
}

// parseTotal reads a file of one number.
func parseTotal(text []byte) (Int, error) {
	n, err := parseNumber(bytes.TrimSpace(text))
	if err != nil {
		return Int{}, err
	}
	return Known(n), nil
}

// parseLimit reads a file of one limit in bytes: absent where there is none, which is "max" or a number too large.
func parseLimit(text []byte) (Int, error) {
	text = bytes.TrimSpace(text)
	if string(text) == "max" {
		return Int{}, nil
	}
	switch n, err := parseNumber(text); {
	case errors.Is(err, errOverflow), err == nil && n >= unlimited:
		return Int{}, nil
	case err != nil:
		return Int{}, err
	default:
		return Known(n), nil
	}
}

// parseQuota reads cgroup v2's cpu.max, "QUOTA PERIOD" in microseconds, as a number of processors; absent for "max".
func parseQuota(text []byte) (Float, error) {
	quota, rest := nextWord(bytes.TrimSpace(text))
	period, rest := nextWord(rest)
	if len(rest) > 0 {
		return Float{}, errNotNumber
	}
	return coresOf(quota, period)
}

// coresOf divides a CPU quota by its period, both in microseconds; absent where the quota is "max" or negative.
func coresOf(quota, period []byte) (Float, error) {
	if string(quota) == "max" || len(quota) > 1 && quota[0] == '-' {
		return Float{}, nil
	}
	q, err := parseNumber(quota)
	if err != nil {
		return Float{}, err
	}
	p, err := parseNumber(period)
	if err != nil {
		return Float{}, err
	}
	if p == 0 || q == 0 {
		return Float{}, errOverflow
	}
	return Known(float64(q) / float64(p)), nil
}

// wanted is a key of a keyed file and where its figure goes.
type wanted struct {
	key  string
	into *Int
	must bool // every kernel has it: a file without it is cut short or something else
}

// parseKeyed reads lines of "key value" or "key: value kB", the latter into bytes. Figures whose key is missing or
// whose value is malformed become absent; the first that is malformed, or missing though it must be there, is the error.
func parseKeyed(text []byte, fields ...wanted) error {
	for _, f := range fields {
		*f.into = Int{}
	}
	var failed error
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		key, rest := nextWord(line)
		key = bytes.TrimSuffix(key, []byte{':'})
		for _, f := range fields {
			if string(key) != f.key {
				continue
			}
			value, err := parseValue(rest)
			*f.into = value
			if err != nil && failed == nil {
				failed = fmt.Errorf("%s: %w", f.key, err)
			}
		}
	}
	for _, f := range fields {
		if f.must && f.into.IsZero() && failed == nil {
			failed = fmt.Errorf("%s: %w", f.key, errMissing)
		}
	}
	return failed
}

// parseValue reads a number with or without the unit kB.
func parseValue(text []byte) (Int, error) {
	digits, rest := nextWord(text)
	unit, _ := nextWord(rest)
	n, err := parseNumber(digits)
	switch {
	case err != nil:
		return Int{}, err
	case len(unit) == 0:
		return Known(n), nil
	case string(unit) != "kB":
		return Int{}, errNotNumber
	case n > math.MaxInt64>>10:
		return Int{}, errOverflow
	}
	return Known(n << 10), nil
}

// parseWord reads the i-th little-endian 64-bit word of a kernel value that syscall.Sysctl returned: it takes values
// for strings and cuts one zero off their end.
func parseWord(value string, i int) (Int, error) {
	const size = 8
	if i < 0 || len(value) < i*size || len(value)+1 < (i+1)*size {
		return Int{}, errEmpty
	}
	var word [size]byte
	copy(word[:], value[i*size:])
	n := binary.LittleEndian.Uint64(word[:])
	if n > math.MaxInt64 {
		return Int{}, errOverflow
	}
	return Known(int64(n)), nil
}
