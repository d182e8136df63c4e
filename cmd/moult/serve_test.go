package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

// newFeedDir makes a feed with one release, of 16 MB, in the working directory, which it changes to a new one.
func newFeedDir(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	r, err := tuf.Init(t.Context(), "feed", tuf.InitOptions{App: "hello", PlaintextKeys: true})
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16<<20)
	rand.Read(b)
	if err := os.WriteFile("hello", b, 0o755); err != nil {
		t.Fatal(err)
	}
	q := tuf.PublishRequest{Version: release.MustParseVersion("1.0.0"), Files: []tuf.File{{Path: "hello", Platform: release.Platform{OS: "linux", Arch: "amd64"}}}}
	if _, err := r.Publish(t.Context(), q); err != nil {
		t.Fatal(err)
	}
}

// glob returns the one file that fits.
func glob(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	return files[0]
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestStaticServesAFeedAndNothingElse(t *testing.T) {
	newFeedDir(t)
	payload := glob(t, "feed/targets/1.0.0/*")
	for name, text := range map[string]string{
		"feed/secret": "x", "feed/targets/x.json": "x", "feed/targets/.hidden": "x", "feed/metadata/.new-1": "x", "feed/metadata/root.key": "x",
		strings.Replace(payload, "/1.0.0/", "/.git/", 1): "x",
	} {
		os.MkdirAll(filepath.Dir(name), 0o755)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../../feed-keys/online.key", "feed/metadata/9.online.json"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("feed/metadata/8.targets.json", 0o755); err != nil {
		t.Fatal(err)
	}
	h := static{openRoot(t, "feed")}
	ask := func(method, path string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/", nil)
		r.URL.Path = path
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for _, path := range []string{"/", "/metadata", "/metadata/", "/.lock", "/secret", "/targets/x.json", "/targets/.hidden", "/metadata/.new-1", "/metadata/root.key",
		"/metadata/9.online.json", "/metadata/8.targets.json", "/../feed-keys/online.key", "/metadata/../../feed-keys/online.key", "/targets/../metadata/1.root.json",
		"/metadata/2.root.json", "//metadata/1.root.json", "/" + filepath.ToSlash(strings.Replace(payload, "feed/targets/1.0.0", "targets/.git", 1))} {
		if w := ask("GET", path); w.Code != 404 || w.Body.Len() > 0 || w.Header().Get("Cache-Control") != "public, max-age=60" {
			t.Errorf("%s: %d %v %.40q", path, w.Code, w.Header(), w.Body)
		}
	}
	path := "/" + strings.TrimPrefix(filepath.ToSlash(payload), "feed/")
	content, err := os.ReadFile(payload)
	if err != nil {
		t.Fatal(err)
	}
	digest := filepath.Base(payload)[:64]
	for _, tc := range []struct{ path, kind, cache string }{
		{path, "application/octet-stream", cacheForever},
		{"/metadata/timestamp.json", "application/json", cacheBriefly},
		{"/metadata/1.root.json", "application/json", cacheForever},
		{"/" + strings.TrimPrefix(filepath.ToSlash(glob(t, "feed/targets/beta/*")), "feed/"), "application/json", cacheForever},
	} {
		w := ask("GET", tc.path, "Accept-Encoding", "gzip, zstd")
		got := w.Header()
		tag := got.Get("ETag")
		if w.Code != 200 || got.Get("Content-Type") != tc.kind || got.Get("Cache-Control") != tc.cache || got.Get("Content-Encoding") != "" ||
			len(tag) != 18 || got.Get("Accept-Ranges") != "bytes" {
			t.Errorf("%s: %d %v", tc.path, w.Code, got)
		}
		if w := ask("GET", tc.path, "If-None-Match", tag); w.Code != 304 || w.Body.Len() > 0 || w.Header().Get("ETag") != tag || w.Header().Get("Cache-Control") != tc.cache {
			t.Errorf("%s, again: %d %v", tc.path, w.Code, w.Header())
		}
		if w := ask("HEAD", tc.path); w.Code != 200 || w.Body.Len() > 0 || w.Header().Get("ETag") != tag || w.Header().Get("Content-Length") == "" {
			t.Errorf("HEAD %s: %d %v", tc.path, w.Code, w.Header())
		}
	}
	tag := `"` + digest[:16] + `"`
	if w := ask("GET", path, "Range", "bytes=10-19", "If-Range", tag); w.Code != 206 || !bytes.Equal(w.Body.Bytes(), content[10:20]) {
		t.Errorf("a range: %d %v", w.Code, w.Header())
	}
	if w := ask("GET", path, "Range", "bytes=10-19", "If-Range", `"other"`); w.Code != 200 || w.Body.Len() != len(content) {
		t.Errorf("a range of another file: %d", w.Code)
	}
	if w := ask("GET", path, "Range", "bytes=999999999-"); w.Code != 416 {
		t.Errorf("a range behind the end: %d", w.Code)
	}
	if w := ask("POST", path); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

// The timestamp's tag follows its content, whatever the time of the file says.
func TestStaticTagOfTimestamp(t *testing.T) {
	newFeedDir(t)
	h := static{openRoot(t, "feed")}
	ask := func() (tag string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metadata/timestamp.json", nil))
		return w.Header().Get("ETag")
	}
	old := time.Now().Add(-time.Hour)
	os.Chtimes("feed/metadata/timestamp.json", old, old)
	before := ask()
	want(t, 0, "refresh", "feed")
	os.Chtimes("feed/metadata/timestamp.json", old, old)
	if after := ask(); after == before || before == "" {
		t.Errorf("tags %s and %s of two timestamps", before, after)
	}
}

// running is a moult serve in this process.
type running struct {
	url  string
	stop func() (code int, stderr string)
}

func startServe(t *testing.T, args ...string) *running {
	t.Helper()
	out, w := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		code <- run(ctx, append([]string{"serve", "--listen=127.0.0.1:0"}, args...), w, &stderr)
		w.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no URL: %v: exit code %d: %s", err, <-code, &stderr)
	}
	go io.Copy(io.Discard, out)
	var once sync.Once
	s := &running{url: strings.TrimSpace(line)}
	s.stop = func() (int, string) {
		c := 0
		once.Do(func() { cancel(); c = <-code })
		return c, stderr.String()
	}
	t.Cleanup(func() { s.stop() })
	return s
}

func TestServe(t *testing.T) {
	newFeedDir(t)
	s := startServe(t, "feed")
	if !strings.HasPrefix(s.url, "http://127.0.0.1:") || !strings.HasSuffix(s.url, "/") {
		t.Errorf("the first line is %q", s.url)
	}
	want(t, 0, "verify", s.url, "--root=feed/metadata/1.root.json")
	code, stderr := s.stop()
	if code != 0 || !strings.Contains(stderr, "path=/metadata/timestamp.json status=200 bytes=") || !strings.Contains(stderr, "path=/metadata/2.root.json status=404") {
		t.Errorf("exit code %d, log:\n%s", code, stderr)
	}
	want(t, exitUsage, "serve", "nowhere")
	want(t, exitUsage, "serve", "feed", "--tls-cert", "x")
	want(t, 1, "serve", "feed", "--listen", "127.0.0.1:0", "--tls-cert", "x", "--tls-key", "y")
}

// counter counts what comes over its connections.
type counter struct {
	received atomic.Int64
	dials    atomic.Int64
}

type countedConn struct {
	net.Conn
	c *counter
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.c.received.Add(int64(n))
	return n, err
}

func (c *counter) transport(config *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c.dials.Add(1)
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return countedConn{conn, c}, err
		},
		TLSClientConfig: config, DisableCompression: true, ForceAttemptHTTP2: true,
	}
}

