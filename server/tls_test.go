package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-go/moult/server"
)

// logBuffer keeps what is logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.buf.String(), text)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) { // between two looks
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestReload: what fits is taken, what does not is not, and every reason is told once.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	ca, other := newAuthority(t), newAuthority(t)
	ca.writePair(t, dir, "cert.pem", "key.pem", 1)
	ca.write(t, dir, "clients.pem")
	in := func(name string) string { return filepath.Join(dir, name) }
	var logged logBuffer
	s := server.OpenTLS(t, server.TLS{Cert: in("cert.pem"), Key: in("key.pem"), ClientCA: in("clients.pem")}, slog.New(slog.NewTextHandler(&logged, nil)))
	now := time.Now()
	look := func() int { // at the files, as a handshake does a second later
		t.Helper()
		now = now.Add(2 * time.Second)
		return int(s.At(now).Certificates[0].Leaf.SerialNumber.Int64())
	}
	kept := func() int { return logged.count("keep the certificate") }

	if got := look(); got != 1 || kept() != 0 {
		t.Fatalf("serial %d, %d complaints", got, kept())
	}
	next := ca.sign(t, "localhost", 2, time.Now().Add(time.Hour))
	writePEM(t, in("cert.pem"), "CERTIFICATE", next.Certificate[0])
	for range 3 {
		if got := look(); got != 1 {
			t.Errorf("half of a pair was taken: serial %d", got)
		}
	}
	if kept() != 1 {
		t.Errorf("%d complaints about half of a pair, want 1", kept())
	}
	writeCertificate(t, dir, "cert.pem", "key.pem", next)
	if got := look(); got != 2 {
		t.Errorf("serial %d, want 2", got)
	}

	for i, bad := range []struct {
		name string
		do   func()
	}{
		{"gone", func() { os.Remove(in("key.pem")) }},
		{"empty", func() { os.WriteFile(in("key.pem"), nil, 0o600) }},
		{"expired", func() {
			writeCertificate(t, dir, "cert.pem", "key.pem", ca.sign(t, "localhost", 3, time.Now().Add(-time.Hour)))
		}},
		{"no authority", func() {
			writeCertificate(t, dir, "cert.pem", "key.pem", next)
			os.WriteFile(in("clients.pem"), []byte("nothing"), 0o600)
		}},
	} {
		bad.do()
		for range 2 {
			if got := look(); got != 2 {
				t.Errorf("%s: serial %d, want 2", bad.name, got)
			}
		}
		if kept() != 2+i {
			t.Errorf("%s: %d complaints, want %d", bad.name, kept(), 2+i)
		}
	}
	other.write(t, dir, "clients.pem")
	if look(); !s.At(now).ClientCAs.Equal(other.pool) {
		t.Error("the new authorities were not taken")
	}
	if text := fmt.Sprint(s); strings.Contains(text, "PRIVATE") {
		t.Error("a key can be printed")
	}
}

// service runs s until the test ends, and returns its addresses.
func service(t *testing.T, s server.Service) []string {
	t.Helper()
	return server.StartFake(t, s)
}

// TestClientsOfOldAuthorities: who was let in by an authority that is there no more does not get in again by a session.
func TestClientsOfOldAuthorities(t *testing.T) {
	dir := t.TempDir()
	ca, other := newAuthority(t), newAuthority(t)
	ca.writePair(t, dir, "cert.pem", "key.pem", 1)
	ca.write(t, dir, "clients.pem")
	in := func(name string) string { return filepath.Join(dir, name) }
	addr := service(t, server.Service{
		TLS: server.TLS{Cert: in("cert.pem"), Key: in("key.pem"), ClientCA: in("clients.pem")},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName, " ", r.TLS.DidResume, " ", r.Proto)
		}),
	})[0]
	get := func(cfg *tls.Config) (string, error) {
		c := http.Client{Transport: &http.Transport{TLSClientConfig: cfg.Clone(), DisableKeepAlives: true, ForceAttemptHTTP2: true}, Timeout: 20 * time.Second}
		res, err := c.Get("https://" + addr)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return string(text), err
	}
	cfg := &tls.Config{RootCAs: ca.pool, ServerName: "localhost", Certificates: []tls.Certificate{ca.client(t, "ann")}, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	for i, want := range []string{"ann false HTTP/2.0", "ann true HTTP/2.0"} {
		if text, err := get(cfg); err != nil || text != want {
			t.Fatalf("request %d: %q, %v; want %q", i, text, err, want)
		}
	}
	other.write(t, dir, "clients.pem")
	eventually(t, "ann to be shut out", func() bool { _, err := get(cfg); return err != nil })
	bob := &tls.Config{RootCAs: ca.pool, ServerName: "localhost", Certificates: []tls.Certificate{other.client(t, "bob")}}
	if text, err := get(bob); err != nil || !strings.HasPrefix(text, "bob") {
		t.Errorf("bob: %q, %v", text, err)
	}
}

// TestCertificateOfTheProgram: it may be in Config instead of files, as from an ACME client.
func TestCertificateOfTheProgram(t *testing.T) {
	ca := newAuthority(t)
	pair := ca.sign(t, "localhost", 7, time.Now().Add(time.Hour))
	addrs := service(t, server.Service{
		Listen:  []string{"127.0.0.1:0", "http://127.0.0.1:0"},
		TLS:     server.TLS{Config: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }}},
		Handler: http.NotFoundHandler(),
	})
	if got := serialOf(t, addrs[0], &tls.Config{RootCAs: ca.pool, ServerName: "localhost"}); got != 7 {
		t.Errorf("serial %d, want 7", got)
	}
	if res, err := http.Get("http://" + addrs[1]); err != nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("without TLS: %v, %v", res, err)
	} else {
		res.Body.Close()
	}
}

// TestNoCertificate: a service that cannot speak TLS as it is told to does not serve at all, and can say so before.
func TestNoCertificate(t *testing.T) {
	dir := t.TempDir()
	s := server.Service{
		TLS:     server.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")},
		Handler: http.NotFoundHandler(),
	}
	for what, err := range map[string]error{"run": server.RunFake(t, s), "validate": s.Validate()} {
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "cert.pem") {
			t.Errorf("%s: %v, want that cert.pem is not there", what, err)
		}
	}
	newAuthority(t).writePair(t, dir, "cert.pem", "key.pem", 1)
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
}

// TestLoopThatReturns: nobody accepts any more, which is no way to serve on.
func TestLoopThatReturns(t *testing.T) {
	broken := errors.New("broken")
	for _, want := range []error{nil, broken} {
		err := server.RunFake(t, server.Service{Listeners: []server.Listener{{
			Address: "127.0.0.1:0",
			Serve:   func(context.Context, net.Listener) error { return want },
		}}})
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("a loop returned %v: %v", want, err)
		}
	}
}
