package retain

import (
	"testing"

	"github.com/memwarden/memwarden/internal/leakcheck"
)

func TestMain(m *testing.M) {
	roles()
	leakcheck.Main(m)
}
