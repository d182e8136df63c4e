package page

import (
	"net/http"
	"testing"
)

func TestHosts(t *testing.T) {
	h := newHosts([]string{"ops.example.com:9100", "Other.Example"}, false)
	for host, want := range map[string]bool{
		"localhost": true, "localhost:9100": true, "app.localhost": true, "LOCALHOST.": true,
		"127.0.0.1:9100": true, "10.0.0.7": true, "[::1]:9100": true, "[::1]": true, "192.168.1.1.": true,
		"ops.example.com": true, "ops.example.com:80": true, "other.example": true,
		"evil.example": false, "evil.example:9100": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"admin": false, "": false, "evil.example/127.0.0.1": false, "127.0.0.1@evil.example": false, "[evil.example]:1": false,
	} {
		if h.allow(host) != want {
			t.Errorf("%q allowed: %v", host, !want)
		}
	}
	socket := newHosts(nil, true)
	for host, want := range map[string]bool{"admin": true, "": true, "localhost:8081": true, "evil.example": false, "[fe80::1%25lo]:1": true} {
		if socket.allow(host) != want {
			t.Errorf("on a socket, %q allowed: %v", host, !want)
		}
	}
}

// TestOtherSites: what a page of somebody else makes a browser send is refused, whatever it knows.
func TestOtherSites(t *testing.T) {
	for _, place := range []Place{Ops, Socket} {
		s := full()
		b := visit(t, Options{Server: s, Operator: s, Place: place, TokenFile: tokenFile(t), Hosts: []string{"ops.example.com"}})
		b.do("POST", "/signin", map[string][]string{"token": {secret}})
		for _, attack := range []struct {
			host, name, value string
			code              int
		}{
			{"", "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
			{"", "Sec-Fetch-Site", "same-site", http.StatusForbidden},
			{"ops.example.com", "Origin", "http://evil.example", http.StatusForbidden},
			{"ops.example.com", "Origin", "http://ops.example.com:8080", http.StatusForbidden},
			{"ops.example.com", "Origin", "null", http.StatusForbidden},
			{"evil.example", "Origin", "http://evil.example", http.StatusMisdirectedRequest},
			{"evil.example", "Sec-Fetch-Site", "same-origin", http.StatusMisdirectedRequest},
		} {
			b.host = attack.host
			b.sent.Set(attack.name, attack.value)
			b.want(attack.code, "", "POST", "/unhold", confirmed)
			if attack.code == http.StatusMisdirectedRequest {
				b.want(attack.code, "", "GET", "/", nil)
				b.want(attack.code, "", "GET", "/stream", nil)
			}
			b.sent.Del(attack.name)
		}
		if s.said() != "" {
			t.Errorf("place %d: asked for %s", place, s.said())
		}
		b.host = "ops.example.com"
		b.sent.Set("Origin", "http://ops.example.com")
		b.want(http.StatusSeeOther, "", "POST", "/unhold", confirmed)
		if s.said() != "unhold" {
			t.Errorf("place %d, from the page itself: asked for %q", place, s.said())
		}
	}
}
