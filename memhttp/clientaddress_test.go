package memhttp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/memwarden/memwarden"
)

func mustProxies(t testing.TB, text string) []netip.Prefix {
	t.Helper()
	proxies, err := ParseTrustedProxies(text)
	if err != nil {
		t.Fatal(err)
	}
	return proxies
}

// requestFrom is a request of a peer with the lines of both headers.
func requestFrom(peer string, list, elements []string) *http.Request {
	r := &http.Request{RemoteAddr: peer, Header: http.Header{}}
	if list != nil {
		r.Header["X-Forwarded-For"] = list
	}
	if elements != nil {
		r.Header["Forwarded"] = elements
	}
	return r
}

const proxy = "10.0.0.1:4711" // trusted in these tests

func lines(lines ...string) []string { return lines }

func TestClientAddressWithoutProxies(t *testing.T) {
	for remote, want := range map[string][2]string{ // address and key
		"192.0.2.1:80":          {"192.0.2.1", "192.0.2.1"},
		"[2001:db8::1]:80":      {"2001:db8::1", "2001:db8::"},
		"[2001:db8:1:2:3::]:80": {"2001:db8:1:2:3::", "2001:db8:1:2::"},
		"[::ffff:192.0.2.1]:80": {"192.0.2.1", "192.0.2.1"},
		"[fe80::1%eth0]:80":     {"fe80::1", "fe80::"},
		"192.0.2.1":             {"192.0.2.1", "192.0.2.1"},
		"@":                     {"@", "@"},
		"":                      {"", ""},
	} {
		for _, r := range []*http.Request{
			{RemoteAddr: remote},
			requestFrom(remote, lines("203.0.113.7"), lines("for=203.0.113.7")),
			requestFrom(remote, lines("203.0.113.7"), lines("for=203.0.113.8")),
		} {
			if got, err := ClientAddress(r, nil); got != want[0] || err != nil {
				t.Errorf("the address of %q is %q, %v, want %q", remote, got, err, want[0])
			}
			if got, err := clientKey(r, nil); got != want[1] || err != nil {
				t.Errorf("the key of %q is %q, %v, want %q", remote, got, err, want[1])
			}
		}
	}
}

