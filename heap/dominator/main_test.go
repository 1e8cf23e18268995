package dominator

import (
	"flag"
	"testing"

	"github.com/memwarden/memwarden/internal/leakcheck"
)

// long asks for graphs of ten million nodes.
var long = flag.Bool("long", false, "graphs of ten million nodes")

func TestMain(m *testing.M) { leakcheck.Main(m) }
