package gcpolicy

import (
	"strconv"
	"time"
)

// percent prints a ratio with one decimal where it has one.
func percent(ratio float64) string {
	text := strconv.FormatFloat(ratio*100, 'f', 1, 64)
	if n := len(text) - 2; text[n:] == ".0" {
		text = text[:n]
	}
	return text + " %"
}

// seconds prints a duration as people read it.
func seconds(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= 100*time.Millisecond:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Microsecond).String()
	}
}
