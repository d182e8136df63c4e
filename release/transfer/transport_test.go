package transfer

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The transport is a client's own: nobody else's settings reach it, and its own reach nobody.
func TestTransportOfOnesOwn(t *testing.T) {
	c := newClient(t, Options{})
	tr, ok := c.http.Transport.(*http.Transport)
	if !ok || c.http == http.DefaultClient || c.http.Transport == http.DefaultTransport || http.DefaultClient.Transport != nil {
		t.Fatal("the client is the process-wide one")
	}
	if !tr.DisableCompression || tr.ResponseHeaderTimeout == 0 || tr.TLSHandshakeTimeout == 0 || tr.TLSClientConfig.ClientSessionCache == nil {
		t.Errorf("transport %+v", tr)
	}
}

func writePEM(t *testing.T, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

func serveTLS(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestCAFile(t *testing.T) {
	s := serveTLS(t, hello)
	get := func(o Options) error {
		_, err := newClient(t, o).Get(t.Context(), s.URL, 10, Validators{})
		return err
	}
	if err := get(Options{CAFile: writePEM(t, s.Certificate().Raw)}); err != nil {
		t.Errorf("by its own authority: %v", err)
	}
	var unknown x509.UnknownAuthorityError
	if err := get(Options{}); !errors.Is(err, ErrUnreachable) || !errors.As(err, &unknown) {
		t.Errorf("by nobody: %v", err)
	}
	if err := get(Options{CAFile: writePEM(t, certificate(t, time.Now().Add(time.Hour)).Certificate[0])}); !errors.As(err, &unknown) {
		t.Errorf("by another authority: %v", err)
	}
}

func TestCAFileAddsToTheSystems(t *testing.T) {
	system, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t, time.Now().Add(time.Hour))
	pool, err := authorities(writePEM(t, cert.Certificate[0]))
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(cert.Certificate[0])
	system.AddCert(leaf)
	if !pool.Equal(system) {
		t.Error("the pool is not the system's and one more")
	}
}

func TestBadCAFile(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"empty": "", "der": "0\x82", "key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "huge": strings.Repeat("x", maxCAFile+1)} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{CAFile: file}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Options{CAFile: filepath.Join(dir, "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := New(Options{CAFile: "x", Transport: NewTransport()}); err == nil {
		t.Error("a CA file for somebody else's transport passes")
	}
}

// certificate is one of its own for 127.0.0.1.
func certificate(t *testing.T, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestExpiredCertificate(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	cert := certificate(t, time.Now().Add(-time.Hour))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.Config.ErrorLog = quiet
	s.StartTLS()
	defer s.Close()
	_, err := newClient(t, Options{CAFile: writePEM(t, cert.Certificate[0])}).Get(t.Context(), s.URL, 10, Validators{})
	if !errors.Is(err, ErrExpired) || !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestRedirects(t *testing.T) {
	var asked int
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) { asked++; hello(w, r) })
	down := serveTLS(t, http.RedirectHandler(plain.URL, http.StatusFound).ServeHTTP)
	c := newClient(t, Options{CAFile: writePEM(t, down.Certificate().Raw)})
	if _, err := c.Get(t.Context(), down.URL, 10, Validators{}); !errors.Is(err, ErrRedirect) || errors.Is(err, ErrUnreachable) || asked != 0 {
		t.Errorf("from https to http: %v, asked %d times", err, asked)
	}
	hops := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) > 1 {
			http.Redirect(w, r, "/"+r.URL.Path[2:], http.StatusFound)
			return
		}
		hello(w, r)
	})
	if f, err := c.Get(t.Context(), hops.URL+"/"+strings.Repeat("x", maxRedirects), 10, Validators{}); err != nil || string(f.Body) != "hello" {
		t.Errorf("ten hops: %q, %v", f.Body, err)
	}
	if _, err := c.Get(t.Context(), hops.URL+"/"+strings.Repeat("x", maxRedirects+1), 10, Validators{}); !errors.Is(err, ErrRedirect) {
		t.Errorf("eleven hops: %v", err)
	}
}

