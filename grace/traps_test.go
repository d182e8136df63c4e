//go:build unix

package grace_test

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestParkingIsSilent: net/http sees nothing of a gate that is parked and opened again: it neither logs an error of Accept nor waits
// after one.
func TestParkingIsSilent(t *testing.T) {
	t.Parallel()
	s := start(t, "full")
	s.behave("panic=50ms")
	s.waitUp()
	if v := s.upgrade(""); !strings.HasPrefix(v, "crashed|") {
		t.Fatalf("verdict %q", v)
	}
	s.behave("")
	if v := s.upgrade(""); v != "ok" {
		t.Fatalf("verdict %q", v)
	}
	s.waitEnd(20 * time.Second)
	if text := s.log(); strings.Contains(text, "Accept error") {
		t.Error("net/http has logged an error of Accept")
	}
}

// TestSilentConnectionsHoldNoStop: browsers open connections on suspicion. One that never spoke delays neither a stop nor the
// end of a predecessor.
func TestSilentConnectionsHoldNoStop(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_DRAIN=60s")
	s.waitUp()
	open := func() net.Conn {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	first := open()
	if v := s.upgrade(""); v != "ok" {
		t.Fatalf("verdict %q", v)
	}
	s.waitEnd(20 * time.Second) // a third of the drain deadline
	open()
	pid := s.pids()[0]
	s.signal(pid, syscall.SIGTERM)
	eventually(t, "the end", func() bool { return len(s.pids()) == 0 })
	first.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := first.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// TestRefusedUploads: an answer that a handler gives without reading the request arrives though the client still sends, also on the last answer
// of a connection: a close with bytes unread resets it, and what was on its way is lost. net/http closes its own half first and waits a moment: the
// client sees the end before the reset. It can do so because our wrapper still has CloseWrite.
func TestRefusedUploads(t *testing.T) {
	t.Parallel()
	s := start(t, "full")
	s.waitUp()
	quit, results := make(chan struct{}), make(chan error, 8)
	for range cap(results) {
		go func() {
			for {
				select {
				case <-quit:
					results <- nil
					return
				default:
					if err := refusedUpload(s.addr); err != nil {
						results <- err
						return
					}
				}
			}
		}()
	}
	for range 3 {
		if v := s.upgrade(""); v != "ok" {
			t.Fatalf("verdict %q", v)
		}
	}
	close(quit)
	for range cap(results) {
		if err := <-results; err != nil {
			t.Errorf("an upload got no answer: %v", err)
		}
	}
}

// refusedUpload sends more than net/http reads on behalf of a handler that does not, and reads the answer.
func refusedUpload(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	const size = 1 << 20
	fmt.Fprintf(conn, "POST /state HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", size)
	go conn.Write(make([]byte, size)) // ends with conn; fails when the server has heard enough
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return fmt.Errorf("after the answer: %v", err)
	}
	return nil
}

// TestWildcardsAreDifferent: a version that asks for the same port of another family does not get the socket of the first. Here it
// cannot have its own either, and the old version serves on.
func TestWildcardsAreDifferent(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	_, port, _ := net.SplitHostPort(addr)
	s := startPlan(t, t.TempDir(), nil, "open tcp4 0.0.0.0:"+port)
	s.addrs(1)
	for _, other := range []string{"tcp4 :" + port, "tcp 0.0.0.0:" + port, "tcp :" + port} {
		s.plan("open " + other)
		if v := s.askAt(addr, "/upgrade"); v == "ok" {
			t.Errorf("%s: verdict %q", other, v)
		}
	}
	if n := strings.Count(s.log(), "address already in use"); n < 3 {
		t.Errorf("the reason was told %d times", n)
	}
	if got := s.askAt(addr, "/generation"); got != "1" {
		t.Errorf("generation %s serves", got)
	}
}

// TestNeverCalled: some calls hurt wherever they stand.
func TestNeverCalled(t *testing.T) {
	never := map[string]string{
		"Shutdown":             "drops requests that were read, and may hang whatever its context says (Server.Shutdown)",
		"SetKeepAlivesEnabled": "closes idle connections at once",
		"Getppid":              "is another process when the parent has died",
	}
	allowed := map[string]bool{
		"lookUp Getppid":     true, // only asks for its name
		"awaitDeath Getppid": true, // waits until it is another one
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || never[sel.Sel.Name] == "" {
					return true
				}
				if seen++; !allowed[f.Name.Name+" "+sel.Sel.Name] {
					t.Errorf("%s: %s calls %s: it %s", name, f.Name.Name, sel.Sel.Name, never[sel.Sel.Name])
				}
				return true
			})
		}
	}
	if seen == 0 {
		t.Error("nothing was found, not even what is allowed")
	}
}
