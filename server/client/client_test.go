package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/updater"
)

func socket(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func serve(t testing.TB, path string, h http.HandlerFunc) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { srv.Serve(ln); close(done) }()
	t.Cleanup(func() { srv.Close(); <-done })
}

func lines(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

func TestUpgrade(t *testing.T) {
	const event = `{"event":{"phase":"fetch","version":"1.1.0"}}` + "\n"
	for _, tt := range []struct {
		name, answer string
		to           string
		class        updater.Class
		cut          bool
	}{
		{"ok", event + `{"result":{"changed":true,"to":"1.1.0"}}`, "1.1.0", "", false},
		{"failure", event + `{"error":{"class":"undone","message":"crashed"}}`, "", updater.Undone, false},
		{"cut", event, "", "", true},
		{"half a line", event + `{"result":{"chan`, "", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := socket(t)
			serve(t, path, lines(tt.answer))
			events := 0
			out, err := client.New(path).Upgrade(context.Background(), admin.Request{}, func(updater.Event) { events++ })
			var failure *admin.Failure
			var cut *client.CutError
			if out.To != tt.to || events != 1 {
				t.Errorf("outcome %+v after %d events", out, events)
			}
			if (tt.class != "") != errors.As(err, &failure) || failure != nil && failure.Class != tt.class {
				t.Errorf("error %v, want class %q", err, tt.class)
			}
			if errors.As(err, &cut) != tt.cut {
				t.Errorf("error %v, want cut: %v", err, tt.cut)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	path := socket(t)
	serve(t, path, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/status" {
			http.Error(w, "not JSON", 500)
			return
		}
		w.WriteHeader(409)
		fmt.Fprint(w, `{"error":{"class":"busy","message":"busy","phase":"fetch"}}`)
	})
	c := client.New(path)
	_, err := c.Rollback(context.Background(), admin.Request{}, nil)
	if !errors.Is(err, updater.ErrBusy) {
		t.Errorf("refused rollback: %v, want busy", err)
	}
	if _, err := c.Check(context.Background(), admin.Request{}); !errors.Is(err, updater.ErrBusy) {
		t.Errorf("refused check: %v, want busy", err)
	}
	if _, err := c.Status(context.Background()); err == nil {
		t.Error("an answer that is not JSON was taken for a status")
	}
}

// What is asked and what is answered, of everything that is one document.
func TestDocuments(t *testing.T) {
	path := socket(t)
	var asked string
	answer := ""
	serve(t, path, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked = strings.TrimSpace(r.Method + " " + r.URL.Path + " " + string(b))
		fmt.Fprint(w, answer)
	})
	c, ctx := client.New(path), context.Background()
	for _, tt := range []struct {
		asks, answer string
		call         func() (good bool, err error)
	}{
		{`POST /v1/hold {"reason":"the fair"}`, `{"hold":{"by":"ann"}}`, func() (bool, error) {
			h, err := c.Hold(ctx, updater.Hold{Reason: "the fair"})
			return h.Hold != nil && h.Hold.By == "ann", err
		}},
		{`POST /v1/unhold`, `{}`, func() (bool, error) { h, err := c.Unhold(ctx); return h.Hold == nil, err }},
		{`GET /v1/quarantine`, `{"quarantine":[{"version":"1.1.0"}]}`, func() (bool, error) {
			q, err := c.Quarantine(ctx)
			return len(q.Quarantine) == 1 && q.Quarantine[0].Version == "1.1.0", err
		}},
		{`POST /v1/quarantine/clear {"which":"1.1.0"}`, `{"quarantine":[{"version":"1.1.0"}]}`, func() (bool, error) {
			q, err := c.Unquarantine(ctx, admin.Clear{Which: "1.1.0"})
			return len(q.Quarantine) == 1, err
		}},
		{`GET /v1/history`, `{"attempts":[{"id":"u-1"}]}`, func() (bool, error) {
			h, err := c.History(ctx)
			return len(h.Attempts) == 1 && h.Attempts[0].ID == "u-1", err
		}},
	} {
		answer = tt.answer
		if good, err := tt.call(); !good || err != nil || asked != tt.asks {
			t.Errorf("asked %q, want %q; answer understood: %v, %v", asked, tt.asks, good, err)
		}
	}
}

// The server is not there yet, as in a restart.
func TestGap(t *testing.T) {
	path := socket(t)
	dialed := make(chan struct{})
	go func() {
		<-dialed
		serve(t, path, lines(`{"schema":1,"app":"hello"}`))
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	time.AfterFunc(100*time.Millisecond, func() { close(dialed) })
	st, err := client.New(path).Status(ctx)
	if err != nil || st.App != "hello" {
		t.Errorf("%+v, %v", st, err)
	}
}

// A POST that may have been read is never sent again.
func TestNeverTwice(t *testing.T) {
	path := socket(t)
	var got atomic.Int32
	serve(t, path, func(w http.ResponseWriter, _ *http.Request) {
		got.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
	})
	_, err := client.New(path).Upgrade(context.Background(), admin.Request{}, nil)
	var cut *client.CutError
	if !errors.As(err, &cut) || got.Load() != 1 {
		t.Errorf("sent %d times, %v; want once, and a CutError", got.Load(), err)
	}
}

// A server that is asked for its status.
func Example() {
	dir, err := os.MkdirTemp("", "ex")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "admin.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &http.Server{Handler: lines(`{"schema":1,"app":"hello","version":"1.4.0","state":"serving"}`)}
	go srv.Serve(ln)
	defer srv.Close()

	st, err := client.New(path).Status(context.Background())
	fmt.Println(st.App, st.Version, st.State, err)
	// Output: hello 1.4.0 serving <nil>
}
