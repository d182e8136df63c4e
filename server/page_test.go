package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-go/moult/server/page"
)

// get asks a listener of b, which may be a Unix socket, and follows redirects.
func (b *bench) get(network, address, url string) (code int, body string) {
	b.t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial(network, address)
	}}}
	res, err := c.Get(url)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// Where the page is, and who may push its buttons.
func TestStatusPage(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(strings.Repeat("t", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, Service{Ops: []string{"127.0.0.1:0"}, StatusPath: "/about/status/", OpsTokenFile: token, AllowedHosts: []string{"ops.example.com"}})
	b.start()
	public, ops := b.r.listening[0].Addr().String(), b.r.ops[0].Addr().String()
	for _, test := range []struct {
		network, address, url string
		code                  int
		has, hasNot           string
	}{
		{"tcp", public, "http://www.example.com/", 200, "hello", "<html"},
		{"tcp", public, "http://www.example.com/about/status", 200, `id="now"`, "<form"},
		{"tcp", public, "http://www.example.com/about/status/", 200, `id="now"`, "<form"},
		{"tcp", public, "http://www.example.com/about/statusx", 200, "hello", "<html"},
		{"tcp", ops, "http://localhost/", 200, "Sign in", `action="upgrade"`},
		{"tcp", ops, "http://ops.example.com/", 200, "Sign in", ""},
		{"tcp", ops, "http://www.example.com/", http.StatusMisdirectedRequest, "", "<html"},
		{"tcp", ops, "http://localhost/v1/status", 404, "", `"app"`},
		{"unix", b.r.place.sock, "http://admin/", 200, `action="upgrade"`, "Sign in"},
		{"unix", b.r.place.sock, "http://admin/v1/status", 200, `"app"`, ""},
		{"unix", b.r.place.sock, "http://evil.example/v1/status", http.StatusMisdirectedRequest, "", `"app"`},
	} {
		code, body := b.get(test.network, test.address, test.url)
		if code != test.code || !strings.Contains(body, test.has) || test.hasNot != "" && strings.Contains(body, test.hasNot) {
			t.Errorf("%s on %s: %d, want %d, %q and not %q\n%.300s", test.url, test.network, code, test.code, test.has, test.hasNot, body)
		}
	}
}

func TestPageSettings(t *testing.T) {
	ok := Service{Handler: http.NotFoundHandler()}
	for _, path := range []string{"", "/status", "/status/", "/a/b/"} {
		s := ok
		s.StatusPath = path
		if _, err := s.filled(); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
	for _, path := range []string{"/", "status", "//", "/a/../b", "/livez"} {
		s := ok
		s.StatusPath = path
		if _, err := s.filled(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", path, err)
		}
	}
	ok.OpsTokenFile = filepath.Join(t.TempDir(), "none")
	if _, err := ok.filled(); !errors.Is(err, page.ErrToken) {
		t.Errorf("a token file that is not there: %v", err)
	}
}
