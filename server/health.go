package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
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
		return fmt.Errorf("no answer within %s", h.limit)
	case <-ctx.Done():
		return fmt.Errorf("no answer: %w", ctx.Err())
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

// question is one that /readyz asks, and one line of ?verbose.
type question struct {
	name string
	ask  func(context.Context) error
}

// The names that the questions have which every server asks.
const (
	questionProcess = "process"
	questionServing = "serving"
	questionVotes   = "votes"
	questionHealth  = "health"
)

// checkName is what a name of Service.Checks looks like.
var checkName = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,62}$`)

// ownQuestions are those about the program itself: its Health, and its Checks in the order of their names.
func ownQuestions(s Service) []question {
	list := []question{{questionHealth, newHealth(s.Health, s.HealthInterval).ask}}
	for _, name := range slices.Sorted(maps.Keys(s.Checks)) {
		list = append(list, question{name, newHealth(s.Checks[name], s.HealthInterval).ask})
	}
	return list
}

// checkChecks says what is wrong with the names of s.Checks.
func (s Service) checkChecks() error {
	for name, check := range s.Checks {
		switch {
		case slices.Contains([]string{questionProcess, questionServing, questionVotes, questionHealth}, name):
			return fmt.Errorf("health check %q: the name is taken", name)
		case !checkName.MatchString(name):
			return fmt.Errorf("health check %.80q: a name is lowercase letters, digits and ._-, and begins with a letter", name)
		case check == nil:
			return fmt.Errorf("health check %q: no function", name)
		}
	}
	return nil
}

// askAll returns the answers in the order of the questions, which are asked at once.
func askAll(ctx context.Context, list []question) []error {
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, q := range list {
		wg.Go(func() { errs[i] = q.ask(ctx) })
	}
	wg.Wait()
	return errs
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

func (r *runner) livez() http.Handler {
	return healthHandler{true, []question{{questionProcess, func(context.Context) error { return nil }}}}
}

// readyz tells reasons only to those who may know them.
func (r *runner) readyz(reasons bool) http.Handler { return healthHandler{reasons, r.readiness()} }

// readiness is what makes this process ready.
func (r *runner) readiness() []question {
	return append([]question{{questionServing, r.isServing}, {questionVotes, r.isVotedWell}}, r.questions...)
}

func (r *runner) isServing(context.Context) error {
	if at := r.departure.when(); !at.IsZero() {
		return fmt.Errorf("this process stops at %s", at.UTC().Format(time.RFC3339))
	}
	if st := r.p.State(); st == grace.Draining || st == grace.Exited {
		return fmt.Errorf("this process is %s", st)
	}
	return nil
}

// ready reports whether /readyz answers 200.
func (r *runner) ready(ctx context.Context) bool {
	return errors.Join(askAll(ctx, r.readiness())...) == nil
}

// mostExcluded bounds what a stranger can have us compare and repeat.
const mostExcluded = 32

// healthHandler answers 200 if all questions have good answers, but for those that ?exclude names, which are not asked; else 503. The
// status code is the contract, the body is for people. Its ideas are those of the Kubernetes API server.
type healthHandler struct {
	reasons   bool // tells them
	questions []question
}

func (h healthHandler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	query := req.URL.Query()
	var asked []question
	var body strings.Builder
	excluded := query["exclude"]
	excluded = excluded[:min(len(excluded), mostExcluded)]
	for _, q := range h.questions {
		if slices.Contains(excluded, q.name) {
			fmt.Fprintf(&body, "[+]%s excluded: ok\n", q.name)
		} else {
			asked = append(asked, q)
		}
	}
	for _, name := range excluded {
		if !slices.ContainsFunc(h.questions, func(q question) bool { return q.name == name }) {
			fmt.Fprintf(&body, "warning: there is nothing to exclude by the name of %.64q\n", name)
		}
	}
	code, word := http.StatusOK, "ok"
	for i, err := range askAll(req.Context(), asked) {
		switch name := asked[i].name; {
		case err == nil:
			fmt.Fprintf(&body, "[+]%s ok\n", name)
			continue
		case h.reasons:
			fmt.Fprintf(&body, "[-]%s failed: %v\n", name, err)
		default:
			fmt.Fprintf(&body, "[-]%s failed: reason withheld\n", name)
		}
		code, word = http.StatusServiceUnavailable, "not ok"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	if query.Has("verbose") {
		fmt.Fprint(w, body.String())
	}
	fmt.Fprintln(w, word)
}
