//go:build unix

// Package tests looks at the service from outside: it builds the program, runs it beside real databases and asks it over
// HTTP. What needs the inside is tested beside the code.
package tests

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "6"); err != nil { // the tests wait more than they work; the command line still has the last word
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := servicetest.RemoveAll(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}))
}
