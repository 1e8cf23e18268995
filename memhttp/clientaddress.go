package memhttp

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

const (
	// maxProxies bounds a list of trusted proxies, which is searched for each hop.
	maxProxies = 1000
	// maxHops bounds the proxies that a request is followed through, and maxHopBytes what one of them may write.
	maxHops     = 32
	maxHopBytes = 1 << 10
	// limitedBits are those of an IPv6 address that a client is limited by: it may choose the others itself.
	limitedBits = 64
)

// ErrAmbiguousClient is why the client of a request is not known: X-Forwarded-For and Forwarded tell of different clients,
// so that one of them may be the client's own.
var ErrAmbiguousClient = errors.New("X-Forwarded-For and Forwarded tell of different clients: the proxy must remove the one that it does not write")

// ParseTrustedProxies reads a list of addresses and of prefixes such as 10.0.0.0/8, with commas or white space between
// them, at most 1,000. The error lists every mistake; one of them is a prefix of all addresses, as everybody could then
// call himself what he likes.
func ParseTrustedProxies(text string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	var mistakes []error
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		var prefix netip.Prefix
		addr, err := netip.ParseAddr(part)
		if err == nil {
			prefix = netip.PrefixFrom(addr, addr.BitLen()) // without a zone
		} else if prefix, err = netip.ParsePrefix(part); err != nil {
			mistakes = append(mistakes, fmt.Errorf("memhttp: trusted proxy %q: want an address or a prefix such as 10.0.0.0/8", part))
			continue
		}
		proxies = append(proxies, prefix)
	}
	proxies, err := normalProxies(proxies)
	if err = errors.Join(append(mistakes, err)...); err != nil {
		return nil, err
	}
	return proxies, nil
}

// normalProxies returns prefixes that normal addresses can be held against, or every mistake in them.
func normalProxies(proxies []netip.Prefix) ([]netip.Prefix, error) {
	if len(proxies) > maxProxies {
		return nil, fmt.Errorf("memhttp: %d trusted proxies: want at most %d", len(proxies), maxProxies)
	}
	var mistakes []error
	normal := make([]netip.Prefix, 0, len(proxies))
	for _, p := range proxies {
		one := p
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			one = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		switch {
		case !one.IsValid():
			mistakes = append(mistakes, errors.New("memhttp: trusted proxy: the prefix is not valid"))
		case one.Bits() == 0:
			mistakes = append(mistakes, fmt.Errorf("memhttp: trusted proxy %s: it trusts everybody to say who he is", p))
		case one != one.Masked():
			mistakes = append(mistakes, fmt.Errorf("memhttp: trusted proxy %s: want %s for the network, or the address alone", p, one.Masked()))
		default:
			normal = append(normal, one)
		}
	}
	return normal, errors.Join(mistakes...)
}

// ClientAddress tells where a request comes from: the address of its connection, without port and zone, and IPv4 as such
// where it is mapped into IPv6. What is no address, such as that of a Unix socket, is returned as it is.
//
// If that is a trusted proxy (see ParseTrustedProxies), the client is whom it names: the last element of
// X-Forwarded-For or Forwarded (RFC 7239). If that is a trusted proxy as well, the one before is, and so on. What is
// not an address ends this, and the last trusted proxy counts as the client; so do 32 of them, or an element of more
// than 1 KiB. What stands left of the first address that is not trusted may be the client's own words, and is not
// read. Other headers are not read at all.
//
// If both headers are there, they must tell of the same client. If they do not, the error is ErrAmbiguousClient beside
// the address of the connection: a client that adds the header which its proxy does not write cannot hide. The proxies
// must write one of them: a proxy that passes on what it got would let its clients choose.
func ClientAddress(r *http.Request, trusted []netip.Prefix) (string, error) {
	addr, err := clientAddr(r, trusted)
	if !addr.IsValid() {
		return r.RemoteAddr, nil
	}
	return addr.String(), err
}

// clientKey is what a client is limited by: its address, of IPv6 the /64 that it is from.
func clientKey(r *http.Request, trusted []netip.Prefix) (string, error) {
	addr, err := clientAddr(r, trusted)
	switch {
	case !addr.IsValid():
		return r.RemoteAddr, nil
	case addr.Is6():
		addr = netip.PrefixFrom(addr, limitedBits).Masked().Addr()
	}
	return addr.String(), err
}

