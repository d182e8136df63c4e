package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moult-go/moult/grace"
)

func TestHealthPaths(t *testing.T) {
	var ill atomic.Bool
	check := func(context.Context) error {
		if ill.Load() {
			return errors.New("secret reason")
		}
		return nil
	}
	b := newBench(t, Service{Checks: map[string]func(context.Context) error{"database": check, "cache": func(context.Context) error { return nil }}})
	for i, q := range b.r.questions {
		if q.name == "database" {
			b.r.questions[i].ask = check // whose answers do not last
		}
	}
	h := b.r.withHealth(b.r.s.Handler)
	for _, tt := range []struct {
		method, path string
		state        grace.State
		ill          bool
		code         int
		contains     string
	}{
		{"GET", "/livez", grace.Serving, false, 200, "ok\n"},
		{"GET", "/readyz", grace.Serving, false, 200, "ok\n"},
		{"HEAD", "/readyz", grace.Probation, false, 200, ""},
		{"GET", "/readyz?verbose", grace.Standby, false, 200, "[+]serving ok\n[+]votes ok\n[+]health ok\n[+]cache ok\n[+]database ok\nok\n"},
		{"GET", "/livez", grace.Draining, false, 200, "ok"},
		{"GET", "/readyz?verbose", grace.Draining, false, 503, "[-]serving failed: reason withheld\n[+]votes ok\n[+]health ok\n"},
		{"GET", "/livez", grace.Serving, true, 200, "ok"},
		{"GET", "/readyz?verbose", grace.Serving, true, 503, "[-]database failed: reason withheld\nnot ok\n"},
		{"GET", "/readyz?verbose&exclude=database", grace.Serving, true, 200, "[+]database excluded: ok\n[+]serving ok\n[+]votes ok\n[+]health ok\n[+]cache ok\nok\n"},
		{"GET", "/readyz?exclude=cache", grace.Serving, true, 503, "not ok\n"},
		{"GET", "/readyz?exclude=database&exclude=serving", grace.Draining, true, 200, "ok\n"},
		{"GET", "/readyz?verbose&exclude=nobody%0A", grace.Serving, false, 200, `by the name of "nobody\n"` + "\n"},
		{"GET", "/livez?verbose", grace.Serving, true, 200, "[+]process ok\nok\n"},
		{"POST", "/readyz", grace.Serving, false, 405, ""},
		{"GET", "/readyz/", grace.Serving, false, 200, "hello"}, // exact paths only
		{"GET", "/", grace.Serving, false, 200, "hello"},
	} {
		b.p.state.Store(int32(tt.state))
		ill.Store(tt.ill)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.contains) || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s %s while %s, ill %v: %d %q, want %d %q", tt.method, tt.path, tt.state, tt.ill, w.Code, w.Body, tt.code, tt.contains)
		}
	}
	w := httptest.NewRecorder()
	ill.Store(true)
	b.r.readyz(true).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/readyz?verbose", nil))
	if !strings.Contains(w.Body.String(), "secret reason") {
		t.Errorf("the operator is not told: %q", w.Body)
	}
}

// A check that hangs is ill, for everybody and soon, and is not piled up.
func TestHealthHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		release := make(chan struct{})
		h := newHealth(func(context.Context) error { asked.Add(1); <-release; return nil }, time.Second)
		for range 5 {
			start := time.Now()
			if err := h.ask(context.Background()); err == nil {
				t.Error("a check that hangs is well")
			}
			if d := time.Since(start); d != time.Second {
				t.Errorf("took %s", d)
			}
		}
		if asked.Load() != 1 {
			t.Errorf("asked %d times", asked.Load())
		}
		close(release)
		synctest.Wait()
		if err := h.ask(context.Background()); err != nil {
			t.Errorf("after it came back: %v", err)
		}
		time.Sleep(time.Second) // in virtual time: the answer grows old
		h.ask(context.Background())
		h.ask(context.Background())
		if asked.Load() != 2 {
			t.Errorf("asked %d times, want an old answer replaced once", asked.Load())
		}
	})
}

// TestVote: what the predecessor of a process on probation is told names the check that failed, and one that hangs costs no more than its limit.
func TestVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused, release := errors.New("connection refused"), make(chan struct{})
		defer close(release)
		r := newRunner(Service{HealthInterval: time.Second, Checks: map[string]func(context.Context) error{
			"cache":    func(context.Context) error { return nil },
			"database": func(context.Context) error { return refused },
			"queue":    func(context.Context) error { <-release; return nil },
		}})
		begun := time.Now()
		if err := r.vote(context.Background()); !errors.Is(err, refused) || !strings.HasPrefix(err.Error(), "database: ") {
			t.Errorf("%v", err)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %s", took)
		}
	})
}
