package proxy

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Route is a path prefix and one upstream for it. Several of one prefix share the load.
type Route struct {
	Prefix string   // "/" or "/a/b": for that path, and those below it
	URL    *url.URL // of the upstream: http, https, h2c or unix
}

// ParseRoute reads URL, or PREFIX=URL.
func ParseRoute(s string) (Route, error) {
	r := Route{Prefix: "/"}
	text := s
	if strings.HasPrefix(s, "/") {
		prefix, rest, ok := strings.Cut(s, "=")
		if !ok {
			return r, fmt.Errorf("route %q: want URL or PATH=URL", s)
		}
		if r.Prefix, text = prefix, rest; prefix != "/" {
			r.Prefix = strings.TrimRight(prefix, "/")
		}
		if r.Prefix == "" || climbs(r.Prefix) {
			return r, fmt.Errorf("route %q: %q is no path to serve", s, prefix)
		}
	}
	u, err := url.Parse(text)
	if err != nil {
		return r, fmt.Errorf("route for %s: %w", r.Prefix, errors.Unwrap(err)) // without the address, which may hold a secret
	}
	r.URL = u
	return r, r.check()
}

func (r Route) check() error {
	u := r.URL
	switch {
	case u.User != nil:
		return fmt.Errorf("route for %s: a URL with a password would be seen by everybody on this machine", r.Prefix)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("route for %s: %s has a query or a fragment", r.Prefix, u)
	case u.Scheme == "unix":
		if u.Host != "" || u.Path == "" {
			return fmt.Errorf("route for %s: want unix:/path of a socket", r.Prefix)
		}
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "h2c" || u.Host == "":
		return fmt.Errorf("route for %s: %q: want http://, https:// or h2c:// and a host, or unix:/path", r.Prefix, u)
	}
	return nil
}

func under(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (prefix == "/" || rest == "" || rest[0] == '/')
}

// climbs reports whether a server might read the path as one that leads upward, out of the prefix or the upstream's own path.
func climbs(path string) bool {
	if !strings.Contains(path, "..") {
		return false
	}
	for element := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '\\' }) {
		if element, _, _ = strings.Cut(element, ";"); element == ".." { // "..;" climbs in Java's servers
			return true
		}
	}
	return false
}

// strip takes the prefix off a path, and off its encoded form, which may be "".
func strip(prefix, path, raw string) (string, string) {
	if prefix == "/" {
		return path, raw
	}
	path = orRoot(strings.TrimPrefix(path, prefix))
	for range strings.Count(prefix, "/") {
		_, raw, _ = strings.Cut(strings.TrimPrefix(raw, "/"), "/")
		raw = "/" + raw
	}
	if decoded, err := url.PathUnescape(raw); err != nil || decoded != path {
		raw = "" // a slash of the prefix was encoded
	}
	return path, raw
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}
