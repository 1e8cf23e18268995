package memstat

import (
	"bytes"
	"math"
	"math/big"
	"strings"
	"testing"
)

func TestParseLimit(t *testing.T) {
	for text, want := range map[string]Int{
		"max\n":                  {},
		"9223372036854771712\n":  {},
		"9223372036854710272\n":  {}, // pages of 64 KiB
		"9223372036854775807\n":  {},
		"18446744073709551615\n": {},
		"0\n":                    Known(int64(0)),
		"1073741824":             Known(int64(gib)),
		"4611686018427387903\n":  Known(int64(unlimited - 1)),
	} {
		if got, err := parseLimit([]byte(text)); err != nil || got != want {
			t.Errorf("parseLimit(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "\n", "-1", "1e9", "12 34", "maximum", "0x10"} {
		if got, err := parseLimit([]byte(text)); err == nil || !got.IsZero() {
			t.Errorf("parseLimit(%q) = %v, %v; want an error", text, got, err)
		}
	}
}

func TestParseTotal(t *testing.T) {
	if got, err := parseTotal([]byte("123\n")); err != nil || got != Known(int64(123)) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"", "x", "-5\n", "99999999999999999999\n"} {
		if got, err := parseTotal([]byte(text)); err == nil || !got.IsZero() {
			t.Errorf("parseTotal(%q) = %v, %v; want an error", text, got, err)
		}
	}
}

func TestParseQuota(t *testing.T) {
	for text, want := range map[string]Float{
		"max 100000\n":    {},
		"50000 100000\n":  Known(0.5),
		"250000 100000\n": Known(2.5),
	} {
		if got, err := parseQuota([]byte(text)); err != nil || got != want {
			t.Errorf("parseQuota(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "100", "0 100000", "100 0", "a b", "1 2 3", "- 5"} {
		if got, err := parseQuota([]byte(text)); err == nil || !got.IsZero() {
			t.Errorf("parseQuota(%q) = %v, %v; want an error", text, got, err)
		}
	}
}

func TestParseKeyed(t *testing.T) {
	a, b, c, d := Known(int64(9)), Int{}, Int{}, Int{}
	err := parseKeyed([]byte("A:\t 12 kB\nB 7\nAB: 1\nC: 5 MB\nD\n"),
		wanted{key: "B", into: &b}, wanted{key: "A", into: &a}, wanted{key: "C", into: &c}, wanted{key: "D", into: &d})
	if a != Known(int64(12*kib)) || b != Known(int64(7)) || !c.IsZero() || !d.IsZero() {
		t.Errorf("got A %v, B %v, C %v, D %v", a, b, c, d)
	}
	if err == nil || !strings.HasPrefix(err.Error(), "C: ") {
		t.Errorf("error %v; want that of C, the first", err)
	}
	err = parseKeyed([]byte("B 7\n"), wanted{key: "A", into: &a, must: true})
	if err == nil || !strings.Contains(err.Error(), "A: line is missing") || !a.IsZero() {
		t.Errorf("missing: A %v, error %v", a, err)
	}
	if err := parseKeyed([]byte("A: 9007199254740992 kB"), wanted{key: "A", into: &a}); err == nil || !a.IsZero() {
		t.Errorf("2^53 kB do not fit: A %v, error %v", a, err)
	}
}

func TestParseStatm(t *testing.T) {
	if got, err := parseStatm([]byte("30000 25 12 3 0 9 0\n"), 4096); err != nil || got != Known(int64(25*4096)) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := parseStatm([]byte("0 0 0 0 0 0 0\n"), 4096); err != nil || !got.IsZero() {
		t.Errorf("a zombie: got %v, %v; want absent", got, err)
	}
	for _, text := range []string{"", "5", "x 5", "5 x", "5 -1", "1 9223372036854775807"} {
		if got, err := parseStatm([]byte(text), 4096); err == nil || !got.IsZero() {
			t.Errorf("parseStatm(%q) = %v, %v; want an error", text, got, err)
		}
	}
}

func TestParseStat(t *testing.T) {
	const tail = " 1 7 7 0 -1 4194304 1 0 0 0 2 1 0 0 20 0 "
	for text, want := range map[string]identity{
		"1 (x) S" + tail + "3 0 77 5 6":        {start: 77},
		"1 (x) Z" + tail + "1 0 77":            {start: 77, ended: true},
		"1 (x) Z" + tail + "4 0 77 5":          {start: 77}, // other threads run on
		"1 (x) X" + tail + "0 0 77 5":          {start: 77, ended: true},
		"1 (a) Z 1 1) b) R" + tail + "1 0 9 5": {start: 9},
	} {
		if got, err := parseStat([]byte(text)); err != nil || got != want {
			t.Errorf("parseStat(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1 x S 1", "1 (x) S 1 7", "1 (x) S" + tail + "many 0 77", "1 (x) S" + tail + "1 0 -4"} {
		if _, err := parseStat([]byte(text)); err == nil {
			t.Errorf("parseStat(%q): want an error", text)
		}
	}
}

func TestParseMaxOpenFiles(t *testing.T) {
	for text, want := range map[string]Int{
		"Max open files            1024                 4096                 files\n": Known(int64(1024)),
		"Max open files            unlimited            unlimited            files\n": {},
	} {
		if got, err := parseMaxOpenFiles([]byte(text)); err != nil || got != want {
			t.Errorf("parseMaxOpenFiles(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "Max cpu time 1 2 s\n", "Max open files", "Max open files many"} {
		if got, err := parseMaxOpenFiles([]byte(text)); err == nil || !got.IsZero() {
			t.Errorf("parseMaxOpenFiles(%q) = %v, %v; want an error", text, got, err)
		}
	}
}

func TestParsePSI(t *testing.T) {
	got, err := parsePSI([]byte("some avg10=12.34 avg60=100.00 avg300=0.10 total=1500000\nfull avg10=0.00 avg60=1 avg300=x total=0\n"))
	want := PSI{SomeAvg10Ratio: Known(0.1234), SomeAvg60Ratio: Known(1.0), SomeSecondsTotal: Known(1.5),
		FullAvg10Ratio: Known(0.0), FullAvg60Ratio: Known(0.01), FullSecondsTotal: Known(0.0)}
	if err != nil || got != want {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	got, err = parsePSI([]byte("some avg10=0.50 avg60=")) // cut short
	if err == nil || got != (PSI{SomeAvg10Ratio: got.SomeAvg10Ratio}) || got.SomeAvg10Ratio.IsZero() {
		t.Errorf("cut short: got %+v, %v; want the first average and an error", got, err)
	}
	for _, text := range []string{"", "garbage\n", "some avg10=100.01\n", "some avg10=-1.00\n", "full avg60=1.x\n", "some total=-3\n"} {
		if got, err := parsePSI([]byte(text)); err == nil || got != (PSI{}) {
			t.Errorf("parsePSI(%q) = %+v, %v; want an error", text, got, err)
		}
	}
}

func TestParseWord(t *testing.T) {
	// As from syscall.Sysctl: the last zero of the value is cut off.
	if got, err := parseWord("\x00\x00\x00\x00\x04\x00\x00", 0); err != nil || got != Known(int64(16*gib)) {
		t.Errorf("got %v, %v; want 16 GiB", got, err)
	}
	if got, err := parseWord("\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00", 1); err != nil || got != Known(int64(2)) {
		t.Errorf("got %v, %v; want 2", got, err)
	}
	for _, value := range []string{"", "\x01", "\x01\x02\x03\x04\x05\x06", "\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if got, err := parseWord(value, 0); err == nil {
			t.Errorf("parseWord(%q) = %v; want an error", value, got)
		}
	}
}

// FuzzNumbers compares with arithmetic of any precision.
func FuzzNumbers(f *testing.F) {
	for _, seed := range []string{"0", "9223372036854775807", "9223372036854775808", "00000000000000000000001", "-1", "", "1x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseNumber(text)
		digits := len(text) > 0 && len(bytes.Trim(text, "0123456789")) == 0 && strings.IndexFunc(string(text), func(r rune) bool { return r < '0' || r > '9' }) < 0
		want, ok := new(big.Int).SetString(string(text), 10)
		switch {
		case !digits:
			if err != errNotNumber {
				t.Errorf("parseNumber(%q): got %v, %v", text, got, err)
			}
		case !ok || !want.IsInt64():
			if err != errOverflow {
				t.Errorf("parseNumber(%q): got %v, %v; want overflow", text, got, err)
			}
		case err != nil || got != want.Int64():
			t.Errorf("parseNumber(%q): got %v, %v; want %v", text, got, err, want)
		}
	})
}

// FuzzFiles feeds every parser of a kernel file: figures are never negative, shares lie between 0 and 1.
func FuzzFiles(f *testing.F) {
	for _, seed := range []string{
		"", "max\n", "max 100000\n", "50000 100000", "30000 25600 1200 300 0 9000 0\n",
		"Pss:   92160 kB\nSwap:  1 kB\n", "inactive_file 104857600\n", "Max open files 1024 4096 files\n",
		"some avg10=1.50 avg60=0.75 avg300=0.10 total=2500000\nfull avg10=0.50 avg60=0.25 avg300=0.05 total=1\n",
		"7 (a) b) S 1 7 7 0 -1 4194304 1 0 0 0 2 1 0 0 20 0 3 0 77 5 6\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ints := map[string]Int{}
		note := func(name string, v Int, err error) {
			if err != nil && !v.IsZero() {
				t.Errorf("%s(%q): %v and error %v", name, text, v, err)
			}
			ints[name] = v
		}
		total, err := parseTotal(text)
		note("total", total, err)
		limit, err := parseLimit(text)
		note("limit", limit, err)
		rss, err := parseStatm(text, 65536)
		note("statm", rss, err)
		open, err := parseMaxOpenFiles(text)
		note("limits", open, err)
		var pss, inactive Int
		_ = parseKeyed(text, wanted{key: "Pss", into: &pss}, wanted{key: "inactive_file", into: &inactive})
		note("Pss", pss, nil)
		note("inactive_file", inactive, nil)
		for name, v := range ints {
			if v.Or(0) < 0 {
				t.Errorf("%s(%q) = %v", name, text, v)
			}
		}
		psi, _ := parsePSI(text)
		for _, v := range []Float{psi.SomeAvg10Ratio, psi.SomeAvg60Ratio, psi.FullAvg10Ratio, psi.FullAvg60Ratio} {
			if r := v.Or(0); !(r >= 0 && r <= 1) {
				t.Errorf("parsePSI(%q): ratio %v", text, r)
			}
		}
		if s := psi.SomeSecondsTotal.Or(0); !(s >= 0) {
			t.Errorf("parsePSI(%q): total %v", text, s)
		}
		cores, err := parseQuota(text)
		if v, ok := cores.Get(); ok && (err != nil || !(v > 0) || math.IsInf(v, 0)) {
			t.Errorf("parseQuota(%q) = %v, %v", text, v, err)
		}
		if id, err := parseStat(text); err == nil && id.start < 0 {
			t.Errorf("parseStat(%q) = %+v", text, id)
		}
	})
}
