package page

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// hosts are the names by which this page may be asked for. Without such a list, a page of somebody else whose name is made to lead here
// (DNS rebinding) could read this one and push its buttons, since for the browser both are of one origin.
//
// An address is always right: a page at an address is from there, no name was made to lead anywhere. So are names that no stranger can own:
// localhost, and on a Unix socket names without a dot ("http://admin/").
type hosts struct {
	names  map[string]bool
	single bool // names without a dot
}

func newHosts(names []string, single bool) hosts {
	h := hosts{map[string]bool{}, single}
	for _, n := range names {
		h.names[strings.ToLower(hostname(n))] = true
	}
	return h
}

// allow reports whether the Host of a request is one of h.
func (h hosts) allow(host string) bool {
	name := strings.TrimSuffix(strings.ToLower(hostname(host)), ".")
	switch {
	case name == "localhost", strings.HasSuffix(name, ".localhost"), h.names[name]:
		return true
	case name == "":
		return h.single // HTTP/1.0 on a Unix socket
	case h.single && !strings.ContainsAny(name, ".:"):
		return true
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

// hostname is what remains of "host:port" or "[::1]:port".
func hostname(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
}

// guard lets only those through who may be here: the right Host, and for whatever changes something the same origin.
func (h hosts) guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.allow(r.Host) {
			http.Error(w, "this server is not to be called by that name: see allowed-host", http.StatusMisdirectedRequest)
			return
		}
		origin.ServeHTTP(w, r)
	})
}

// Guard protects next, on a Unix socket that a browser may come to through a tunnel (ssh -L), from pages of other origins: as the page itself
// is protected. A program that is no browser sends no Origin, and notices nothing; the name of its Host has no dot, or is an address.
func Guard(next http.Handler) http.Handler { return newHosts(nil, true).guard(next) }
