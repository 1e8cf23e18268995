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

// TestSignature: a path that begins with a name has a signature of its own; one that begins with a place in a segment
// shares it with those at other places, which another build may have changed for one another.
func TestSignature(t *testing.T) {
	of := func(root string) string { return signature("global", []string{root, "[…]"}, "main.Session") }
	if of("main.left") == of("main.right") {
		t.Error("two variables have the same signature")
	}
	if of("bss+0x10") != of("bss+0x1f40") {
		t.Error("the place in a segment is part of the signature")
	}
	if of("bss+0x10") == of("data+0x10") || of("bss+0x10") == of("main.left") {
		t.Error("the segment is no part of the signature")
	}
	if signature("stack", []string{"main.left", "[…]"}, "main.Session") == of("main.left") {
		t.Error("the kind of the root is no part of the signature")
	}
	if signature("global", []string{"main.left", "[…]"}, "main.User") == of("main.left") {
		t.Error("the type is no part of the signature")
	}
}
