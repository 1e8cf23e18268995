// Package leakcheck fails a test binary whose goroutines outlive its tests.
//
// It knows goroutine stacks and nothing of what the tests are about; the tests of every package stand above it. It is
// a package of our own because this module has no requirements, tests included.
package leakcheck

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is how long goroutines that are on their way out may take.
const patience = 2 * time.Second

// Main runs the tests of a package and ends the process: with 1 if they passed but goroutines that were not there
// before are still running two seconds later. Before it ends it calls what cleans up. Call it from TestMain.
func Main(m *testing.M, cleanup ...func()) {
	code := check(m.Run, patience, os.Stderr)
	for _, clean := range cleanup {
		clean()
	}
	os.Exit(code)
}

// check runs the tests and returns the exit code. Failed tests keep their own code and their own output.
func check(run func() int, limit time.Duration, out io.Writer) int {
	before := goroutines()
	code := run()
	if code != 0 {
		return code
	}
	left := wait(before, limit)
	if len(left) == 0 {
		return 0
	}
	fmt.Fprintf(out, "leakcheck: %d goroutines outlived the tests:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
	return 1
}

// wait polls until no goroutine is left that was not in before, or the time is over, and returns those left.
func wait(before map[string]string, limit time.Duration) []string {
	deadline := time.Now().Add(limit)
	for {
		var left []string
		for id, stack := range goroutines() {
			if _, known := before[id]; !known && !expected(stack) {
				left = append(left, stack)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// expected reports the goroutine that os/signal starts on demand and keeps for good. The runtime's own are not listed.
func expected(stack string) bool { return strings.Contains(stack, "os/signal.loop") }

// goroutines returns the stack of every goroutine but the caller's, by goroutine number.
func goroutines() map[string]string {
	buffer := make([]byte, 1<<20)
	n := runtime.Stack(buffer, true)
	for n == len(buffer) { // cut off
		buffer = make([]byte, 2*len(buffer))
		n = runtime.Stack(buffer, true)
	}
	stacks := strings.Split(string(buffer[:n]), "\n\n")
	all := make(map[string]string, len(stacks))
	for _, stack := range stacks[1:] { // the first is the caller's
		header, _, _ := strings.Cut(stack, " [") // "goroutine 7 [select]:"
		all[header] = strings.TrimSpace(stack)
	}
	return all
}
