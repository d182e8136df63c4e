//go:build unix

package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
)

// line is a program of testdata and all its generations.
type line struct {
	t    *testing.T
	dir  string // its working directory
	logs string
}

// buildProgram compiles a main package into its own directory, which is short, as a Unix socket in it needs.
func buildProgram(t *testing.T, pkg string, args ...string) (dir, exe string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ev")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	exe = filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.Command("go", append([]string{"build", "-C", filepath.Dir(pkg), "-o", exe}, append(args, "./"+filepath.Base(pkg))...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return dir, exe
}

// startLine starts generation 1 and waits until it serves.
func startLine(t *testing.T, dir, exe string, args ...string) *line {
	t.Helper()
	l := &line{t, dir, filepath.Join(dir, "log")}
	log, err := os.Create(l.logs)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(exe, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY=", "SERVER_TEST_PROGRAM="+filepath.Base(exe)) // the latter for the test binary
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(l.logs)
			t.Logf("log:\n%s", b)
		}
		if st, err := l.status(); err == nil {
			syscall.Kill(st.PID, syscall.SIGKILL)
			for _, d := range st.Draining {
				syscall.Kill(d.PID, syscall.SIGKILL)
			}
		}
		cmd.Process.Kill()
		<-done
	})
	l.wait("a server", func() bool { st, err := l.status(); return err == nil && st.State == "serving" })
	return l
}

func (l *line) status() (admin.Status, error) {
	dirs, err := filepath.Glob(filepath.Join(l.dir, ".*.d"))
	if err != nil || len(dirs) != 1 {
		return admin.Status{}, fmt.Errorf("state directories %v, %v", dirs, err)
	}
	list, err := admin.Instances(dirs[0])
	if err != nil || len(list) != 1 {
		return admin.Status{}, fmt.Errorf("instances %v, %v", list, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return client.New(list[0].Admin).Status(ctx)
}

func (l *line) wait(what string, is func() bool) {
	l.t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); {
		if time.Now().After(end) {
			l.t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(20 * time.Millisecond) // between two looks
	}
}

// hangup asks the process that serves for a restart.
func (l *line) hangup() admin.Status {
	l.t.Helper()
	st, err := l.status()
	if err != nil {
		l.t.Fatal(err)
	}
	syscall.Kill(st.PID, syscall.SIGHUP)
	return st
}

// restart sends HUP, and waits until the next generation serves alone and the one before has drained.
func (l *line) restart() {
	l.t.Helper()
	old := l.hangup()
	l.wait("the next generation", func() bool {
		st, err := l.status()
		return err == nil && st.Generation == old.Generation+1 && st.State == "serving" && len(st.Draining) == 0 &&
			syscall.Kill(old.PID, 0) != nil
	})
}

// tally counts what clients saw.
type tally struct {
	mu   sync.Mutex
	n    int
	errs []error
	told int // connections that the server has closed, after it said so
}

func (s *tally) add(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n++; err != nil {
		s.errs = append(s.errs, err)
	}
}

func (s *tally) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told++
}

// dialer opens connections to one listener of the service.
type dialer func() (net.Conn, error)

func plainly(network, addr string) dialer {
	return func() (net.Conn, error) { return net.Dial(network, addr) }
}

func securely(addr string, cfg *tls.Config) dialer {
	return func() (net.Conn, error) { return tls.Dial("tcp", addr, cfg) }
}

// posts are requests on one HTTP/1.1 connection until the server says that it closes it; nothing is ever sent twice.
func posts(dial dialer, quit context.Context, s *tally) error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.Close()
	for br := bufio.NewReader(c); quit.Err() == nil; {
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"); err != nil {
			return err
		}
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			return err
		}
		if _, err = io.Copy(io.Discard, res.Body); err == nil && res.StatusCode != http.StatusOK {
			err = errors.New(res.Status)
		}
		if s.add(err); res.Close {
			s.close()
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond): // connections are idle most of the time
		case <-quit.Done():
		}
	}
	return nil
}

// echoes are lines on one connection, of ten.
func echoes(dial dialer, _ context.Context, s *tally) error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	br := bufio.NewReader(c)
	for i := range 10 {
		said := fmt.Sprintf("line %d\n", i)
		if _, err := io.WriteString(c, said); err != nil {
			return err
		}
		heard, err := br.ReadString('\n')
		if err != nil {
			return err
		}
		if heard != said {
			err = fmt.Errorf("echo of %q: %q", said, heard)
		}
		s.add(err)
		time.Sleep(2 * time.Millisecond) // others want the processors too
	}
	return nil
}

