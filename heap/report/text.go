package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/memwarden/memwarden/bytesize"
)

// columns is how wide a line may be.
const columns = 80

// Count prints a number of things with its thousands apart: 9,800,012.
func Count(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var out strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(digit)
	}
	return out.String()
}

// Duration prints a time span with three digits: 12.3ms.
func Duration(d time.Duration) string {
	if d <= 0 {
		return "0s"
	}
	// The unit of the third digit.
	unit := time.Duration(math.Pow10(max(0, len(strconv.FormatInt(int64(d), 10))-3)))
	return d.Round(unit).String()
}

// size prints a number of bytes.
func size(bytes uint64) string { return bytesize.Format(int64(min(bytes, math.MaxInt64))) }

// change prints a difference of bytes with its sign.
func change(bytes int64) string {
	if bytes > 0 {
		return "+" + bytesize.Format(bytes)
	}
	return bytesize.Format(bytes)
}

// countChange prints a difference of a count with its sign.
func countChange(n int64) string {
	switch {
	case n > 0:
		return "+" + Count(uint64(n))
	case n < 0:
		return "-" + Count(-uint64(n))
	default:
		return "0"
	}
}

// percent prints a ratio with one decimal, so that what is not all never looks like all, nor what is there like nothing.
func percent(ratio float64) string {
	switch {
	case math.IsNaN(ratio) || ratio <= 0:
		return "0 %"
	case ratio < 0.001:
		return "< 0.1 %"
	case ratio < 1 && ratio > 0.999:
		return "99.9 %"
	}
	return strings.TrimSuffix(strconv.FormatFloat(100*ratio, 'f', 1, 64), ".0") + " %"
}

// clean makes a name fit for a terminal: names come from a file that anyone may have written.
func clean(name string) string {
	name = strings.TrimRight(name, " ") // which nobody sees, and the end of a line does not have
	if strings.IndexFunc(name, hidden) < 0 && utf8.ValidString(name) {
		return name
	}
	return strings.Map(func(r rune) rune {
		if hidden(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, name)
}

// hidden reports what has no place of its own in a line: controls, and marks that turn the direction of what follows.
func hidden(r rune) bool { return !unicode.IsPrint(r) || unicode.In(r, unicode.Mn, unicode.Me) }

// length is the number of characters.
func length(text string) int { return utf8.RuneCountInString(text) }

// shorten cuts the middle out of a name that has more than so many characters. Its end, which tells most, gets the
// larger part.
func shorten(name string, width int) string {
	name = clean(name)
	if length(name) <= width {
		return name
	}
	if width < 2 {
		return "…"[:min(len("…"), 3*max(0, width))]
	}
	runes := []rune(name)
	front := (width - 1) / 3
	return string(runes[:front]) + "…" + string(runes[len(runes)-(width-1-front):])
}

// paragraph breaks a text into lines, all of them indented, the first one after a lead that takes the indent's place.
func paragraph(out *strings.Builder, lead string, indent int, text string) {
	line, used := lead+strings.Repeat(" ", max(0, indent-length(lead))), 0
	width := columns - indent
	for _, word := range words(text) {
		word = shorten(word, width)
		long := length(word)
		if used > 0 && used+1+long > width {
			fmt.Fprintln(out, line)
			line, used = strings.Repeat(" ", indent), 0
		}
		if used > 0 {
			line += " "
			used++
		}
		line += word
		used += long
	}
	fmt.Fprintln(out, strings.TrimRight(line, " "))
}

// words parts a text, but not a number from its unit.
func words(text string) []string {
	var list []string
	for word := range strings.FieldsSeq(text) {
		unit := strings.TrimRight(word, ".,;:)")
		if last := len(list) - 1; last >= 0 && (unit == "%" || unit == "B" || strings.HasSuffix(unit, "iB") && len(unit) == 3) {
			list[last] += " " + word
			continue
		}
		list = append(list, word)
	}
	return list
}

// plural prints a number of things.
func plural(n uint64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return Count(n) + " " + thing + "s"
}

// table prints rows: every column but the last to the right, as wide as its widest cell; the last, a name, shortened to
// what is left.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(out *strings.Builder) {
	last := len(t.head) - 1
	widths := make([]int, last)
	left := columns
	for i := range last {
		widths[i] = length(t.head[i])
		for _, row := range t.rows {
			widths[i] = max(widths[i], length(row[i]))
		}
		left -= widths[i] + 2
	}
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i := range last {
			fmt.Fprintf(out, "%*s  ", widths[i], row[i])
		}
		fmt.Fprintln(out, shorten(row[last], left))
	}
}
