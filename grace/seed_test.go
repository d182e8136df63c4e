//go:build unix

package grace_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// beegoPath is what the programs below testdata/seed import: they are written for beego, by its documentation.
const beegoPath = "github.com/beego/beego/v2/server/web/grace"

// TestBeegoPrograms: a program that was written for beego's grace module changes its import path and nothing else. Each is
// built like that, replaced by HUP and stopped by TERM, under load from clients that never retry.
func TestBeegoPrograms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args func(addr []string) []string
		tls  string   // protocol that a client is to get on the first address; "" for none
		body string   // of every answer, before the pid
		logs []string // of each process in the end, before its pid
	}{
		{name: "simple", args: func(a []string) []string { return a[:1] }},
		{name: "hooks", args: func(a []string) []string { return []string{"serve", "-addr", a[0]} }},
		{name: "tls", args: func(a []string) []string { return a[:1] }, tls: "h2", body: "HTTP/2.0 "},
		{name: "mutual", args: func(a []string) []string { return a[:1] }, tls: "h2", body: "localhost "},
		{name: "several", args: func(a []string) []string { return a }, tls: "h2", logs: []string{"first callback of", "second callback of"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			addrs := []string{freePort(t), freePort(t), freePort(t)}
			s := startBeego(t, c.name, c.args(addrs)...)
			clients := make([]client, 0, len(addrs))
			for i, addr := range addrs {
				if i > 0 && c.name != "several" {
					break
				}
				s.addr = addr
				s.waitUp()
				clients = append(clients, newClient(t, s.dir, addr, i == 0 && c.tls != ""))
			}
			old := s.cmd.Process.Pid
			for _, cl := range clients {
				if got := cl.get(); got != fmt.Sprintf("%sWORLD!ospid:%d", c.body, old) {
					t.Fatalf("answer %q", got)
				}
			}
			if c.tls != "" && clients[0].proto() != c.tls {
				t.Errorf("protocol %q, want %q", clients[0].proto(), c.tls)
			}

			load := startPosts(clients)
			s.signal(old, syscall.SIGHUP)
			s.waitEnd(20 * time.Second)
			pids := s.pids()
			if len(pids) != 1 {
				t.Fatalf("processes %v after the handover", pids)
			}
			fresh := pids[0]
			for _, cl := range clients {
				if got := cl.get(); !strings.HasSuffix(got, fmt.Sprintf("ospid:%d", fresh)) {
					t.Errorf("answer %q after the handover, want pid %d", got, fresh)
				}
			}
			load.end(t)
			s.signal(fresh, syscall.SIGTERM)
			eventually(t, "the end", func() bool { return len(s.pids()) == 0 })

			text := s.log()
			for _, pid := range []int{old, fresh} {
				if !strings.Contains(text, fmt.Sprintf("stopped %d\n", pid)) {
					t.Errorf("main did not return in pid %d", pid)
				}
				for _, line := range c.logs {
					for _, addr := range addrs {
						if n := strings.Count(text, fmt.Sprintf("%s %s %d\n", line, addr, pid)); n != 1 {
							t.Errorf("%q of %s ran %d times in pid %d", line, addr, n, pid)
						}
					}
				}
			}
			if c.name == "hooks" {
				checkHooks(t, text, map[string]int{
					fmt.Sprint("hook before HUP ", old): 1, fmt.Sprint("hook by hand ", old): 1, fmt.Sprint("hook after HUP ", old): 1,
					fmt.Sprint("hook before TERM ", fresh): 1, fmt.Sprint("hook after TERM ", fresh): 1,
				})
			}
		})
	}
}

// checkHooks compares every line about a hook with what is expected.
func checkHooks(t *testing.T, text string, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	for line := range strings.Lines(text) {
		if _, hook, ok := strings.Cut(strings.TrimSpace(line), "hook "); ok {
			got["hook "+hook]++
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) { // maps print in order
		t.Errorf("hooks that ran:\n%v\nwant\n%v", got, want)
	}
}

// buildBeego copies a program of testdata/seed to a module of its own, changes its import, and builds it as dir/app.
func buildBeego(t *testing.T, name, dir string) {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("testdata", "seed", name, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(src), beegoPath) != 1 {
		t.Fatalf("%s does not import %s", name, beegoPath)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	module := t.TempDir()
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{
		"main.go": strings.Replace(string(src), beegoPath, "github.com/moult-go/moult/grace", 1),
		"go.mod":  "module example.com/program\n\ngo 1.26.0\n\nrequire github.com/moult-go/moult v0.0.0\n\nreplace github.com/moult-go/moult => " + root + "\n",
		"go.sum":  string(sums),
	} {
		if err := os.WriteFile(filepath.Join(module, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "app"), ".")
	build.Dir = module
	build.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
}

// startBeego builds and starts such a program, in a directory with a certificate.
func startBeego(t *testing.T, name string, args ...string) *server {
	t.Helper()
	dir := t.TempDir()
	writeCertificate(t, dir)
	buildBeego(t, name, dir)
	return startProgram(t, dir, "app", args...)
}

// startProgram starts an executable of the directory there.
func startProgram(t *testing.T, dir, name string, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, done: make(chan struct{})}
	logFile, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	s.cmd = exec.Command(filepath.Join(dir, name), args...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, logFile, logFile
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(s.cleanup)
	return s
}

// A client speaks to one address, with a certificate of its own where TLS is spoken.
type client struct {
	t      *testing.T
	url    string
	config *tls.Config // nil without TLS
}

func newClient(t *testing.T, dir, addr string, secure bool) client {
	t.Helper()
	c := client{t: t, url: "http://" + addr + "/hello"}
	if secure {
		cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		c.url = "https://" + addr + "/hello"
		c.config = &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}
	}
	return c
}

func (c client) transport(http2 bool) *http.Transport {
	return &http.Transport{TLSClientConfig: c.config.Clone(), ForceAttemptHTTP2: http2, MaxIdleConnsPerHost: 1}
}

// get makes one request on a connection of its own.
func (c client) get() string {
	c.t.Helper()
	tr := c.transport(true)
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr, Timeout: 30 * time.Second}).Get(c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

// proto is what the server chooses from what a browser offers.
func (c client) proto() string {
	c.t.Helper()
	config := c.config.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	conn, err := tls.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(c.url, "https://"), "/hello"), config)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().NegotiatedProtocol
}

// posts is a load of POSTs on HTTP/1.1, which nobody can retry.
type posts struct {
	sum
	quit atomic.Bool
	wg   sync.WaitGroup
}

func startPosts(clients []client) *posts {
	p := &posts{}
	for _, c := range clients {
		for range 4 {
			p.wg.Go(func() { p.run(c) })
		}
	}
	return p
}

func (p *posts) run(c client) {
	tr := c.transport(false)
	defer tr.CloseIdleConnections()
	hc := &http.Client{Transport: tr, Timeout: 30 * time.Second}
	for !p.quit.Load() {
		// A body that cannot be sent again keeps the client from retrying.
		res, err := hc.Post(c.url, "text/plain", io.NopCloser(strings.NewReader("x")))
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		p.add(1, err)
		time.Sleep(5 * time.Millisecond) // a modest client: the machine is shared
	}
}

func (p *posts) end(t *testing.T) {
	t.Helper()
	p.quit.Store(true)
	p.wg.Wait()
	t.Logf("%d of %d requests failed", p.failed, p.n)
	if p.failed > 0 || p.n < 50 {
		t.Errorf("%d of %d requests failed: %v", p.failed, p.n, p.first)
	}
}
