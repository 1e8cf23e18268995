package scratch

import (
	"testing"

	"github.com/memwarden/memwarden/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }
