//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/server/admin"
)

// line is a real server and all its generations, updated from a watched path.
type line struct {
	t    *testing.T
	dir  string
	exe  string
	addr string
	log  *os.File

	public, private string // minisign
}

// build compiles this package as a version, with build tags that make it fail.
func build(t *testing.T, dir, version, tags string) string {
	t.Helper()
	out := filepath.Join(dir, "app-"+version)
	cmd := exec.Command("go", "build", "-tags", tags, "-ldflags", "-s -w -X main.version="+version, "-o", out, ".")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", version, err, b)
	}
	return out
}

func newLine(t *testing.T) *line {
	t.Helper()
	// A short path, as a Unix socket in it needs.
	dir, err := os.MkdirTemp("", "ln")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &line{t: t, dir: dir, exe: filepath.Join(dir, "bin", "app")}
	for _, d := range []string{"bin", "drop", "www"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l.write("www/index.html", []byte("home\n"))
	if l.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(l.log.Name())
			t.Logf("log:\n%s", b)
		}
		l.log.Close()
	})
	return l
}

// keys makes those that sign what is dropped: it takes seconds, as the password is to be hard to guess.
func (l *line) keys() {
	l.t.Helper()
	var err error
	if l.public, l.private, err = release.GenerateMinisign("x"); err != nil {
		l.t.Fatal(err)
	}
	l.write("key.pub", []byte(l.public))
}

func (l *line) write(name string, b []byte) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), b, 0o755); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) install(file string) {
	l.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	l.write("bin/app", b)
}

// drop offers file as version, signed or not.
func (l *line) drop(file, version string, signed bool) {
	l.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	os.Remove(filepath.Join(l.dir, "drop/app.minisig"))
	l.write("drop/app", b)
	if !signed {
		return
	}
	digest, _, err := release.DigestFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	sig, err := release.SignMinisign(l.private, "x", bytes.NewReader(b), release.TrustedComment{
		App: name, Version: release.MustParseVersion(version), Platform: release.Host(), SHA256: digest})
	if err != nil {
		l.t.Fatal(err)
	}
	l.write("drop/app.minisig", sig)
}

func (l *line) source() []string {
	return []string{"--watch", filepath.Join(l.dir, "drop/app"), "--minisign-key", filepath.Join(l.dir, "key.pub")}
}

// freeAddress is one where nobody listens.
func freeAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// serve starts generation 1 and waits until it can be asked.
func (l *line) serve(args ...string) {
	l.t.Helper()
	l.addr = freeAddress(l.t)
	cmd := exec.Command(l.exe, append([]string{"serve", "--listen", l.addr, "--dir", filepath.Join(l.dir, "www")}, args...)...)
	cmd.Stdout, cmd.Stderr = l.log, l.log
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
	})
	l.wait("a server", func() bool { st, err := l.status(); return err == nil && st.State == "serving" })
}

// run runs a command of the installed executable and returns what it prints and its exit code.
func (l *line) run(args ...string) (out, errs string, code int) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.exe, args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		l.t.Fatalf("%v: %v", args, err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// want runs a command that has to end with code, and to say text somewhere.
func (l *line) want(code int, text string, args ...string) string {
	l.t.Helper()
	out, errs, got := l.run(args...)
	if got != code || !strings.Contains(out+errs, text) {
		l.t.Fatalf("app %s: exit code %d, want %d and %q\n%s%s", strings.Join(args, " "), got, code, text, out, errs)
	}
	return out
}

func (l *line) status() (st admin.Status, err error) {
	out, errs, code := l.run("status", "--json")
	if code != 0 {
		return st, errors.New(errs)
	}
	return st, json.Unmarshal([]byte(out), &st)
}

func (l *line) serving(generation int, version string) {
	l.t.Helper()
	l.wait(fmt.Sprintf("generation %d, version %s", generation, version), func() bool {
		st, err := l.status()
		return err == nil && st.Generation == generation && st.Version == version && st.State == "serving" && st.Updates.Reason == "only when asked"
	})
}

func (l *line) wait(what string, is func() bool) {
	l.t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); {
		if time.Now().After(end) {
			l.t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(20 * time.Millisecond) // between two looks
	}
}

// load sends POSTs, which net/http never repeats, on kept connections until stop, which returns how many
// were answered and which errors there were.
func (l *line) load() (stop func() (int64, []error)) {
	ctx, cancel := context.WithCancel(context.Background())
	var n atomic.Int64
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			for ctx.Err() == nil {
				res, err := c.Post("http://"+l.addr+"/debug/sleep?ms=5", "text/plain", strings.NewReader("x"))
				if err == nil {
					res.Body.Close()
					if res.StatusCode != 200 {
						err = errors.New(res.Status)
					}
				}
				if err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
				n.Add(1)
			}
		})
	}
	return func() (int64, []error) { cancel(); wg.Wait(); return n.Load(), errs }
}

