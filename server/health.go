package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/moult-go/moult/grace"
)

// health asks the program how it is. The answer serves everybody for a while, so that a public path cannot be used
// to keep the program busy with questions about itself.
type health struct {
	check func(context.Context) error
	limit time.Duration // how long one question may take
	fresh time.Duration // how long an answer is good for

	mu      sync.Mutex
	current *answer
}

// answer is one question on its way, or its result.
type answer struct {
	done chan struct{} // closed when the rest is set
	err  error
	at   time.Time
}

func newHealth(check func(context.Context) error, interval time.Duration) *health {
	return &health{check: check, limit: interval, fresh: interval / 2}
}

// ask returns nil if the program is well. A check that does not return counts as ill, and is not asked again
// before it has.
func (h *health) ask(ctx context.Context) error {
	if h.check == nil {
		return nil
	}
	a := h.question()
	limit := time.NewTimer(h.limit)
	defer limit.Stop()
	select {
	case <-a.done:
		return a.err
	case <-limit.C:
		return fmt.Errorf("health check: no answer within %s", h.limit)
	case <-ctx.Done():
		return fmt.Errorf("health check: no answer: %w", ctx.Err())
	}
}

func (h *health) question() *answer {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a := h.current; a != nil {
		select {
		case <-a.done:
			if time.Since(a.at) < h.fresh {
				return a
			}
		default:
			return a
		}
	}
	a := &answer{done: make(chan struct{})}
	h.current = a
	go func() { // ends with the check, which has a deadline
		ctx, cancel := context.WithTimeout(context.Background(), h.limit)
		defer cancel()
		a.err = h.check(ctx)
		a.at = time.Now()
		close(a.done)
	}()
	return a
}

// withHealth answers /livez and /readyz before next is asked.
func (r *runner) withHealth(next http.Handler) http.Handler {
	livez, readyz := r.livez(), r.readyz(false)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/livez":
			livez.ServeHTTP(w, req)
		case "/readyz":
			readyz.ServeHTTP(w, req)
		default:
			next.ServeHTTP(w, req)
		}
	})
}

// finding is one line of ?verbose.
type finding struct {
	name string
	err  error
}

func (r *runner) livez() http.Handler {
	return healthHandler(false, func(*http.Request) []finding { return []finding{{"process", nil}} })
}

// readyz tells reasons only to those who may know them.
func (r *runner) readyz(reasons bool) http.Handler {
	return healthHandler(reasons, func(req *http.Request) []finding {
		var serving error
		if st := r.p.State(); st == grace.Draining || st == grace.Exited {
			serving = fmt.Errorf("this process is %s", st)
		}
		return []finding{{"serving", serving}, {"health", r.health.ask(req.Context())}}
	})
}

// healthHandler answers 200 if all findings are good, else 503. The status code is the contract, the
// body is for people.
func healthHandler(reasons bool, find func(*http.Request) []finding) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		code, word := http.StatusOK, "ok"
		var body strings.Builder
		for _, f := range find(req) {
			switch {
			case f.err == nil:
				fmt.Fprintf(&body, "[+]%s ok\n", f.name)
				continue
			case reasons:
				fmt.Fprintf(&body, "[-]%s failed: %v\n", f.name, f.err)
			default:
				fmt.Fprintf(&body, "[-]%s failed\n", f.name)
			}
			code, word = http.StatusServiceUnavailable, "not ok"
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
		if req.URL.Query().Has("verbose") {
			fmt.Fprint(w, body.String())
		}
		fmt.Fprintln(w, word)
	})
}
