package admin_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moult-go/moult/server/admin"
)

// guarded is a server on a Unix socket, and a client of it.
func guarded(t *testing.T, log io.Writer) (*http.Client, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "gu") // short, as the path of a Unix socket must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(admin.Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), "hello", slog.New(slog.NewTextHandler(log, nil))))
	srv.Listener.Close()
	srv.Listener = ln
	srv.Config.ConnContext = admin.ConnContext
	srv.Start()
	t.Cleanup(srv.Close)
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}, path
}

// TestMain is also the other user of TestGuardOtherUser.
func TestMain(m *testing.M) {
	if path := os.Getenv("MOULT_TEST_STRANGER"); path != "" {
		conn, err := net.Dial("unix", path)
		if err == nil {
			_, err = io.WriteString(conn, "POST /v1/upgrade HTTP/1.0\r\n\r\n")
		}
		if err == nil {
			_, err = io.Copy(os.Stdout, conn)
		}
		if err != nil {
			os.Stdout.WriteString(err.Error())
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A socket that somebody has made reachable for all still answers only its owner and root.
func TestGuardOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	var log strings.Builder
	_, path := guarded(t, &log)
	for file, mode := range map[string]os.FileMode{path: 0o777, filepath.Dir(path): 0o755} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	copied := filepath.Join(filepath.Dir(path), "stranger")
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, exe, 0o755); err != nil {
		t.Fatal(err)
	}
	stranger := exec.Command(copied)
	stranger.Dir = "/"
	stranger.Env = []string{"MOULT_TEST_STRANGER=" + path}
	stranger.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := stranger.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), "403 Forbidden") || !strings.Contains(string(out), "user 65534 may not ask a server of user 0") {
		t.Errorf("a stranger was told %q", out)
	}
	if !strings.Contains(log.String(), "refused on the admin socket") {
		t.Errorf("the log says %q", log.String())
	}
}

// What changes something is in the log, with who asked for it.
func TestGuardLogs(t *testing.T) {
	var log bytes.Buffer
	c, _ := guarded(t, &log)
	for _, method := range []string{"GET", "POST"} {
		req, err := http.NewRequest(method, "http://admin/v1/unhold", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != 200 {
			t.Fatalf("%s: %s", method, res.Status)
		}
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "method=POST path=/v1/unhold by=") ||
		!strings.Contains(got, " pid="+strconv.Itoa(os.Getpid())) {
		t.Errorf("the log says %q", got)
	}
}
