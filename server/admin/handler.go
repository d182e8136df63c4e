package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/moult-go/moult/updater"
)

// maxRequest bounds the body of a request in bytes.
const maxRequest = 64 << 10

// Backend is the server that a handler speaks for.
type Backend interface {
	EventSource
	Check(ctx context.Context, r Request) (Check, error)
	// Change runs an upgrade, or a rollback, and tells events of its progress, one at a time. It outlives
	// ctx: the attempt belongs to the server, not to who asked for it.
	Change(ctx context.Context, rollback bool, r Request, events func(updater.Event)) (updater.Outcome, error)
	// Hold keeps updates from being applied; nil lets them go on.
	Hold(ctx context.Context, h *updater.Hold) error
	// Unquarantine lets builds be tried again, as updater.Updater's does, and returns them.
	Unquarantine(ctx context.Context, which string) ([]updater.Quarantined, error)
	History() ([]updater.Attempt, error)
	// Restart starts what stands at the install path, and tells events as Change does. It outlives ctx.
	Restart(ctx context.Context, events func(updater.Event)) (updater.Outcome, error)
	Drain(Drain) (Drained, error)
	Health(ctx context.Context) Health
	Vote(ctx context.Context, by *updater.Asker, v Vote) (Health, error)
	LogLevel() (LogLevel, error)
	SetLogLevel(SetLogLevel) (LogLevel, error)
}

// Handler returns the API over b. livez and readyz answer for the process, as on its public listeners.
func Handler(b Backend, livez, readyz http.Handler) http.Handler {
	h := handler{b}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", h.status)
	mux.Handle("GET /v1/events", EventStream(b))
	mux.HandleFunc("POST /v1/check", h.check)
	mux.HandleFunc("POST /v1/upgrade", func(w http.ResponseWriter, r *http.Request) { h.change(w, r, false) })
	mux.HandleFunc("POST /v1/rollback", func(w http.ResponseWriter, r *http.Request) { h.change(w, r, true) })
	mux.HandleFunc("POST /v1/restart", h.restart)
	mux.HandleFunc("POST /v1/drain", h.drain)
	mux.HandleFunc("POST /v1/hold", h.hold)
	mux.HandleFunc("POST /v1/unhold", h.unhold)
	mux.HandleFunc("GET /v1/quarantine", h.quarantine)
	mux.HandleFunc("POST /v1/quarantine/clear", h.unquarantine)
	mux.HandleFunc("GET /v1/history", h.history)
	mux.HandleFunc("GET /v1/health", h.health)
	mux.HandleFunc("POST /v1/health", h.vote)
	mux.HandleFunc("GET /v1/log-level", h.logLevel)
	mux.HandleFunc("PUT /v1/log-level", h.setLogLevel)
	mux.Handle("GET /v1/livez", livez)
	mux.Handle("GET /v1/readyz", readyz)
	return known(mux)
}

// known answers what mux knows nothing of as everything is answered here, with a Failure.
func known(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handles(mux, r) {
			mux.ServeHTTP(w, r)
			return
		}
		code, f := http.StatusNotFound, &Failure{Class: updater.Usage, Reason: "no-such-request", Message: "there is no such request in this version of the API"}
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
			other := r.Clone(r.Context())
			if other.Method = method; handles(mux, other) {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) > 0 {
			code, f.Reason = http.StatusMethodNotAllowed, "method"
			f.Message = "this request is a " + strings.Join(allowed, " or a ")
			w.Header().Set("Allow", strings.Join(allowed, ", "))
		}
		writeJSON(w, code, Line{Error: f})
	})
}

func handles(mux *http.ServeMux, r *http.Request) bool {
	_, pattern := mux.Handler(r)
	return pattern != ""
}

type handler struct{ b Backend }

func (h handler) status(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, h.b.Status())
}

func (h handler) check(w http.ResponseWriter, r *http.Request) {
	var req Request
	if !h.read(w, r, &req) {
		return
	}
	c, err := h.b.Check(r.Context(), req)
	h.reply(w, c, err)
}

func (h handler) history(w http.ResponseWriter, _ *http.Request) {
	list, err := h.b.History()
	h.reply(w, History{Schema, append([]updater.Attempt{}, list...)}, err)
}

func (h handler) change(w http.ResponseWriter, r *http.Request, rollback bool) {
	var req Request
	if !h.read(w, r, &req) {
		return
	}
	req.By = AskerOf(r.Context())
	h.follow(w, r, func(ctx context.Context, events func(updater.Event)) (updater.Outcome, error) {
		return h.b.Change(ctx, rollback, req, events)
	})
}

func (h handler) restart(w http.ResponseWriter, r *http.Request) {
	if h.read(w, r, &struct{}{}) {
		h.follow(w, r, h.b.Restart)
	}
}

// follow streams an attempt. The status code is sent with the first event, so an attempt that is refused at
// once has one that fits, and a later failure has only its line.
func (h handler) follow(w http.ResponseWriter, r *http.Request, do func(context.Context, func(updater.Event)) (updater.Outcome, error)) {
	s := &stream{w: w}
	out, err := do(context.WithoutCancel(r.Context()), func(e updater.Event) { s.send(Line{Event: &e}) })
	switch {
	case err == nil:
		s.send(Line{Result: &out})
	case s.begun():
		s.send(Line{Error: h.failure(err)})
	default:
		h.fail(w, err)
	}
}

// read takes the body of a request; an empty one asks for nothing special.
func (h handler) read(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && d.Decode(&struct{}{}) != io.EOF {
		err = errors.New("something follows the document")
	}
	if err != nil && err != io.EOF {
		h.fail(w, &updater.Error{Class: updater.Usage, Reason: "bad-request", Err: errors.New("read the request: " + err.Error())})
		return false
	}
	return true
}

// reply sends one document, or why there is none.
func (h handler) reply(w http.ResponseWriter, document any, err error) {
	if err != nil {
		h.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, document)
}

func (h handler) failure(err error) *Failure {
	s := h.b.Status()
	return NewFailure(s.App, s.Version, err)
}

func (h handler) fail(w http.ResponseWriter, err error) {
	f := h.failure(err)
	writeJSON(w, statusOf(f.Class), Line{Error: f})
}

func statusOf(c updater.Class) int {
	switch c {
	case updater.Usage:
		return http.StatusBadRequest
	case updater.Busy, updater.Policy:
		return http.StatusConflict
	case updater.Permission:
		return http.StatusForbidden
	case updater.Temporary:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(v) // the client is gone if this fails, and there is nobody to tell
}

// stream writes lines and flushes each: nobody should wait for a full buffer to see that something happens.
type stream struct {
	w    http.ResponseWriter
	mu   sync.Mutex
	some bool
}

func (s *stream) send(l Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.some {
		s.some = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	if json.NewEncoder(s.w).Encode(l) == nil {
		http.NewResponseController(s.w).Flush()
	}
}

func (s *stream) begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.some
}