// Credentials go to their origin, on every hop there, and to no other: not another port, not another scheme, not by a header that
// http.Client would carry along.
func TestCredentialsStayAtTheirOrigin(t *testing.T) {
	seen := make(chan http.Header, 3)
	storage := serve(t, func(w http.ResponseWriter, r *http.Request) { seen <- r.Header; hello(w, r) })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		switch r.URL.Path {
		case "/private":
			http.Redirect(w, r, "/hop?secret", http.StatusFound)
		case "/hop":
			http.Redirect(w, r, storage.URL, http.StatusFound)
		}
	})
	c := newClient(t, Options{Origin: s.URL + "/api/v1", Authorize: func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer hunter2")
		r.Header.Set("PRIVATE-TOKEN", "hunter2")
	}})
	if _, err := c.Get(t.Context(), s.URL+"/private", 10, Validators{}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"hunter2", "hunter2", ""} {
		h := <-seen
		if got := h.Get("PRIVATE-TOKEN"); got != want || strings.Contains(h.Get("Authorization"), "hunter2") != (want != "") || h.Get("Referer") != "" {
			t.Errorf("hop %d: %v", i, h)
		}
	}
	// An address that an answer named is no better than a redirect.
	if _, err := c.Get(t.Context(), storage.URL, 10, Validators{}); err != nil {
		t.Fatal(err)
	}
	if h := <-seen; h.Get("PRIVATE-TOKEN") != "" || h.Get("Authorization") != "" {
		t.Errorf("another host: %v", h)
	}
	for _, bad := range []string{"", "example.com", "ftp://example.com", "https://"} {
		if _, err := New(Options{Origin: bad, Authorize: func(*http.Request) {}}); err == nil {
			t.Errorf("origin %q passes", bad)
		}
	}
}

// proxiedEnv makes this test binary a program that gets a URL: how the environment names proxies is read once in a process.
const proxiedEnv = "TRANSFER_TEST_PROXIED"

func proxied(u string) string {
	c, err := New(Options{CAFile: os.Getenv("TRANSFER_TEST_CA")})
	if err != nil {
		return err.Error()
	}
	f, err := c.Get(context.Background(), u, 100, Validators{})
	if err != nil {
		return err.Error()
	}
	return string(f.Body)
}

// A host that does not exist is reached by the proxy that the environment names, and no proxy is asked for what NO_PROXY has.
func TestProxyFromTheEnvironment(t *testing.T) {
	inner := serveTLS(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "through the tunnel") })
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			tunnel(t, w, inner.Listener.Addr().String())
			return
		}
		fmt.Fprintf(w, "proxy was asked for %s", r.URL)
	})
	ca := writePEM(t, inner.Certificate().Raw)
	for _, test := range []struct {
		url, env, want string
	}{
		{"http://feed.invalid/x", "HTTP_PROXY=" + proxy.URL, "proxy was asked for http://feed.invalid/x"},
		{"http://feed.invalid/x", "http_proxy=" + proxy.URL, "proxy was asked for http://feed.invalid/x"},
		{"https://example.com/x", "HTTPS_PROXY=" + proxy.URL, "through the tunnel"},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{test.env, proxiedEnv + "=" + test.url, "TRANSFER_TEST_CA=" + ca}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != test.want {
			t.Errorf("%s with %s: %q, %v", test.url, test.env, out, err)
		}
		cmd = exec.Command(os.Args[0])
		cmd.Env = []string{test.env, "NO_PROXY=feed.invalid,example.com", proxiedEnv + "=http://feed.invalid/x", "TRANSFER_TEST_CA=" + ca}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "unreachable") {
			t.Errorf("with NO_PROXY: %q, %v", out, err)
		}
	}
}

// tunnel is what a proxy does for CONNECT; the address that was asked for is not looked at.
func tunnel(t *testing.T, w http.ResponseWriter, to string) {
	out, err := net.Dial("tcp", to)
	if err != nil {
		t.Error(err)
		return
	}
	defer out.Close()
	w.WriteHeader(http.StatusOK)
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	go func(in *bufio.Reader) { io.Copy(out, in); out.Close() }(buf.Reader)
	io.Copy(conn, out)
}