func TestClientAddressBehindProxies(t *testing.T) {
	trusted := mustProxies(t, "10.0.0.0/8 2001:db8:aaaa::/48")
	long := strings.Repeat("x", 2000)
	for name, c := range map[string]struct {
		list, elements []string
		want           string
	}{
		"nothing":                  {nil, nil, "10.0.0.1"},
		"one":                      {lines("203.0.113.7"), nil, "203.0.113.7"},
		"client's own words":       {lines("198.51.100.1, 203.0.113.7"), nil, "203.0.113.7"},
		"two proxies":              {lines("198.51.100.1, 203.0.113.7, 10.9.9.9"), nil, "203.0.113.7"},
		"in lines":                 {lines("198.51.100.1", "203.0.113.7,10.9.9.9", " 10.3.3.3 "), nil, "203.0.113.7"},
		"proxies alone":            {lines("10.1.1.1, 10.2.2.2"), nil, "10.1.1.1"},
		"junk on the left":         {lines(`"\",,, 203.0.113.7, 10.2.2.2`), nil, "203.0.113.7"},
		"junk ends it":             {lines("203.0.113.7, unknown, 10.2.2.2"), nil, "10.2.2.2"},
		"junk at once":             {lines("203.0.113.7, unknown"), nil, "10.0.0.1"},
		"an empty one":             {lines("203.0.113.7, "), nil, "10.0.0.1"},
		"an empty header":          {lines(""), nil, "10.0.0.1"},
		"port":                     {lines("203.0.113.7:1234"), nil, "203.0.113.7"},
		"version 6":                {lines("2001:db8::7"), nil, "2001:db8::7"},
		"version 6 in brackets":    {lines("[2001:db8::7]"), nil, "2001:db8::7"},
		"version 6 and port":       {lines("[2001:db8::7]:1234, [2001:db8:aaaa::1]:80"), nil, "2001:db8::7"},
		"version 6 and zone":       {lines("fe80::7%eth0"), nil, "fe80::7"},
		"mapped":                   {lines("203.0.113.7, ::ffff:10.2.2.2"), nil, "203.0.113.7"},
		"mapped client":            {lines("[::ffff:203.0.113.7]:80"), nil, "203.0.113.7"},
		"version 4 in brackets":    {lines("[203.0.113.7]"), nil, "10.0.0.1"},
		"bracket that is open":     {lines("[2001:db8::7"), nil, "10.0.0.1"},
		"after the bracket":        {lines("[2001:db8::7]80"), nil, "10.0.0.1"},
		"network":                  {lines("203.0.113.0/24"), nil, "10.0.0.1"},
		"name":                     {lines("localhost"), nil, "10.0.0.1"},
		"long on the left":         {lines(long + ", 203.0.113.7"), nil, "203.0.113.7"},
		"long":                     {lines("203.0.113.7, 10.2.2.2" + strings.Repeat(" ", 2000)), nil, "10.0.0.1"},
		"as many hops as may be":   {lines("203.0.113.7" + strings.Repeat(",10.2.2.2", maxHops-1)), nil, "203.0.113.7"},
		"one more":                 {lines("203.0.113.7" + strings.Repeat(",10.2.2.2", maxHops)), nil, "10.2.2.2"},
		"as many in lines":         {append(lines("203.0.113.7"), slices.Repeat(lines("10.2.2.2"), maxHops)...), nil, "10.2.2.2"},
		"element":                  {nil, lines("for=203.0.113.7"), "203.0.113.7"},
		"elements":                 {nil, lines("for=198.51.100.1, for=203.0.113.7;proto=https;by=10.2.2.2, For=10.2.2.2"), "203.0.113.7"},
		"element with a port":      {nil, lines(`for="203.0.113.7:1234"`), "203.0.113.7"},
		"element of version 6":     {nil, lines(`proto=http ; for="[2001:db8::7]:1234"`), "2001:db8::7"},
		"escaped":                  {nil, lines(`for="203.0.113\.7"`), "203.0.113.7"},
		"hidden":                   {nil, lines("for=203.0.113.7, for=_hidden"), "10.0.0.1"},
		"unknown":                  {nil, lines("for=203.0.113.7, for=unknown, for=10.2.2.2"), "10.2.2.2"},
		"for nobody":               {nil, lines("for=203.0.113.7, proto=https"), "10.0.0.1"},
		"for two":                  {nil, lines("for=203.0.113.7;for=203.0.113.8"), "10.0.0.1"},
		"no name":                  {nil, lines("203.0.113.7"), "10.0.0.1"},
		"open quote on the left":   {nil, lines(`for="198.51.100.1, for=203.0.113.7`), "203.0.113.7"},
		"escaped on the left":      {nil, lines(`for="\, for="203.0.113.7"`), "203.0.113.7"},
		"open quote before a line": {nil, lines(`for="198.51.100.1`, "for=203.0.113.7"), "203.0.113.7"},
		"open quote in the last":   {nil, lines(`for=203.0.113.7;host="a`), "10.0.0.1"},
		"quote within a token":     {nil, lines(`host=a"b;for=203.0.113.7`), "10.0.0.1"},
		"after a quote":            {nil, lines(`host="a"b;for=203.0.113.7`), "10.0.0.1"},
		"element in a quote":       {nil, lines(`for=203.0.113.7;host="x,for=198.51.100.1"`), "203.0.113.7"},
		"pair in a quote":          {nil, lines(`host="x;for=198.51.100.1\";for=198.51.100.2\\";for=203.0.113.7`), "203.0.113.7"},
		"long element":             {nil, lines("for=203.0.113.7;host=" + long), "10.0.0.1"},
		"long before an element":   {nil, lines(long + ",for=203.0.113.7"), "203.0.113.7"},
		"both":                     {lines("198.51.100.1, 203.0.113.7"), lines("for=198.51.100.2, for=203.0.113.7"), "203.0.113.7"},
	} {
		if got, err := ClientAddress(requestFrom(proxy, c.list, c.elements), trusted); got != c.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
		if got, err := ClientAddress(requestFrom("192.0.2.9:80", c.list, c.elements), trusted); got != "192.0.2.9" || err != nil {
			t.Errorf("%s, from a peer that is not trusted: %q, %v", name, got, err)
		}
	}
}

