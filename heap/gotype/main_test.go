package gotype

import (
	"flag"
	"testing"

	"github.com/memwarden/memwarden/internal/leakcheck"
	"github.com/memwarden/memwarden/internal/testprogram"
)

// long adds every toolchain and way of building; make test-long sets it.
var long = flag.Bool("long", false, "test with every toolchain and way of building")

// binaryPath names a program to measure, which must have been built with the toolchain that runs the benchmarks, have a
// symbol table and not be position-independent.
var binaryPath = flag.String("binary", "", "measure with this program instead of testdata/target")

func TestMain(m *testing.M) { leakcheck.Main(m, testprogram.RemoveAll) }