// promised is a figure in full, or little of it.
func promised(full int) int {
	if os.Getenv("MOULT_PROMISES") == "full" {
		return full
	}
	return 2
}

// TestEverything: one Service with TLS, HTTP/2, h2c, mutual TLS, a Unix socket and protocols of its own, handed over again and again. No
// client fails, none repeats anything, sessions resume, strangers stay out, and a certificate is exchanged on the way.
func TestEverything(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a program, and uses the machine")
	}
	dir, exe := buildProgram(t, "testdata/everything")
	ca, stranger := newAuthority(t), newAuthority(t)
	serial := 100
	newPair := func() { serial++; ca.writePair(t, dir, "cert.pem", "key.pem", serial) }
	newPair()
	ca.write(t, dir, "clients.pem")
	l := startLine(t, dir, exe)
	st, err := l.status()
	if err != nil || len(st.Listen) != 6 {
		t.Fatalf("status %+v, %v", st, err)
	}
	web, clear, mutual, echo, secretEcho := st.Listen[0], st.Listen[1], st.Listen[3], st.Listen[4], st.Listen[5]

	trust := func(protos ...string) *tls.Config {
		return &tls.Config{RootCAs: ca.pool, ServerName: "localhost", NextProtos: protos}
	}
	known := trust("http/1.1")
	known.Certificates = []tls.Certificate{ca.client(t, "ann")}

	quit, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	counts := map[string]*tally{}
	load := func(name string, n int, run func(dialer, context.Context, *tally) error, dial dialer) {
		s := &tally{}
		counts[name] = s
		for range n {
			wg.Go(func() {
				for quit.Err() == nil {
					if err := run(dial, quit, s); err != nil {
						s.add(err)
					}
				}
			})
		}
	}
	load("https", 4, posts, securely(web, trust("http/1.1")))
	load("h2", 2, streams, securely(web, trust("h2")))
	load("h2c", 2, streams, plainly("tcp", clear))
	load("http", 4, posts, plainly("tcp", clear))
	load("unix", 2, posts, plainly("unix", filepath.Join(dir, "web.sock")))
	load("mutual", 2, posts, securely(mutual, known))
	load("echo", 2, echoes, plainly("tcp", echo))
	load("secret echo", 2, echoes, securely(secretEcho, trust()))

	sessions := map[string]*tls.Config{"https": trust("http/1.1"), "mutual": known.Clone(), "secret echo": trust()}
	for _, cfg := range sessions {
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	}
	once := func(name, addr string) tls.ConnectionState {
		t.Helper()
		c, err := tls.Dial("tcp", addr, sessions[name])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil { // the ticket comes with it
			t.Fatalf("%s: %v", name, err)
		}
		return c.ConnectionState()
	}
	ports := map[string]string{"https": web, "mutual": mutual, "secret echo": secretEcho}
	for name, addr := range ports {
		once(name, addr)
	}

	upgrades := promised(20)
	for i := range upgrades {
		newPair() // the pair does not fit together for a moment
		l.wait("the new certificate", func() bool { return serialOf(t, web, trust()) == serial && serialOf(t, secretEcho, trust()) == serial })
		if i%2 == 1 { // a successor reads it itself
			newPair()
		}
		l.restart()
		if got := serialOf(t, web, trust()); got != serial {
			t.Errorf("upgrade %d: certificate %d, want %d", i, got, serial)
		}
		for name, addr := range ports {
			if !once(name, addr).DidResume {
				t.Errorf("upgrade %d: %s: the session did not resume", i, name)
			}
		}
		for who, cfg := range map[string]*tls.Config{"nobody": trust(), "a stranger": {RootCAs: ca.pool, ServerName: "localhost", Certificates: []tls.Certificate{stranger.client(t, "eve")}}} {
			if err := posts(securely(mutual, cfg), quit, &tally{}); err == nil {
				t.Errorf("upgrade %d: %s was let in", i, who)
			}
		}
	}
	stop()
	wg.Wait()
	for name, s := range counts {
		t.Logf("%s: %d requests, %d failed, %d upgrades", name, s.n, len(s.errs), upgrades)
		if len(s.errs) > 0 || s.n < 20 {
			t.Errorf("%s: %d of %d failed, the first: %v", name, len(s.errs), s.n, errors.Join(s.errs[:min(3, len(s.errs))]...))
		}
		if s.told > 0 && (name == "http" || name == "unix") {
			t.Errorf("%s: %d connections were closed; they can move", name, s.told)
		}
	}
	text, _ := os.ReadFile(l.logs)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "DATA RACE") || strings.Contains(line, "level=ERROR") && !strings.Contains(line, "keep the certificate") {
			t.Errorf("logged: %s", line)
		}
	}
}
