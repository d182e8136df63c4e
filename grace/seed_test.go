//go:build unix

package grace_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
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

	"github.com/moult-go/moult/grace"
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
	return startProgram(t, dir, "app", nil, args...)
}

// startProgram starts an executable of the directory there.
func startProgram(t *testing.T, dir, name string, env []string, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, done: make(chan struct{})}
	logFile, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	s.cmd = exec.Command(filepath.Join(dir, name), args...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, logFile, logFile
	s.cmd.Env = append(os.Environ(), env...)
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

// The surface, as beego's documentation has it.
var (
	_ func(string, http.Handler, ...grace.ServerOption) *grace.Server = grace.NewServer
	_ func(string, http.Handler) error                                = grace.ListenAndServe
	_ func(string, string, string, http.Handler) error                = grace.ListenAndServeTLS
	_ func(func()) grace.ServerOption                                 = grace.WithShutdownCallback
	_ func(*grace.Server)                                             = grace.ServerOption(nil)

	_ func(*grace.Server) error                                         = (*grace.Server).Serve
	_ func(*grace.Server, net.Listener) error                           = (*grace.Server).ServeWithListener
	_ func(*grace.Server) error                                         = (*grace.Server).ListenAndServe
	_ func(*grace.Server, string, string) error                         = (*grace.Server).ListenAndServeTLS
	_ func(*grace.Server, string, string) (net.Listener, error)         = (*grace.Server).ListenTLS
	_ func(*grace.Server, string, string, string) error                 = (*grace.Server).ListenAndServeMutualTLS
	_ func(*grace.Server, string, string, string) (net.Listener, error) = (*grace.Server).ListenMutualTLS
	_ func(*grace.Server, net.Listener) error                           = (*grace.Server).ServeTLS
	_ func(*grace.Server, int, os.Signal, func()) error                 = (*grace.Server).RegisterSignalHook
	_ *http.Server                                                      = grace.Server{}.Server
	_ string                                                            = grace.Server{}.Network
	_ map[int]map[os.Signal][]func()                                    = grace.Server{}.SignalHooks
	_                                                                   = [6]int{grace.PreSignal: 0, grace.PostSignal: 1, grace.StateInit: 2, grace.StateRunning: 3, grace.StateShuttingDown: 4, grace.StateTerminate: 5}
)

// TestNewServer: the defaults are copied, and nothing is opened.
func TestNewServer(t *testing.T) {
	grace.DefaultReadTimeOut, grace.DefaultWriteTimeOut, grace.DefaultMaxHeaderBytes = time.Second, 2*time.Second, 3000
	defer func() { grace.DefaultReadTimeOut, grace.DefaultWriteTimeOut, grace.DefaultMaxHeaderBytes = 0, 0, 0 }()
	srv := grace.NewServer("localhost:1", http.NotFoundHandler())
	if srv.Addr != "localhost:1" || srv.Handler == nil || srv.ReadTimeout != time.Second || srv.WriteTimeout != 2*time.Second ||
		srv.MaxHeaderBytes != 3000 || srv.Network != "tcp" {
		t.Errorf("%+v", srv.Server)
	}
	if srv := grace.NewServer("", nil); srv.ReadTimeout != time.Second {
		t.Errorf("%+v", srv.Server)
	}
}

// TestRegisterSignalHook: positions and signals.
func TestRegisterSignalHook(t *testing.T) {
	for _, c := range []struct {
		position int
		signal   os.Signal
		ok       bool
	}{
		{grace.PreSignal, syscall.SIGHUP, true},
		{grace.PostSignal, syscall.SIGTERM, true},
		{grace.PostSignal, os.Interrupt, true},
		{grace.PreSignal, syscall.SIGUSR2, false},
		{grace.StateInit, syscall.SIGHUP, false},
		{-1, syscall.SIGHUP, false},
	} {
		for _, srv := range []*grace.Server{grace.NewServer("", nil), {Server: &http.Server{}}} {
			err := srv.RegisterSignalHook(c.position, c.signal, func() {})
			if n := len(srv.SignalHooks[c.position][c.signal]); (err == nil) != c.ok || (n == 1) != c.ok {
				t.Errorf("position %d, %v: %v, %d hooks", c.position, c.signal, err, n)
			}
		}
	}
}

// TestListenTLSRefuses: what nobody could connect to is an error, before anything is opened.
func TestListenTLSRefuses(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir)
	cert, key, junk := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "junk.pem")
	if err := os.WriteFile(junk, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what             string
		cert, key, trust string
		want             string
	}{
		{"junk authorities", cert, key, junk, "no certificate in"},
		{"the key for authorities", cert, key, key, "no certificate in"},
		{"no authorities", cert, key, filepath.Join(dir, "missing"), "no such file"},
		{"a junk certificate", junk, key, cert, "find any PEM"},
		{"a certificate without its key", cert, "", cert, "no such file"},
		{"no certificate at all", "", "", cert, "no certificate: name its files"},
	} {
		srv := grace.NewServer("127.0.0.1:0", nil)
		if _, err := srv.ListenMutualTLS(c.cert, c.key, c.trust); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
		if srv.TLSConfig != nil {
			t.Errorf("%s: TLSConfig is changed", c.what)
		}
	}
}
