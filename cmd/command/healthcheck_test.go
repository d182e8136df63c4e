package command

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/server"
	"github.com/moult-go/moult/server/admin"
)

// TestHealthcheck: it ends in time, says the server's reasons, and needs to write nothing.
func TestHealthcheck(t *testing.T) {
	state := stateDir(t)
	dir := filepath.Join(admin.Homes(state)[0], "abc")
	if err := admin.MakePrivate(dir); err != nil {
		t.Fatal(err)
	}
	in := admin.Instance{ID: "abc", App: "hello", Admin: filepath.Join(dir, "admin.sock")}
	ln, err := net.Listen("unix", in.Admin)
	if err != nil {
		t.Fatal(err)
	}
	answer, hang := "", make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/readyz", func(w http.ResponseWriter, r *http.Request) {
		switch answer {
		case "hang":
			<-hang
		case "ill":
			w.WriteHeader(http.StatusServiceUnavailable)
			w.Write([]byte("[+]serving ok\n[-]health failed: the cache is corrupt\x1b[2J\nnot ok\n"))
		}
	})
	srv := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { srv.Serve(ln); close(done) }()
	t.Cleanup(func() { close(hang); srv.Close(); <-done })
	if err := in.Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	for _, tt := range []struct {
		answer string
		code   int
		says   string
	}{
		{"well", 0, "ok\n"}, {"ill", 1, "health failed: the cache is corrupt"}, {"hang", 1, "deadline"},
	} {
		answer = tt.answer
		began := time.Now()
		out, _, err := execute(server.Service{}, "healthcheck", "--timeout", "300ms", "--state-dir", state)
		if err != nil {
			out = err.Error()
		}
		if ExitCode(err) != tt.code || !strings.Contains(out, tt.says) {
			t.Errorf("%s: %d %q", tt.answer, ExitCode(err), out)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it took %s", tt.answer, took)
		}
	}
}

func TestReadyURL(t *testing.T) {
	for _, tt := range []struct {
		listen []string
		tls    bool
		want   string
	}{
		{[]string{"localhost:8080"}, false, "http://localhost:8080/readyz"},
		{[]string{"unix:/run/x", ":8080"}, false, "http://127.0.0.1:8080/readyz"},
		{[]string{"0.0.0.0:80"}, false, "http://127.0.0.1:80/readyz"},
		{[]string{"[::]:80"}, false, "http://[::1]:80/readyz"},
		{[]string{":443", "http://:80"}, true, "http://127.0.0.1:80/readyz"},
		{[]string{":443"}, true, ""},
		{[]string{"unix:/run/x"}, false, ""},
	} {
		if got := readyURL(tt.listen, tt.tls); got != tt.want {
			t.Errorf("%v, TLS %v: %q, want %q", tt.listen, tt.tls, got, tt.want)
		}
	}
}
