package scan

import (
	"encoding/hex"
	"strings"
	"testing"
)

// TestDecodeCall has the code before calls of allocators as the compilers of Go 1.24 to 1.27 write it.
func TestDecodeCall(t *testing.T) {
	const pc = 0x40_0000
	for name, c := range map[string]struct {
		arch, code string
		want       callSite
		none       bool
	}{
		"newobject":              {code: "4883ec58 488d05e7050c00 e842b80100", want: callSite{pc + 0x1b842, [registers]uint64{pc - 5 + 0xc05e7}}},
		"behind a long NOP":      {code: "488d0526000000 31db 0f1f4000 e85b8cfcff", want: callSite{pc - 0x373a5, [registers]uint64{pc - 11 + 0x26}}},
		"behind a short NOP":     {code: "488d0587000000 bb02000000 6690 e800000000", want: callSite{pc, [registers]uint64{pc - 12 + 0x87}}},
		"makeslice":              {code: "488d0579000000 4c89e3 4889d9 e800000000", want: callSite{pc, [registers]uint64{pc - 11 + 0x79}}},
		"growslice":              {code: "4889d0 bf05000000 488d3578000000 90 e800000000", want: callSite{pc, [registers]uint64{fifthArgument: pc - 6 + 0x78}}},
		"mallocgc of a class":    {code: "b818000000 488d1dae000000 b901000000 e800000000", want: callSite{pc, [registers]uint64{secondArgument: pc - 10 + 0xae}}},
		"two addresses":          {code: "488d1d10000000 488d0520000000 e800000000", want: callSite{pc, [registers]uint64{pc - 5 + 0x20, pc - 12 + 0x10}}},
		"the nearer one counts":  {code: "488d0510000000 488d0520000000 e800000000", want: callSite{pc, [registers]uint64{pc - 5 + 0x20}}},
		"stores and loads":       {code: "488d0510000000 48898c2490000000 488b5018 4963d8 488d5c2420 440f117c2410 c6042401 e800000000", want: callSite{pc, [registers]uint64{pc - 35 + 0x10}}},
		"64-bit constants":       {code: "488d0510000000 48bb1122334455667788 48c7c101000000 4883c108 4881c100010000 48c1e103 48f7d9 e800000000", want: callSite{pc, [registers]uint64{pc - 40 + 0x10}}},
		"extended and moved":     {code: "488d0510000000 0fb6d9 480f44d9 4d8d0c24 488d0c9500000000 48d1e3 e800000000", want: callSite{pc, [registers]uint64{pc - 27 + 0x10}}},
		"loaded before a branch": {code: "488d0510000000 7405 e800000000", want: callSite{callee: pc}},
		"written again":          {code: "488d0510000000 4889c8 e800000000", want: callSite{callee: pc}},
		"incremented":            {code: "488d0510000000 4883c008 e800000000", want: callSite{callee: pc}},
		"multiplied":             {code: "488d0510000000 48f7e1 e800000000", want: callSite{callee: pc}},
		"multiplied by a byte":   {code: "488d0510000000 486bc008 e800000000", want: callSite{callee: pc}},
		"a short constant":       {code: "488d0510000000 66b90100 e800000000", want: callSite{callee: pc}},
		"not known":              {code: "488d0510000000 f30f1efa e800000000", want: callSite{callee: pc}},
		"an indirect call":       {code: "488d0510000000 ffd1", none: true},
		"too short":              {code: "e80000", none: true},
		"nothing":                {none: true},
		"another architecture":   {arch: "riscv64", code: "e800000000", none: true},
		// ADRP X0, page+2; ADD $0x123, X0; BL pc+0x1000-4.
		"arm64":              {arch: "arm64", code: "000000d0 008c0491 ff030094", want: callSite{pc - 4 + 0xffc, [registers]uint64{(pc-12)&^4095 + 2<<12 + 0x123}}},
		"arm64 backwards":    {arch: "arm64", code: "e1ffff90 21100091 e3031faa feffff97", want: callSite{pc - 4 - 8, [registers]uint64{secondArgument: (pc-16)&^4095 - 4<<12 + 4}}},
		"arm64, a NOP":       {arch: "arm64", code: "04000090 84200091 1f2003d5 e30b00f9 01000094", want: callSite{pc, [registers]uint64{fifthArgument: (pc-20)&^4095 + 8}}},
		"arm64, written":     {arch: "arm64", code: "000000d0 008c0491 e00301aa ff030094", want: callSite{callee: pc - 4 + 0xffc}},
		"arm64, loaded":      {arch: "arm64", code: "000000d0 008c0491 e10340a9 ff030094", want: callSite{callee: pc - 4 + 0xffc}},
		"arm64, a branch":    {arch: "arm64", code: "000000d0 008c0491 02000014 ff030094", want: callSite{callee: pc - 4 + 0xffc}},
		"arm64, other pages": {arch: "arm64", code: "010000d0 008c0491 ff030094", want: callSite{callee: pc - 4 + 0xffc}},
		"arm64, no page":     {arch: "arm64", code: "008c0491 ff030094", want: callSite{callee: pc - 4 + 0xffc}},
		"arm64, no call":     {arch: "arm64", code: "008c0491", none: true},
	} {
		if c.arch == "" {
			c.arch = "amd64"
		}
		code, err := hex.DecodeString(strings.ReplaceAll(c.code, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		got, ok := decodeCall(c.arch, code, pc)
		if ok == c.none || got != c.want {
			t.Errorf("%s: %#x, %v; want %#x", name, got, ok, c.want)
		}
	}
}

// FuzzDecodeCall feeds any code: a call is found where there is one, and nothing is read beyond the ends.
func FuzzDecodeCall(f *testing.F) {
	f.Add([]byte("\x48\x8d\x05\x00\x00\x00\x00\x66\x90\xe8\x00\x00\x00\x00"), uint64(0x40_0000))
	f.Add([]byte("\x48\x8d\x1d\x00\x00\x00\x00\x0f\x1f\x40\x00\x48\x8d\x0c\x95\x00\x00\x00\x00\xe8\x00\x00\x00\x00"), uint64(1))
	f.Add([]byte("\x00\x00\x00\xd0\x00\x8c\x04\x91\xff\x03\x00\x94"), uint64(1<<56))
	f.Add([]byte("\x48\x8d\x05\x00\x00\x00\x00\x48\x8b\x04\xe8\x00\x00\x00\x00"), uint64(0))
	f.Fuzz(func(t *testing.T, code []byte, pc uint64) {
		if len(code) > siteBytes {
			code = code[len(code)-siteBytes:]
		}
		for _, arch := range []string{"amd64", "arm64"} {
			site, ok := decodeCall(arch, code, pc)
			if !ok && site != (callSite{}) {
				t.Errorf("%s: no call, but %+v", arch, site)
			}
			if ok && len(code) < 4 {
				t.Errorf("%s: a call in %d bytes", arch, len(code))
			}
		}
		for len(code) > 0 {
			n, _ := instruction(code)
			if n < 0 {
				t.Errorf("an instruction of %d bytes", n)
			}
			code = code[1:]
		}
	})
}
