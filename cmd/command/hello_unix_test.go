//go:build unix

package command_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/server/admin"
)

// TestHello: a program that embeds all this is under 20 lines, and has it all: it serves, with TLS, is asked how it is, restarts under a client
// that repeats nothing, and stops.
func TestHello(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("testdata/hello/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(source, []byte("\n")); n >= 20 {
		t.Errorf("%d lines, want fewer than 20", n)
	}
	dir, err := os.MkdirTemp("", "hi") // short, as the path of a Unix socket must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	exe := filepath.Join(dir, "hello")
	if out, err := exec.Command("go", "build", "-ldflags", "-X main.version=1.0.0", "-o", exe, "./testdata/hello").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	client := certificate(t, dir)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(exe, "serve", "--listen", "127.0.0.1:0", "--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"),
		"--hup-probation", "1s")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make(chan struct{})
	go func() { cmd.Wait(); close(first) }()
	status := func() (st admin.Status) {
		out, _ := exec.Command(exe, "status", "--json").Output()
		json.Unmarshal(out, &st)
		return st
	}
	t.Cleanup(func() {
		if pid := status().PID; pid != 0 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		cmd.Process.Kill()
		<-first
		if b, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("log:\n%s", b)
		}
	})
	wait := func(what string, is func(admin.Status) bool) admin.Status {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) { // between two looks
			if st := status(); is(st) {
				return st
			}
			if time.Now().After(end) {
				t.Fatalf("waited in vain for %s", what)
			}
		}
	}
	st := wait("the server", func(st admin.Status) bool { return st.State == "serving" })
	say := func(path string) string {
		t.Helper()
		res, err := client.Post("https://"+st.Listen[0]+path, "text/plain", io.NopCloser(strings.NewReader("x")))
		if err != nil {
			t.Fatal(err)
		}
		if res.ProtoMajor != 2 {
			t.Errorf("%s, want HTTP/2", res.Proto)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return string(text)
	}
	if got := say("/"); got != "hello from 1.0.0\n" {
		t.Errorf("it says %q", got)
	}
	syscall.Kill(st.PID, syscall.SIGHUP)
	st = wait("the successor", func(st admin.Status) bool {
		say("/")
		return st.Generation == 2 && st.State == "serving"
	})
	syscall.Kill(st.PID, syscall.SIGTERM)
	wait("the end", func(st admin.Status) bool { return st.PID == 0 })
}

// certificate writes cert.pem and key.pem, and returns a client that trusts them.
func certificate(t *testing.T, dir string) *http.Client {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	pair := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := s.Client()
	c.Timeout = 20 * time.Second
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	return c
}
