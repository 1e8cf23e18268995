package layout

import "testing"

func TestMinorVersion(t *testing.T) {
	for name, want := range map[string]int{
		"go1.26.8": 26, "go1.26": 26, "go1.26rc1": 26, "go1.27beta2": 27, "go1.26.8-X:nogreenteagc": 26,
		"go1.26.8 X:nogreenteagc": 26, "go1.24.6 (Red Hat 1.24.6-1.el9)": 24,
	} {
		if got, ok := minorVersion(name); !ok || got != want {
			t.Errorf("%s is 1.%d, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "go", "go1", "go1.", "go2.1", "1.26.8", "devel go1.28-abcdef", "go1.x", "go1.26.x"} {
		if got, ok := minorVersion(name); ok {
			t.Errorf("%q is 1.%d", name, got)
		}
	}
}