func TestAmbiguousClient(t *testing.T) {
	trusted := mustProxies(t, "10.0.0.0/8")
	for _, c := range []struct{ list, elements []string }{
		{lines("203.0.113.7"), lines("for=203.0.113.8")},
		{lines("203.0.113.7"), lines("")},
		{lines(""), lines("for=203.0.113.7")},
		{lines("203.0.113.7"), lines("for=203.0.113.7, for=10.2.2.2, junk")},
	} {
		got, err := ClientAddress(requestFrom(proxy, c.list, c.elements), trusted)
		if got != "10.0.0.1" || !errors.Is(err, ErrAmbiguousClient) {
			t.Errorf("%q and %q: %q, %v", c.list, c.elements, got, err)
		}
	}
}

// TestWalkAgainstATwin compares with a twin that splits the header from the left, on lists that proxies would write
// after whatever a client sent.
func TestWalkAgainstATwin(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	trusted := mustProxies(t, "10.0.0.0/8")
	words := []string{"10.1.1.1", "10.2.2.2", "203.0.113.7", "198.51.100.1:80", "unknown", "", "10.3.3.3 ", "[::ffff:10.4.4.4]:1"}
	twin := func(text string) string {
		client := "10.0.0.1"
		parts := strings.Split(text, ",")
		for i := len(parts) - 1; i >= 0; i-- {
			switch part := strings.TrimSpace(parts[i]); part {
			case "unknown", "":
				return client
			case "198.51.100.1:80":
				return "198.51.100.1"
			case "[::ffff:10.4.4.4]:1":
				client = "10.4.4.4"
			default:
				if client = part; !strings.HasPrefix(part, "10.") {
					return client
				}
			}
		}
		return client
	}
	for range 20_000 {
		var parts, elements []string
		for range 1 + random.IntN(6) {
			word := words[random.IntN(len(words))]
			parts, elements = append(parts, word), append(elements, fmt.Sprintf(`proto=http;for=%q`, word))
		}
		cut := random.IntN(len(parts)) // into two lines
		split := func(parts []string) []string {
			if cut == 0 {
				return lines(strings.Join(parts, ","))
			}
			return lines(strings.Join(parts[:cut], ","), strings.Join(parts[cut:], ","))
		}
		want := twin(strings.Join(parts, ","))
		for _, r := range []*http.Request{
			requestFrom(proxy, split(parts), nil), requestFrom(proxy, nil, split(elements)), requestFrom(proxy, split(parts), split(elements)),
		} {
			if got, err := ClientAddress(r, trusted); got != want || err != nil {
				t.Fatalf("seed %d: %q: %q, %v, want %q", seed, r.Header, got, err, want)
			}
		}
	}
}

