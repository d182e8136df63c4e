package forwarded

import (
	"net/http"
	"net/netip"
	"strings"
)

// Set writes into the header of an outgoing request where the incoming one comes from. What that one says itself is continued if its peer is
// trusted, and else replaced.
func (t Trust) Set(out http.Header, in *http.Request) {
	peer, trusted := t.peer(in)
	host, proto := in.Host, "http"
	if in.TLS != nil {
		proto = "https"
	}
	element := element(peer, host, proto)
	var hops []string
	if trusted {
		hops = in.Header["X-Forwarded-For"]
		if h := in.Header.Get("X-Forwarded-Host"); h != "" {
			host = h
		}
		if p := in.Header.Get("X-Forwarded-Proto"); p == "http" || p == "https" {
			proto = p
		}
		prior := strings.Join(in.Header["Forwarded"], ", ")
		if _, ok := nodes(prior); ok && prior != "" { // what cannot be read might swallow ours
			element = prior + ", " + element
		}
	}
	out["Forwarded"] = []string{element}
	out["X-Forwarded-Host"] = []string{host}
	out["X-Forwarded-Proto"] = []string{proto}
	delete(out, "X-Forwarded-For")
	if peer.IsValid() {
		hops = append(hops[:len(hops):len(hops)], peer.String())
	}
	switch len(hops) {
	case 0:
		out["X-Forwarded-For"] = nil
	case 1:
		out["X-Forwarded-For"] = hops
	default:
		out["X-Forwarded-For"] = []string{strings.Join(hops, ", ")}
	}
}

// element is ours in Forwarded.
func element(peer netip.Addr, host, proto string) string {
	b := make([]byte, 0, 80)
	b = append(b, "for="...)
	switch {
	case !peer.IsValid():
		b = append(b, "unknown"...)
	case peer.Is4():
		b = peer.AppendTo(b)
	default:
		b = append(peer.AppendTo(append(b, `"[`...)), `]"`...)
	}
	if host != "" {
		b = append(b, `;host="`...)
		for i := range len(host) {
			if host[i] == '"' || host[i] == '\\' {
				b = append(b, '\\')
			}
			b = append(b, host[i])
		}
		b = append(b, '"')
	}
	b = append(b, ";proto="...)
	return string(append(b, proto...))
}

// nodes reads Forwarded: who each element says it was for, or "". It returns false for what does not follow the grammar.
func nodes(s string) (list []string, ok bool) {
	if s == "" {
		return nil, true
	}
	for {
		node := ""
		for {
			s = strings.TrimLeft(s, " \t")
			n := tokenLength(s)
			name := s[:n]
			if s = s[n:]; n == 0 || !strings.HasPrefix(s, "=") {
				return nil, false
			}
			value, rest, ok := value(s[1:])
			if !ok {
				return nil, false
			}
			if strings.EqualFold(name, "for") {
				node = value
			}
			if s = strings.TrimLeft(rest, " \t"); !strings.HasPrefix(s, ";") {
				break
			}
			s = s[1:]
		}
		list = append(list, node)
		if s == "" {
			return list, true
		}
		if s[0] != ',' {
			return nil, false
		}
		s = s[1:]
	}
}

// value cuts a token or a quoted string off s.
func value(s string) (v, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		n := tokenLength(s)
		return s[:n], s[n:], n > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

func tokenLength(s string) int {
	n := strings.IndexFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	})
	if n < 0 {
		return len(s)
	}
	return n
}
