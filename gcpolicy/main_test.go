package gcpolicy

import (
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/leakcheck"
	"github.com/memwarden/memwarden/memstat"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

const mib = int64(1) << 20

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func mebibytes(n int64) memstat.Int { return memstat.Known(n * mib) }
