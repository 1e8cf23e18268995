package memwarden

import (
	"testing"

	"github.com/memwarden/memwarden/internal/leakcheck"
	"github.com/memwarden/memwarden/internal/testprogram"
)

func TestMain(m *testing.M) { leakcheck.Main(m, testprogram.RemoveAll) }
