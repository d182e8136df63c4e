package forwarded

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Trust is whose word about clients counts. Nobody's, if it is zero.
type Trust struct {
	prefixes []netip.Prefix
	unix     bool
}

// ParseTrust reads prefixes ("10.0.0.0/8"), addresses, and "unix" for whoever connects to a Unix socket.
func ParseTrust(list []string) (t Trust, err error) {
	for _, s := range list {
		if s == "unix" {
			t.unix = true
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, addrErr := netip.ParseAddr(s)
			if addrErr != nil || a.Zone() != "" {
				return t, fmt.Errorf("trusted proxy %q: want an address, a prefix as 10.0.0.0/8, or unix", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		t.prefixes = append(t.prefixes, netip.PrefixFrom(p.Addr().Unmap(), bits(p)).Masked())
	}
	return t, nil
}

// bits is the length of a prefix when its address is unmapped (::ffff:10.0.0.0/104 is 10.0.0.0/8).
func bits(p netip.Prefix) int {
	if p.Addr().Is4In6() {
		return max(p.Bits()-96, 0)
	}
	return p.Bits()
}

func (t Trust) trusts(a netip.Addr) bool {
	for _, p := range t.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// peer is the other side of the request's connection: no valid address if that is a Unix socket.
func (t Trust) peer(r *http.Request) (a netip.Addr, trusted bool) {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return a, t.unix
	}
	a = ap.Addr().Unmap().WithZone("")
	return a, len(t.prefixes) > 0 && t.trusts(a)
}

// Client is the address of the client as far as it can be known: that of the connection, or of whom trusted proxies
// name. It is not valid when nobody knows.
func (t Trust) Client(r *http.Request) netip.Addr {
	client, trusted := t.peer(r)
	if !trusted {
		return client
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	if len(r.Header["X-Forwarded-For"]) == 0 {
		hops, _ = nodes(strings.Join(r.Header["Forwarded"], ","))
	}
	for i := len(hops) - 1; i >= 0; i-- {
		a := address(hops[i])
		if !a.IsValid() {
			break
		}
		if client = a; !t.trusts(a) {
			break
		}
	}
	return client
}

// address reads one hop: an address, with a port or not, IPv6 in brackets or not.
func address(hop string) netip.Addr {
	hop = strings.Trim(hop, " \t")
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]")); err == nil {
		return a.Unmap().WithZone("")
	}
	if ap, err := netip.ParseAddrPort(hop); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