// FuzzClientAddress: headers of a peer that is not trusted do not matter, and what a client sends through a proxy that
// adds to one of the headers neither changes who it is nor hides it.
func FuzzClientAddress(f *testing.F) {
	f.Add("192.0.2.1:80", "203.0.113.7, 10.1.1.1", `for="[2001:db8::1]:80";by=10.0.0.1`)
	f.Add("[::ffff:10.0.0.1]:80", "198.51.100.9", "for=198.51.100.9")
	f.Add("@", `"`, `for="\`)
	f.Add("", "[", `host="\\";for=203.0.113.7`)
	trusted := mustProxies(f, "10.0.0.0/8 2001:db8:aaaa::/48")
	const client = "198.51.100.9"
	f.Fuzz(func(t *testing.T, peer, list, elements string) {
		alone, err := ClientAddress(&http.Request{RemoteAddr: peer}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, proxies := range [][]netip.Prefix{nil, mustProxies(t, "203.0.113.250")} {
			r := requestFrom(peer, lines(list), lines(elements))
			if got, err := ClientAddress(r, proxies); alone != "203.0.113.250" && (got != alone || err != nil) {
				t.Errorf("%q without a trusted proxy: %q, %v, want %q", peer, got, err, alone)
			}
		}
		// Whatever comes out is an address in its normal form, or what the connection says.
		got, _ := ClientAddress(requestFrom(peer, lines(list), lines(elements)), trusted)
		if addr, err := netip.ParseAddr(got); got != peer && (err != nil || addr.String() != got || addr.Is4In6() || addr.Zone() != "") {
			t.Errorf("%q: the client is %q", peer, got)
		}
		for _, r := range []*http.Request{
			requestFrom(proxy, lines(list+", "+client), nil),
			requestFrom(proxy, lines(list, client+", 10.7.7.7"), nil),
			requestFrom(proxy, nil, lines(elements+", for="+client+`;host="a,b;\"c"`)),
			requestFrom(proxy, nil, lines(elements, "for="+client)),
		} {
			if got, err := ClientAddress(r, trusted); got != client || err != nil {
				t.Errorf("%q: %q, %v, want %q", r.Header, got, err, client)
			}
		}
		for _, r := range []*http.Request{
			requestFrom(proxy, lines(list+", "+client), lines(elements)),
			requestFrom(proxy, lines(list), lines(elements+", for="+client)),
		} {
			if got, err := clientKey(r, trusted); err == nil && got != client {
				t.Errorf("%q: the key is %q without an error, want %q", r.Header, got, client)
			}
		}
	})
}

func TestParseTrustedProxies(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "[]",
		" , ":                          "[]",
		"10.0.0.0/8":                   "[10.0.0.0/8]",
		"192.0.2.1,2001:db8::/32\t::1": "[192.0.2.1/32 2001:db8::/32 ::1/128]",
		"::ffff:192.0.2.1":             "[192.0.2.1/32]",
		"::ffff:10.0.0.0/104":          "[10.0.0.0/8]",
		"fe80::1%eth0":                 "[fe80::1/128]",
	} {
		if got, err := ParseTrustedProxies(text); fmt.Sprint(got) != want || err != nil {
			t.Errorf("%q: %v, %v, want %s", text, got, err, want)
		}
	}
	_, err := ParseTrustedProxies("10.0.0.1/8 proxy.example.org 0.0.0.0/0 ::ffff:0:0/96 10.0.0.0/33")
	for _, want := range []string{
		"10.0.0.1/8: want 10.0.0.0/8 for the network", `"proxy.example.org": want an address`, "0.0.0.0/0: it trusts everybody",
		"::ffff:0.0.0.0/96: it trusts everybody", `"10.0.0.0/33": want an address`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if _, err := ParseTrustedProxies(strings.Repeat("192.0.2.1 ", maxProxies+1)); err == nil || !strings.Contains(err.Error(), "1001 trusted proxies") {
		t.Errorf("more proxies than there may be: %v", err)
	}
	w := startWarden(t, memwarden.Options{})
	if _, err := Handler(w, Options{TrustedProxies: make([]netip.Prefix, 1)}); err == nil || !strings.Contains(err.Error(), "not valid") {
		t.Errorf("a handler with a prefix that is none: %v", err)
	}
}

func BenchmarkClientAddress(b *testing.B) {
	trusted := mustProxies(b, "10.0.0.0/8")
	for name, r := range map[string]*http.Request{
		"peer":      {RemoteAddr: "192.0.2.1:4711"},
		"list":      requestFrom(proxy, lines("198.51.100.1, 203.0.113.7, 10.2.2.2"), nil),
		"elements":  requestFrom(proxy, nil, lines(`for=203.0.113.7;proto=https, for="10.2.2.2:80"`)),
		"long junk": requestFrom(proxy, lines(strings.Repeat("10.2.2.2,", 100_000)+"10.2.2.2"), nil),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := clientKey(r, trusted); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
