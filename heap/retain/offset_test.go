package retain

import "testing"

func TestWithoutOffset(t *testing.T) {
	for step, want := range map[string]string{
		"": "", "main.cache": "main.cache", "bss+0x1f40": "bss", "data+0x1f.next": "data.next", "a+0x1+0x2b.x": "a.x", "a+1": "a+1",
	} {
		if got := withoutOffset(step); got != want {
			t.Errorf("%q became %q, want %q", step, got, want)
		}
	}
}