// The life of a server, with every exit code that a real one can give: restart, good and bad upgrades,
// rollback, stop, and an upgrade with nobody running.
func TestLine(t *testing.T) {
	if testing.Short() {
		t.Skip("builds four versions")
	}
	l := newLine(t)
	l.keys()
	v1, v2 := build(t, l.dir, "1.0.0", ""), build(t, l.dir, "1.1.0", "")
	crashy, exits := build(t, l.dir, "1.2.0", "crashy"), build(t, l.dir, "1.3.0", "exits")
	l.install(v1)
	l.want(1, "app serve", "status")
	l.serve(append(l.source(), "--debug-sleep", "--interval", "-1s", "--probation", "3s", "--hup-probation", "500ms",
		"--health-interval", "100ms", "--drain-timeout", "10s")...)
	stop := l.load()

	st, err := l.status()
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(st.PID, syscall.SIGHUP)
	l.serving(2, "1.0.0")

	l.want(0, "nothing is offered", "check")
	l.drop(v2, "1.1.0", false)
	l.want(75, "still be changing", "upgrade", "--yes")
	l.drop(v2, "1.1.0", true)
	l.want(100, "1.1.0 is available", "check")
	l.want(100, `"available": true`, "upgrade", "--check", "--json")
	l.want(2, "needs --yes, no terminal", "upgrade")
	l.want(2, "no server", "upgrade", "--yes", "--instance", "nobody")

	done := make(chan string, 1)
	go func() { out, errs, code := l.run("upgrade", "--yes", "--json"); done <- fmt.Sprint(code, out, errs) }()
	l.wait("standby", func() bool { st, err := l.status(); return err == nil && st.State == "standby" })
	l.want(6, "standby", "upgrade", "--yes")
	if said := <-done; !strings.HasPrefix(said, "0") || !strings.Contains(said, `"to": "1.1.0"`) || !strings.Contains(said, "probation") {
		t.Fatalf("upgrade said: %s", said)
	}
	l.serving(3, "1.1.0")
	l.want(0, "1.1.0 is current", "upgrade", "--yes")
	l.want(0, "app 1.1.0", "version")
	if n, errs := stop(); len(errs) > 0 || n < 100 {
		t.Errorf("%d of %d requests failed, the first: %v", len(errs), n, errs)
	}

	l.drop(crashy, "1.2.0", true)
	l.want(7, "1.1.0 is serving", "upgrade", "--yes")
	l.want(3, "quarantine", "check")
	l.drop(exits, "1.3.0", true)
	l.want(1, "1.1.0 is serving", "upgrade", "--yes")
	l.serving(3, "1.1.0")

	l.want(0, "1.1.0 → 1.0.0, and serving", "rollback", "--yes")
	if st, err = l.status(); err != nil || st.Version != "1.0.0" {
		t.Fatalf("after the rollback: %+v, %v", st, err)
	}
	syscall.Kill(st.PID, syscall.SIGTERM)
	l.wait("the end", func() bool { _, err := l.status(); return err != nil })
	instances := filepath.Join(l.dir, "bin/.app.d/instances")
	l.wait("a tidy state directory", func() bool { e, err := os.ReadDir(instances); return err == nil && len(e) == 0 })

	l.drop(v2, "1.1.0", true)
	l.want(3, "quarantine", append(l.source(), "upgrade", "--yes")...)
	l.want(0, "nothing was restarted", append(l.source(), "upgrade", "--yes", "--force")...)
	l.want(0, "app 1.1.0", "version")
}
