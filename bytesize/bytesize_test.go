package bytesize

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/internal/leakcheck"
)

func TestMain(m *testing.M) {
	if os.Getenv(limitVariable) != "" {
		fmt.Println(debug.SetMemoryLimit(-1))
		os.Exit(0)
	}
	leakcheck.Main(m)
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		text string
		want int64
	}{
		{"0", 0},
		{"1", 1},
		{"010", 10}, // no octal
		{"9223372036854775807", math.MaxInt64},
		{"0B", 0},
		{"7B", 7},
		{"512KiB", 512 << 10},
		{"512MiB", 512 << 20},
		{"3GiB", 3 << 30},
		{"2TiB", 2 << 40},
		{"2PiB", 2 << 50},
		{"7EiB", 7 << 60},
		{"512Mi", 512 << 20}, // Kubernetes
		{"1Gi", 1 << 30},
		{"7Ei", 7 << 60},
		{"512M", 512e6},
		{"500k", 500e3},
		{"2P", 2e15},
		{"9E", 9e18},
		{"1kB", 1e3},
		{"1KB", 1e3},
		{"10MB", 10e6},
		{"4GB", 4e9},
		{"1.5GiB", 3 << 29},
		{".5GiB", 1 << 29},
		{"1.GiB", 1 << 30},
		{"0.0001KiB", 0},                    // rounded down
		{"0.99999999999999999999KiB", 1023}, // a float64 would say 1024
		{"4503599627370497.5KiB", 4503599627370497<<10 + 512}, // beyond a float64's 53 bits
		{"7.9999999999EiB", 9223372036739483657},
		{" 1 MiB ", 1 << 20},
		{"\t1   MiB\n", 1 << 20},
	} {
		if got, err := Parse(test.text); err != nil || got != test.want {
			t.Errorf("Parse(%q) = %d, %v; want %d", test.text, got, err, test.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const (
		notASize = "is not a size"
		tooLarge = "is too large: want less than 8 EiB"
	)
	for _, test := range []struct{ text, want string }{
		{"", notASize},
		{" ", notASize},
		{"MiB", notASize},
		{".", notASize},
		{".MiB", notASize},
		{"off", notASize}, // GOMEMLIMIT's own word
		{"-1", notASize},
		{"-1MiB", notASize},
		{"+1MiB", notASize},
		{"1e6", notASize},
		{"1E6", notASize},
		{"500m", notASize}, // Kubernetes' milli-bytes
		{"0x10", notASize},
		{"1_000", notASize},
		{"1/2GiB", notASize},
		{"1.5", notASize},
		{"1.5B", notASize},
		{"1.2.3MiB", notASize},
		{"1..MiB", notASize},
		{"512mib", notASize},
		{"512 M iB", notASize},
		{"1 2MiB", notASize},
		{"Inf", notASize},
		{"NaNMiB", notASize},
		{"١MiB", notASize}, // digits, but not these
		{strings.Repeat("9", 65), "a text of 65 bytes"},
		{"9223372036854775808", tooLarge},
		{"8EiB", tooLarge},
		{"8.0EiB", tooLarge},
		{"9.3E", tooLarge},
		{strings.Repeat("9", 60) + "EiB", tooLarge},
	} {
		got, err := Parse(test.text)
		if err == nil || got != 0 || !strings.HasPrefix(err.Error(), "bytesize: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Parse(%q) = %d, %v; want 0 and %q", test.text, got, err, test.want)
		}
	}
}

// limitVariable makes a re-executed test binary print the memory limit that the runtime took from GOMEMLIMIT.
const limitVariable = "BYTESIZE_TEST_PRINT_LIMIT"

// TestGoMemLimitGrammar asks the runtime itself what GOMEMLIMIT values mean.
func TestGoMemLimitGrammar(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"123456789", "123456789B", "40000KiB", "512MiB", "3GiB", "2TiB", "0512MiB"} {
		command := exec.Command(self)
		command.Env = append(os.Environ(), limitVariable+"=1", "GOMEMLIMIT="+text, "GORACE=atexit_sleep_ms=0")
		output, err := command.Output()
		if err != nil {
			t.Fatalf("GOMEMLIMIT=%s: %v", text, err)
		}
		want, err := strconv.ParseInt(strings.TrimSpace(string(output)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %d, %v; the runtime says %d", text, got, err, want)
		}
	}
}

func TestFormat(t *testing.T) {
	for _, test := range []struct {
		bytes int64
		want  string
	}{
		{0, "0 B"},
		{1, "1 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{1536, "1.5 KiB"},
		{1<<20 - 51, "1.0 MiB"}, // 1023.9502 KiB
		{1<<20 - 52, "1023.9 KiB"},
		{1 << 20, "1.0 MiB"},
		{512 << 20, "512.0 MiB"},
		{1<<30 - 1, "1.0 GiB"},
		{1 << 40, "1.0 TiB"},
		{1 << 50, "1.0 PiB"},
		{1 << 60, "1.0 EiB"},
		{math.MaxInt64, "8.0 EiB"},
		{-1, "-1 B"},
		{-1536, "-1.5 KiB"},
		{math.MinInt64, "-8.0 EiB"},
	} {
		if got := Format(test.bytes); got != test.want {
			t.Errorf("Format(%d) = %q, want %q", test.bytes, got, test.want)
		}
	}
}

// checkRoundTrip reports a size that Parse does not read back from Format, within half of the printed decimal.
func checkRoundTrip(t *testing.T, bytes int64) {
	t.Helper()
	text := Format(bytes)
	if bytes < 0 || text == "8.0 EiB" {
		return
	}
	back, err := Parse(text)
	if err != nil {
		t.Fatalf("Format(%d) = %q, which Parse refuses: %v", bytes, text, err)
	}
	unit := int64(1)
	for unit <= math.MaxInt64>>10 && float64(bytes)/float64(unit) >= 1023.95 {
		unit <<= 10
	}
	if bytes < 1<<10 {
		unit = 1
	}
	// One byte more: Parse rounds down.
	if distance, allowed := math.Abs(float64(back)-float64(bytes)), float64(unit)*0.05*(1+1e-12)+1; distance > allowed {
		t.Errorf("Parse(Format(%d)) = %d by way of %q: %.0f bytes off, want at most %.0f", bytes, back, text, distance, allowed)
	}
}

func TestParseReadsFormat(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 10_000 {
		checkRoundTrip(t, random.Int64()>>random.IntN(63))
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"0", "512MiB", "512Mi", "1.5GiB", " 1 kB ", "9223372036854775807", "8EiB", "off", "-1", "1..", "1e6", "0x1", "1/3G"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bytes, err := Parse(text)
		if err != nil {
			if bytes != 0 {
				t.Errorf("Parse(%q) = %d beside the error %v", text, bytes, err)
			}
			return
		}
		if bytes < 0 {
			t.Errorf("Parse(%q) = %d", text, bytes)
		}
		checkRoundTrip(t, bytes)
	})
}

func FuzzFormat(f *testing.F) {
	for _, bytes := range []int64{0, 1023, 1024, 1<<20 - 53, math.MaxInt64, math.MinInt64, -1} {
		f.Add(bytes)
	}
	f.Fuzz(func(t *testing.T, bytes int64) { checkRoundTrip(t, bytes) })
}
