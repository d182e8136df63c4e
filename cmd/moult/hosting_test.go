package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nginxBlock is the configuration that docs/howto/hosting.md shows.
func nginxBlock(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/howto/hosting.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "```nginx\n")
	block, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("docs/howto/hosting.md has no nginx configuration")
	}
	return block
}

// startNginx serves dir, as the page says, and returns the URL of the feed in it, and how to end it and read its log.
func startNginx(t *testing.T, block, dir string) (url string, stop func() (log string)) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("no nginx: it is in Debian's package of that name")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	for _, change := range [][2]string{{"listen 80;", "listen " + addr + ";"}, {"root /srv/feeds;", "root " + dir + ";"}} {
		if strings.Count(block, change[0]) != 1 {
			t.Fatalf("the configuration has not one %q", change[0])
		}
		block = strings.Replace(block, change[0], change[1], 1)
	}
	base := t.TempDir()
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http {
    log_format short '$request_method $uri $status'; access_log %[1]s/log short;
    client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
%[2]s}`, base, block)
	if err := os.WriteFile(filepath.Join(base, "conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(program, "-c", filepath.Join(base, "conf"), "-p", base, "-e", "stderr")
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stopped := false
	stop = func() string {
		if !stopped {
			stopped = true
			cmd.Process.Signal(syscall.SIGTERM) // not a kill: nginx writes the line of a request after its answer
			<-ended
		}
		b, _ := os.ReadFile(filepath.Join(base, "log"))
		return string(b)
	}
	t.Cleanup(func() { stop() })
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			break
		}
		select {
		case err := <-ended:
			stopped = true
			t.Fatalf("nginx: %v\n%s", err, &stderr)
		default:
		}
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("nginx does not listen: %v", err)
		}
	}
	return "http://" + addr + "/hello", stop
}

// What docs/howto/hosting.md says of nginx is true: the client that servers use finds a feed, an unchanged check is a 404 and a 304.
func TestNginx(t *testing.T) {
	block := nginxBlock(t)
	r := smallFeed(t)
	dir, err := filepath.Abs("srv")
	if err != nil {
		t.Fatal(err)
	}
	sent, _ := syncDoc(t, "feed", "srv/hello")
	for _, hidden := range []string{"srv/hello/.htpasswd", "srv/hello/targets/.new-x", "srv/hello/root.key"} {
		if err := os.WriteFile(hidden, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	url, stop := startNginx(t, block, dir)
	want(t, 0, "verify", url, "--root=feed/metadata/1.root.json")
	for _, path := range sent {
		res, err := http.Get(url + "/" + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		kind, _ := classify(path)
		if h := res.Header; res.StatusCode != 200 || h.Get("Content-Type") != kind.contentType || h.Get("Cache-Control") != kind.cacheControl || h.Get("ETag") == "" {
			t.Errorf("%s: %d %v", path, res.StatusCode, h)
		}
	}
	for _, path := range []string{"", "/", "/metadata/", "/.lock", "/.htpasswd", "/targets/.new-x", "/root.key", "/metadata/2.root.json"} {
		res, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 404 || strings.Contains(res.Header.Get("Cache-Control"), "31536000") {
			t.Errorf("%q: %d %v", path, res.StatusCode, res.Header)
		}
	}
	var count counter
	c := newClient(t, url, count.transport(nil))
	wantBeta(t, c, "1.1.0")
	publishSmall(t, r, "1.2.0")
	syncDoc(t, "feed", "srv/hello")
	wantBeta(t, c, "1.2.0")
	count.received.Store(0)
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("an unchanged check receives %d bytes", count.received.Load())
	c.Close()
	http.DefaultClient.CloseIdleConnections()
	lines := strings.Split(strings.TrimSpace(stop()), "\n")
	last := strings.Join(lines[len(lines)-2:], ", ")
	if last != "GET /hello/metadata/2.root.json 404, GET /hello/metadata/timestamp.json 304" {
		t.Errorf("an unchanged check: %s", last)
	}
}
