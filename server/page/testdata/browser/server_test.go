// Package browser tests the status page of a real server in a real browser.
package browser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/server/admin"
)

const (
	root  = "../../../.."
	token = "a token that is typed once"
)

// line is cmd/app in all its generations, updated from a watched path.
type line struct {
	t               *testing.T
	dir             string
	public, ops     string // addresses
	key, privateKey string
}

func build(t *testing.T, out, version, tags string) string {
	t.Helper()
	cmd := exec.Command("go", "build", "-C", root, "-tags", tags, "-ldflags", "-s -w -X main.version="+version, "-o", out, "./cmd/app")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", version, err, b)
	}
	return out
}

func newLine(t *testing.T) *line {
	t.Helper()
	dir, err := os.MkdirTemp("", "br") // short, as the path of a Unix socket must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &line{t: t, dir: dir, public: free(t), ops: free(t)}
	if l.key, l.privateKey, err = release.GenerateMinisign("x"); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"bin", "drop", "www"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l.write("key.pub", []byte(l.key))
	l.write("token", []byte(token))
	l.write("www/index.html", []byte("home\n"))
	l.write("app.toml", []byte("hup-probation = \"1500ms\"\nhealth-interval = \"100ms\"\n"))
	return l
}

func free(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (l *line) write(name string, b []byte) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), b, 0o700); err != nil {
		l.t.Fatal(err)
	}
}

// serve starts generation 1. What it says goes to a file, which is shown if the test fails.
func (l *line) serve(exe string) {
	l.t.Helper()
	b, err := os.ReadFile(exe)
	if err != nil {
		l.t.Fatal(err)
	}
	l.write("bin/app", b)
	log, err := os.Create(filepath.Join(l.dir, "log"))
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(l.dir, "bin/app"), "serve", "--config", filepath.Join(l.dir, "app.toml"), "--listen", l.public, "--ops-listen", l.ops, "--status-path", "/status/", "--dir", filepath.Join(l.dir, "www"),
		"--ops-token-file", filepath.Join(l.dir, "token"), "--allowed-host", "ops.test", "--watch", filepath.Join(l.dir, "drop/app"), "--minisign-key", filepath.Join(l.dir, "key.pub"),
		"--interval", "-1s", "--probation", "4s", "--drain-timeout", "20s")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	first := make(chan struct{})
	go func() { cmd.Wait(); close(first) }()
	l.t.Cleanup(func() {
		if st, err := l.status(); err == nil {
			syscall.Kill(st.PID, syscall.SIGKILL)
		}
		cmd.Process.Kill()
		<-first
		log.Close()
		if l.t.Failed() {
			b, _ := os.ReadFile(log.Name())
			l.t.Logf("log:\n%s", b)
		}
	})
	l.wait("a server", func() bool { st, err := l.status(); return err == nil && st.State == "serving" })
}

func (l *line) status() (st admin.Status, err error) {
	out, err := exec.Command(filepath.Join(l.dir, "bin/app"), "status", "--json").Output()
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(out, &st)
}

// hangup sends HUP to whoever serves.
func (l *line) hangup() {
	l.t.Helper()
	st, err := l.status()
	if err != nil {
		l.t.Fatal(err)
	}
	syscall.Kill(st.PID, syscall.SIGHUP)
}

// drop offers a signed build as version.
func (l *line) drop(file, version string) {
	l.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	digest, _, err := release.DigestFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	sig, err := release.SignMinisign(l.privateKey, "x", bytes.NewReader(b), release.TrustedComment{
		App: "app", Version: release.MustParseVersion(version), Platform: release.Host(), SHA256: digest})
	if err != nil {
		l.t.Fatal(err)
	}
	l.write("drop/app", b)
	l.write("drop/app.minisig", sig)
}

func (l *line) wait(what string, is func() bool) {
	l.t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) { // between two looks
		if time.Now().After(end) {
			l.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// hold opens a connection to the public address and keeps it busy: a request that is never finished.
func (l *line) hold() {
	l.t.Helper()
	c, err := net.Dial("tcp", l.public)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n%s", strings.Repeat("x", 3))
}