// An unchanged check is two requests, and at most 300 bytes come back for them (G21).
func TestUnchangedCheckIsSmall(t *testing.T) {
	newFeedDir(t)
	var count counter
	var requests, notModified atomic.Int64
	h := static{openRoot(t, "feed")}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := &noted{ResponseWriter: w}
		h.ServeHTTP(n, r)
		requests.Add(1)
		if n.status == 304 {
			notModified.Add(1)
		}
	}))
	defer srv.Close()
	c := newClient(t, srv.URL, count.transport(nil))
	for i := range 3 {
		requests.Store(0)
		notModified.Store(0)
		count.received.Store(0)
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("check %d: %d requests, %d bytes received", i, requests.Load(), count.received.Load())
	}
	if n, b := requests.Load(), count.received.Load(); n != 2 || notModified.Load() != 1 || b > 300 || b < 100 {
		t.Errorf("an unchanged check: %d requests, %d of them 304, %d bytes; want 2, 1, at most 300", n, notModified.Load(), b)
	}
}

func newClient(t *testing.T, url string, tr http.RoundTripper) *tuf.Client {
	t.Helper()
	root, err := os.ReadFile("feed/metadata/1.root.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := tuf.NewClient(url, root, t.TempDir(), tuf.ClientOptions{App: "hello", Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// certificate writes one of 127.0.0.1 and returns who trusts it.
func certificate(t *testing.T) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	priv, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	os.WriteFile("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: priv}), 0o600)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return pool
}

// Over TLS a client that comes back after hours resumes its session: the certificates do not come again.
func TestServeOverTLS(t *testing.T) {
	newFeedDir(t)
	pool := certificate(t)
	s := startServe(t, "feed", "--tls-cert", "cert.pem", "--tls-key", "key.pem")
	var resumed []bool
	config := &tls.Config{RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(1), VerifyConnection: func(cs tls.ConnectionState) error {
		resumed = append(resumed, cs.DidResume)
		return nil
	}}
	var count counter
	c := newClient(t, s.url, count.transport(config))
	var received [2]int64
	for i := range received {
		count.received.Store(0)
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Close() // hours later the connection is gone
		received[i] = count.received.Load()
	}
	if len(resumed) != 2 || resumed[0] || !resumed[1] || count.dials.Load() != 2 {
		t.Errorf("resumed: %v over %d connections", resumed, count.dials.Load())
	}
	t.Logf("received at the first check %d bytes, at the second %d", received[0], received[1])
}

// A stop lets a download that is under way come to its end.
func TestServeStopsPolitely(t *testing.T) {
	newFeedDir(t)
	ctx, stop := context.WithCancel(t.Context())
	up := make(chan string, 1)
	done := make(chan error, 1)
	s := server{listen: "127.0.0.1:0", log: slog.New(slog.DiscardHandler)}
	go func() {
		done <- s.run(ctx, "feed", func(url string) error { up <- url; return nil })
	}()
	path := strings.TrimPrefix(filepath.ToSlash(glob(t, "feed/targets/1.0.0/*")), "feed/")
	res, err := http.Get(<-up + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	stop()
	n, err := io.Copy(io.Discard, res.Body)
	if err != nil || n != res.ContentLength {
		t.Errorf("the download ended after %d of %d bytes: %v", n, res.ContentLength, err)
	}
	http.DefaultClient.CloseIdleConnections()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it does not stop")
	}
}
