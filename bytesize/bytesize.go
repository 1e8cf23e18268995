// Package bytesize reads and prints numbers of bytes as people write them.
//
// It knows three grammars that users already have in their files: the Go runtime's (512MiB), Kubernetes' (512Mi,
// 512M) and plain bytes. It does not know what a size is for: words such as GOMEMLIMIT's "off" belong to whoever
// reads the setting. Everything that takes or shows sizes stands above it.
package bytesize

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// maxLength bounds the text that Parse looks at, and so its work and its error messages.
const maxLength = 64

var units = []struct {
	suffix string
	factor int64
}{
	// Longer suffixes first: "MiB" ends in "B" too.
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"PiB", 1 << 50}, {"EiB", 1 << 60},
	{"KB", 1e3}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"PB", 1e15}, {"EB", 1e18},
	{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40}, {"Pi", 1 << 50}, {"Ei", 1 << 60},
	{"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"P", 1e15}, {"E", 1e18},
	{"B", 1},
}

// Parse reads a number of bytes: a decimal number, not negative, with one of the suffixes B, KiB … EiB (powers of
// 1024), KB … EB (powers of 1000), or Kubernetes' Ki … Ei and k … E. Case matters, as it does to the Go runtime and
// to Kubernetes. Spaces around the text and before the suffix are allowed. Fractions are allowed with a suffix above
// B ("1.5GiB"), are exact and are rounded down to a whole byte. Kubernetes' exponents (1e6) and milli-bytes (500m)
// are refused. Texts of more than 64 bytes are not looked at.
//
// Each size that GOMEMLIMIT accepts means the same here, but for its "off".
func Parse(text string) (int64, error) {
	if len(text) > maxLength {
		return 0, fmt.Errorf("bytesize: a text of %d bytes is not a size: want at most %d", len(text), maxLength)
	}
	number, factor := split(strings.TrimSpace(text))
	if strings.Trim(number, "0123456789.") != "" || factor == 1 && strings.Contains(number, ".") {
		return 0, errNotASize(text)
	}
	value, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, errNotASize(text)
	}
	value.Mul(value, new(big.Rat).SetInt64(factor))
	bytes := new(big.Int).Quo(value.Num(), value.Denom())
	if !bytes.IsInt64() {
		return 0, fmt.Errorf("bytesize: %q is too large: want less than 8 EiB", text)
	}
	return bytes.Int64(), nil
}

// split cuts the suffix off, and returns the number before it and the suffix's factor: 1 where there is none.
func split(text string) (number string, factor int64) {
	for _, unit := range units {
		if rest, ok := strings.CutSuffix(text, unit.suffix); ok {
			return strings.TrimRight(rest, " "), unit.factor
		}
	}
	return text, 1
}

func errNotASize(text string) error {
	return fmt.Errorf("bytesize: %q is not a size: want a number with a suffix such as MiB, for example 512MiB", text)
}

// Format prints a number of bytes for people, in the largest binary unit that it fills, with one decimal: 512.0 MiB.
// Parse reads it back, within the rounding of that decimal, unless it is negative or rounds to 8.0 EiB.
func Format(bytes int64) string {
	if bytes < 0 {
		if bytes == math.MinInt64 {
			return "-8.0 EiB"
		}
		return "-" + Format(-bytes)
	}
	if bytes < 1<<10 {
		return strconv.FormatInt(bytes, 10) + " B"
	}
	value, unit := float64(bytes), 0
	// 1023.95 would print as "1024.0": it belongs to the next unit.
	for value >= 1023.95 && unit < len("KMGTPE") {
		value /= 1 << 10
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[unit-1])
}
