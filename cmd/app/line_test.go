//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/server/admin"
)

// line is a real server and all its generations.
type line struct {
	t    *testing.T
	dir  string
	exe  string
	addr string
	log  *os.File
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

func (l *line) status() (st admin.Status, err error) {
	out, errs, code := l.run("status", "--json")
	if code != 0 {
		return st, errors.New(errs)
	}
	return st, json.Unmarshal([]byte(out), &st)
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
