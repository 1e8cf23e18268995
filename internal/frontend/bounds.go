package frontend

import (
	"bytes"
	"strconv"
)

// Bounds of whatever an item has, also one of a kind that is not known here.
const (
	maxDepth      = 16
	maxValues     = 10_000
	maxTextBytes  = 16 << 10
	maxFieldBytes = 256
	maxExponent   = 308 // of 10, in a number
)

// open refuses an item that has more, longer or deeper parts than any may have, or a number that no float holds. The item
// is an object of valid JSON; texts count as they are written. It names the field of the item in which the part is.
func (c *checker) open(place string, raw []byte) {
	var field []byte // of the item, in which the walk is
	depth, values := 0, 0
	refuse := func(format string, most int) {
		if field != nil {
			place += "." + string(field)
		}
		c.refuse(place, format, most)
	}
	for i := 0; i < len(raw); {
		switch b := raw[i]; {
		case b == '"':
			end := textEnd(raw, i+1)
			text := raw[i+1 : end]
			i = end + 1
			if next := bytes.TrimLeft(raw[i:], " \t\r\n"); len(next) > 0 && next[0] == ':' {
				if len(text) > maxFieldBytes {
					refuse("want names of at most %d bytes", maxFieldBytes)
					return
				}
				if depth == 1 {
					field = text
				}
				continue
			}
			values++
			if len(text) > maxTextBytes {
				refuse("want texts of at most %d bytes", maxTextBytes)
				return
			}
		case b == '{' || b == '[':
			values++
			i++
			if depth++; depth > maxDepth {
				refuse("want at most %d levels", maxDepth)
				return
			}
		case b == '}' || b == ']':
			depth--
			i++
		case b == '-' || b >= '0' && b <= '9':
			end := i + 1
			for end < len(raw) && bytes.IndexByte([]byte("+-.eE0123456789"), raw[end]) >= 0 {
				end++
			}
			values++
			if _, err := strconv.ParseFloat(string(raw[i:end]), 64); err != nil {
				refuse("want numbers below 1e%d", maxExponent)
				return
			}
			i = end
		case b == 't' || b == 'f' || b == 'n':
			values++
			for i < len(raw) && raw[i] >= 'a' && raw[i] <= 'z' {
				i++
			}
		default: // white space, and what stands between values
			i++
		}
		if values > maxValues {
			refuse("want at most %d values", maxValues)
			return
		}
	}
}

// textEnd is where the text ends that begins at i: the place of the closing quote.
func textEnd(raw []byte, i int) int {
	for i < len(raw) && raw[i] != '"' {
		if raw[i] == '\\' {
			i++
		}
		i++
	}
	return min(i, len(raw)-1)
}
