//go:build linux

// Package chaos does to the service, from outside and under load, what befalls it in production, and keeps account of what
// it had acknowledged: servers that die, networks that are cut or slow, disks that are full or read-only, kill -9, SIGSTOP,
// clocks that jump, file descriptors that run out. After each fault nothing that was acknowledged may be lost, memory must
// have stayed inside its bound, health must have told the truth within ten seconds, and the same process must work again.
//
//	go test ./server/tests/chaos -long -table FILE
package chaos

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

var (
	long  = flag.Bool("long", false, "50 kills on each database, and faults that last longer")
	table = flag.String("table", "", "`file` for the table of faults and outcomes, as Markdown")
)

// lasting is how long a fault lasts once health has told of it.
func lasting() time.Duration {
	if *long {
		return 15 * time.Second
	}
	return time.Second
}

// kills is how often the service is killed on each database.
func kills() int {
	if *long {
		return 50
	}
	return 4
}

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "6"); err != nil { // the tests wait more than they work; the command line still has the last word
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		err := servicetest.RemoveAll()
		if err == nil && *table != "" {
			err = os.WriteFile(*table, []byte(outcomes.markdown()), 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}))
}
