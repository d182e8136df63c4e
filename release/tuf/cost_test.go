package tuf

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/transfer"
)

// counter counts what a transport receives and sends.
type counter struct{ in, out, conns atomic.Int64 }

type countedConn struct {
	net.Conn
	c *counter
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.c.in.Add(int64(n))
	return n, err
}

func (c countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.c.out.Add(int64(n))
	return n, err
}

func (c *counter) transport() *http.Transport {
	t := transfer.NewTransport()
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c.conns.Add(1)
		return countedConn{conn, c}, nil
	}
	return t
}

func (c *counter) took() (in, out int64) { return c.in.Swap(0), c.out.Swap(0) }

// bare is a web server that sends no more than RFC 9110 asks for: a date, a length, a tag.
func bare(t *testing.T, dir string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serveBare(conn, dir) // one connection at a time: this client has one
		}
	}()
	return "http://" + ln.Addr().String()
}

func serveBare(conn net.Conn, dir string) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		date := time.Now().UTC().Format(http.TimeFormat)
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(r.URL.Path)))
		tag := fmt.Sprintf("%q", release.Digest(sum(b)).Short())
		switch {
		case err != nil:
			fmt.Fprintf(conn, "HTTP/1.1 404 Not Found\r\nDate: %s\r\nContent-Length: 0\r\n\r\n", date)
		case r.Header.Get("If-None-Match") == tag:
			fmt.Fprintf(conn, "HTTP/1.1 304 Not Modified\r\nDate: %s\r\nETag: %s\r\n\r\n", date, tag)
		default:
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nDate: %s\r\nETag: %s\r\nContent-Length: %d\r\n\r\n%s", date, tag, len(b), b)
		}
	}
}

// TestPromiseG21: an unchanged check is two requests (TestUnchangedCheckIsTwoRequests) and at most 300 bytes from a plain server.
func TestPromiseG21(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	var n counter
	c, err := NewClient(bare(t, f.repo.dir), f.root, t.TempDir(), ClientOptions{App: "hello", Transport: n.transport()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 4 {
		wantNewest(t, c, "beta", "1.0.0")
		in, out := n.took()
		t.Logf("check %d: %d bytes received, %d sent", i+1, in, out)
		if i > 0 && in > 300 {
			t.Errorf("an unchanged check received %d bytes", in)
		}
	}
}

// Over TLS the session is resumed, though the connection was closed long before the next check.
func TestPromiseG21Resumption(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	var resumed, fresh, requests atomic.Int64
	files := http.FileServer(http.Dir(f.repo.dir))
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.TLS.DidResume {
			resumed.Add(1)
		} else {
			fresh.Add(1)
		}
		if strings.HasSuffix(r.URL.Path, "timestamp.json") {
			b, _ := os.ReadFile(f.repo.metadataPath("timestamp.json"))
			w.Header().Set("ETag", `"`+release.Digest(sum(b)).Short()+`"`)
		}
		files.ServeHTTP(w, r)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	var n counter
	tr := n.transport()
	tr.TLSClientConfig.RootCAs = x509.NewCertPool()
	tr.TLSClientConfig.RootCAs.AddCert(srv.Certificate())
	c, err := NewClient(srv.URL, f.root, t.TempDir(), ClientOptions{App: "hello", Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const checks = 5
	for i := range checks {
		requests.Store(0)
		wantNewest(t, c, "beta", "1.0.0")
		c.Close()
		in, out := n.took()
		t.Logf("check %d: %d requests, %d bytes received, %d sent", i+1, requests.Load(), in, out)
		if i > 0 && requests.Load() != 2 {
			t.Errorf("an unchanged check: %d requests", requests.Load())
		}
	}
	if resumed.Load() != 2*(checks-1) || n.conns.Load() != checks {
		t.Errorf("%d requests in resumed sessions, %d in others, %d connections", resumed.Load(), fresh.Load(), n.conns.Load())
	}
}

// bigFeed has 8 platforms in two channels, each with 100 releases and n deltas to every one.
func bigFeed(t *testing.T, deltas int) *feed {
	f := newFeed(t)
	files := map[string][]byte{}
	for i, p := range []string{"linux/amd64", "linux/arm64", "linux/arm/v7", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64", "freebsd/amd64"} {
		for _, channel := range []string{"beta", "stable"} {
			ix := bigIndex(t, channel, p, i, deltas)
			b, err := ix.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			files[release.IndexPath(channel, ix.Platform)] = b
		}
	}
	if err := f.repo.publishTargets(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	return f
}

func bigIndex(t *testing.T, channel, platform string, seed, deltas int) *release.Index {
	p, err := release.ParsePlatform(platform)
	if err != nil {
		t.Fatal(err)
	}
	digest := func(what string, i, j int) release.Digest {
		return release.Digest(sum(fmt.Appendf(nil, "%s %s %d %d %d", what, platform, seed, i, j)))
	}
	ix := &release.Index{Schema: release.IndexSchema, App: "hello", Channel: channel, Platform: p}
	for i := range 100 {
		v := fmt.Sprintf("1.%d.%d", i/10, i%10)
		path := v + "/hello-" + p.FileName()
		r := release.Release{Version: release.MustParseVersion(v), Published: time.Date(2026, 1, 1+i, 9, 30, 0, 0, time.UTC), Notes: "What is new: https://example.com/notes/" + v}
		r.Artifact = release.Artifact{Length: 16_289_954 + int64(i), SHA256: digest("raw", i, 0),
			Full: release.Payload{Path: path + ".zst", Length: 5_157_879, SHA256: digest("full", i, 0), Format: release.Zstd}}
		for j := range min(deltas, i) {
			from := digest("raw", i-1-j, 0)
			r.Artifact.Deltas = append(r.Artifact.Deltas, release.Delta{From: from, Payload: release.Payload{
				Path: path + "." + from.Short() + ".delta", Length: 145_453, SHA256: digest("delta", i, j), Format: release.Patch}})
		}
		ix.Put(r)
	}
	return ix
}

// TestSizesAfterManyReleases: what a feed weighs with 100 releases on 8 platforms in two channels; the index stays well below
// what a client reads.
func TestSizesAfterManyReleases(t *testing.T) {
	for _, deltas := range []int{0, 5, release.MaxDeltas} {
		f := bigFeed(t, deltas)
		for _, pattern := range []string{"metadata/1.root.json", "metadata/timestamp.json", "metadata/2.snapshot.json", "metadata/2.targets.json", "metadata/1.brake.json", "targets/beta/*linux-amd64.json"} {
			b := f.reading(pattern)
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			w.Write(b)
			w.Close()
			t.Logf("%2d deltas: %-32s %7d bytes, %6d with gzip", deltas, pattern, len(b), z.Len())
			if strings.HasPrefix(pattern, "metadata/") && len(b) > 16<<10 || len(b) > release.MaxIndexSize*3/4 {
				t.Errorf("%d deltas: %s has %d bytes", deltas, pattern, len(b))
			}
		}
		c := f.client(t.TempDir())
		for i := range 3 {
			begin := time.Now()
			wantNewest(t, c, "beta", "1.9.9")
			t.Logf("%2d deltas: check %d took %v", deltas, i+1, time.Since(begin).Round(100*time.Microsecond))
		}
	}
}
