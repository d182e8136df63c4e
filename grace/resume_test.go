//go:build unix

package grace_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
)

func init() {
	programs["tickets"] = func() { ticketsProgram(false) }
	programs["tickets-not-passed"] = func() { ticketsProgram(true) }
}

// ticketsProgram serves HTTPS. Its control lets crypto/tls make the ticket keys, as any other server does.
func ticketsProgram(control bool) {
	p, err := grace.New(grace.Options{
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Probation: 100 * time.Millisecond, DrainTimeout: 5 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", hello)
	mux.HandleFunc("/tomorrow", func(http.ResponseWriter, *http.Request) { grace.AgeTickets(p, 25*time.Hour) })
	ln, err := p.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		srv := &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
		if !control {
			log.Fatal(p.ServeTLS(srv, ln, "cert.pem", "key.pem"))
		}
		cert, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
		if err != nil {
			log.Fatal(err)
		}
		srv.Serve(tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}}))
	}()
	if err := p.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	p.Wait(context.Background())
}

// TestPromiseG13: TLS sessions resume after an upgrade, over four generations with a new key in the middle; the control, whose
// keys are not passed, resumes none.
func TestPromiseG13(t *testing.T) {
	const generations = 4
	for _, c := range []struct {
		program string
		share   int // percent that resumes
	}{{"tickets", 100}, {"tickets-not-passed", 0}} {
		t.Run(c.program, func(t *testing.T) {
			s := startTLS(t, c.program)
			clients := make([]tls.ClientSessionCache, 2*promised(200)) // one half speaks TLS 1.2, the other one 1.3
			for i := range clients {
				clients[i] = tls.NewLRUClientSessionCache(1)
			}
			for g := 1; g <= generations; g++ {
				resumed := 0
				for i, cache := range clients {
					if resumes(t, s.addr, "/hello", cache, tls.VersionTLS12+uint16(i%2)) {
						resumed++
					}
				}
				t.Logf("generation %d: %d of %d resumed", g, resumed, len(clients))
				switch {
				case g == 1 && resumed != 0:
					t.Errorf("%d sessions resumed that had never begun", resumed)
				case g > 1 && 100*resumed != c.share*len(clients):
					t.Errorf("generation %d: %d of %d resumed, want %d %%", g, resumed, len(clients), c.share)
				}
				if g == generations/2 && c.share > 0 {
					resumes(t, s.addr, "/tomorrow", tls.NewLRUClientSessionCache(1), tls.VersionTLS13)
					s.waitLog("new session ticket key")
				}
				if g < generations {
					s.signal(s.pids()[0], syscall.SIGHUP)
					eventually(t, "the next generation alone", func() bool {
						return strings.Count(s.log(), "msg=drained") == g && len(s.pids()) == 1
					})
				}
			}
			if n := strings.Count(s.log(), "new session ticket key"); c.share > 0 && n != 1 {
				t.Errorf("%d new keys in the middle, want 1", n)
			}
		})
	}
}

// resumes makes one request on a connection of its own, and reports whether its TLS session had begun on another one.
func resumes(t *testing.T, addr, path string, cache tls.ClientSessionCache, version uint16) bool {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost",
		ClientSessionCache: cache, MinVersion: version, MaxVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path)
	if b, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200") {
		t.Fatalf("%q, %v", b, err)
	}
	return conn.ConnectionState().DidResume
}

// TestSecretsStaySecret: the keys are in nobody's environment, arguments or log.
func TestSecretsStaySecret(t *testing.T) {
	s := startTLS(t, "tickets")
	s.signal(s.pids()[0], syscall.SIGHUP)
	eventually(t, "generation 2 alone", func() bool { return strings.Contains(s.log(), "msg=drained") && len(s.pids()) == 1 })
	pid := s.pids()[0]
	for _, name := range []string{"environ", "cmdline"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			t.Skip("procfs: ", err)
		}
		if strings.Contains(string(b), "key=") || strings.Contains(string(b), "SECRETS") {
			t.Errorf("%s of the successor: %q", name, b)
		}
	}
	if text := s.log(); strings.Contains(text, "key=") || strings.Contains(text, "SECRETS") {
		t.Errorf("log: %s", text)
	}
}