// clientAddr is ClientAddress; its result is not valid where the connection has no address.
func clientAddr(r *http.Request, trusted []netip.Prefix) (netip.Addr, error) {
	peer, ok := parseHop(r.RemoteAddr)
	if !ok || !trusts(trusted, peer) {
		return peer, nil
	}
	list, elements := r.Header["X-Forwarded-For"], r.Header["Forwarded"]
	inList, inElements := walk(peer, list, trusted, parseHop), walk(peer, elements, trusted, forwardedFor)
	switch {
	case len(elements) == 0:
		return inList, nil
	case len(list) == 0:
		return inElements, nil
	case inList != inElements:
		return peer, ErrAmbiguousClient
	}
	return inList, nil
}

func trusts(proxies []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// walk follows a request from a trusted proxy through the lines of a header, from the right to the left.
func walk(client netip.Addr, lines []string, trusted []netip.Prefix, read func(string) (netip.Addr, bool)) netip.Addr {
	hops := 0
	for _, list := range slices.Backward(lines) {
		for more := true; more; hops++ {
			var element string
			list, element, more = cutLast(list)
			hop, ok := read(element)
			if !ok || hops == maxHops {
				return client
			}
			if client = hop; !trusts(trusted, hop) {
				return client
			}
		}
	}
	return client
}

// cutLast cuts the last element off a list, in which quoted strings may hold commas. It reads from the right: the last
// element is a proxy's and well formed, but a client may have begun a quoted string before it that does not end.
func cutLast(list string) (rest, last string, more bool) {
	quoted := false
	for i := len(list) - 1; i >= 0 && len(list)-i <= maxHopBytes; i-- {
		switch {
		case list[i] == '"' && !(quoted && escaped(list[:i])):
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return list[:i], list[i+1:], true
		}
	}
	return "", list, false
}

// escaped reports whether what follows a text is made a character like any other by a backslash.
func escaped(before string) bool {
	return (len(before)-len(strings.TrimRight(before, `\`)))%2 == 1
}

// forwardedFor reads the "for" of an element of Forwarded (RFC 7239, section 4): name=value with semicolons between. A
// name that hides the address, as section 6.3 permits, is none.
func forwardedFor(element string) (addr netip.Addr, ok bool) {
	if len(element) > maxHopBytes {
		return addr, false
	}
	for rest := element; strings.TrimSpace(rest) != ""; {
		name, after, equal := strings.Cut(rest, "=")
		value, after, good := cutValue(after)
		if !equal || !good {
			return addr, false
		}
		if strings.EqualFold(strings.TrimSpace(name), "for") {
			if ok { // twice
				return addr, false
			}
			if addr, ok = parseHop(value); !ok {
				return addr, false
			}
		}
		rest = after
	}
	return addr, ok
}

// cutValue reads a token or a quoted string (RFC 9110, section 5.6.4) and the semicolon after it.
func cutValue(text string) (value, after string, ok bool) {
	text = strings.TrimLeft(text, " \t")
	if !strings.HasPrefix(text, `"`) {
		value, after, _ = strings.Cut(text, ";")
		return value, after, !strings.Contains(value, `"`)
	}
	var content strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			end, after, _ := strings.Cut(text[i+1:], ";")
			return content.String(), after, strings.TrimSpace(end) == ""
		case '\\':
			i++
		}
		if i < len(text) {
			content.WriteByte(text[i])
		}
	}
	return "", "", false // it does not end
}

// parseHop reads an address as proxies write it, with a port or without one, and makes it normal.
func parseHop(text string) (netip.Addr, bool) {
	if len(text) > maxHopBytes {
		return netip.Addr{}, false
	}
	text = strings.TrimSpace(text)
	if inner, bracket := strings.CutPrefix(text, "["); bracket {
		host, port, closed := strings.Cut(inner, "]")
		if !closed || port != "" && port[0] != ':' || !strings.Contains(host, ":") {
			return netip.Addr{}, false
		}
		text = host
	} else if strings.Count(text, ":") == 1 {
		text, _, _ = strings.Cut(text, ":")
	}
	addr, err := netip.ParseAddr(text)
	return addr.Unmap().WithZone(""), err == nil
}
