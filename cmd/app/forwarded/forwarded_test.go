package forwarded

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func trust(t testing.TB, list ...string) Trust {
	t.Helper()
	tr, err := ParseTrust(list)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func request(peer string, header ...string) *http.Request {
	r := httptest.NewRequest("GET", "http://site.example/x", nil)
	r.RemoteAddr = peer
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestParseTrust(t *testing.T) {
	for _, bad := range []string{"", "10", "10.0.0.0/33", "example.com", "fe80::1%eth0", "10.0.0.0/8,127.0.0.1"} {
		if _, err := ParseTrust([]string{bad}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	tr := trust(t, "::ffff:10.0.0.0/104", "192.0.2.1", "2001:db8::/32")
	for peer, want := range map[string]bool{"10.9.8.7:1": true, "[::ffff:10.1.1.1]:1": true, "192.0.2.1:5": true, "192.0.2.2:5": false, "[2001:db8::1]:1": true, "@": false, "": false} {
		if _, got := tr.peer(request(peer)); got != want {
			t.Errorf("%s is trusted: %v", peer, got)
		}
	}
}

func TestClient(t *testing.T) {
	tr := trust(t, "10.0.0.0/8", "unix")
	for _, tt := range []struct {
		peer   string
		header []string
		want   string
	}{
		{"192.0.2.9:1", nil, "192.0.2.9"},
		{"192.0.2.9:1", []string{"X-Forwarded-For", "198.51.100.1"}, "192.0.2.9"}, // a stranger says so
		{"10.0.0.1:1", nil, "10.0.0.1"},
		{"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"X-Forwarded-For", "1.1.1.1, 198.51.100.1, 10.0.0.7"}, "198.51.100.1"}, // the client wrote the first
		{"10.0.0.1:1", []string{"X-Forwarded-For", "1.1.1.1", "X-Forwarded-For", "198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"X-Forwarded-For", "10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.1, nonsense"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.1:4711"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"X-Forwarded-For", "[2001:db8::1]:4711"}, "2001:db8::1"},
		{"10.0.0.1:1", []string{"X-Forwarded-For", "2001:db8::1"}, "2001:db8::1"},
		{"10.0.0.1:1", []string{"Forwarded", `for=198.51.100.1;proto=https, for="[2001:db8::2]:99"`}, "2001:db8::2"},
		{"10.0.0.1:1", []string{"Forwarded", "for=198.51.100.1", "Forwarded", "For=10.0.0.2"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"Forwarded", "for=unknown"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"Forwarded", `for="1.1.1.1`}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.1", "Forwarded", "for=1.1.1.1"}, "198.51.100.1"},
		{"@", []string{"X-Forwarded-For", "198.51.100.1"}, "198.51.100.1"},
		{"@", nil, "invalid IP"},
	} {
		if got := tr.Client(request(tt.peer, tt.header...)).String(); got != tt.want {
			t.Errorf("%s %q: %s, want %s", tt.peer, tt.header, got, tt.want)
		}
	}
}

func TestSet(t *testing.T) {
	tr := trust(t, "10.0.0.0/8", "unix")
	for _, tt := range []struct {
		name, peer                  string
		secure                      bool
		in                          []string
		hops, host, proto, standard string
	}{
		{"plain", "192.0.2.9:1", false, nil, "192.0.2.9", "site.example", "http", `for=192.0.2.9;host="site.example";proto=http`},
		{"TLS, IPv6", "[2001:db8::9]:1", true, nil, "2001:db8::9", "site.example", "https", `for="[2001:db8::9]";host="site.example";proto=https`},
		{"a liar", "192.0.2.9:1", false, []string{"X-Forwarded-For", "1.1.1.1", "X-Forwarded-Host", "x", "X-Forwarded-Proto", "https", "Forwarded", "for=1.1.1.1"},
			"192.0.2.9", "site.example", "http", `for=192.0.2.9;host="site.example";proto=http`},
		{"trusted", "10.0.0.1:1", false, []string{"X-Forwarded-For", "1.1.1.1", "X-Forwarded-For", "2.2.2.2", "X-Forwarded-Host", "outer", "X-Forwarded-Proto", "https", "Forwarded", "for=1.1.1.1"},
			"1.1.1.1, 2.2.2.2, 10.0.0.1", "outer", "https", `for=1.1.1.1, for=10.0.0.1;host="site.example";proto=http`},
		{"trusted, spoiled", "10.0.0.1:1", false, []string{"X-Forwarded-Proto", "gopher", "Forwarded", `for="1.1.1.1`},
			"10.0.0.1", "site.example", "http", `for=10.0.0.1;host="site.example";proto=http`},
		{"Unix socket", "@", false, nil, "", "site.example", "http", `for=unknown;host="site.example";proto=http`},
	} {
		in := request(tt.peer, tt.in...)
		if tt.secure {
			in.TLS = &tls.ConnectionState{}
		}
		out := http.Header{"X-Forwarded-For": {"left over"}}
		tr.Set(out, in)
		for name, want := range map[string]string{"X-Forwarded-For": tt.hops, "X-Forwarded-Host": tt.host, "X-Forwarded-Proto": tt.proto, "Forwarded": tt.standard} {
			if got := strings.Join(out[name], "|"); got != want {
				t.Errorf("%s: %s %q, want %q", tt.name, name, got, want)
			}
		}
	}
}

// FuzzForwarded: whatever a trusted peer passes on, we append one element that reads as ours, and a stranger's words change nothing.
func FuzzForwarded(f *testing.F) {
	f.Add("1.1.1.1, 10.0.0.1", "for=1.1.1.1;by=_x", "h")
	f.Add("[::1]:1", `for="[::1]:1";host="a\"b"`, `a";for=1.1.1.1`)
	f.Add(",,", `for="`, "")
	tr := trust(f, "10.0.0.0/8")
	f.Fuzz(func(t *testing.T, hops, standard, host string) {
		stranger, friend := request("192.0.2.9:1", "X-Forwarded-For", hops, "Forwarded", standard), request("10.0.0.1:1", "X-Forwarded-For", hops, "Forwarded", standard)
		friend.Host = host
		if got := tr.Client(stranger).String(); got != "192.0.2.9" {
			t.Errorf("a stranger becomes %s", got)
		}
		tr.Client(friend)
		out := http.Header{}
		tr.Set(out, friend)
		list, ok := nodes(out.Get("Forwarded"))
		if !ok || list[len(list)-1] != "10.0.0.1" {
			t.Errorf("Forwarded %q reads %q, %v", out.Get("Forwarded"), list, ok)
		}
		before, _ := nodes(standard)
		if len(list) > len(before)+1 {
			t.Errorf("Forwarded %q has more elements than %q and ours", out.Get("Forwarded"), standard)
		}
		if !strings.HasSuffix(out.Get("X-Forwarded-For"), "10.0.0.1") {
			t.Errorf("X-Forwarded-For %q", out.Get("X-Forwarded-For"))
		}
	})
}
