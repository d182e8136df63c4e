package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// backend answers what a test tells it to.
type backend struct {
	change func(ctx context.Context, rollback bool, r admin.Request, events func(updater.Event)) (updater.Outcome, error)
	err    error
}

func (b backend) Status() admin.Status {
	return admin.Status{Schema: admin.Schema, App: "hello", Version: "1.0.0", Updater: &updater.Status{Hold: &updater.Hold{By: "ann"}}}
}

func (b backend) Subscribe(string) (<-chan admin.Event, func()) {
	gone := make(chan admin.Event)
	close(gone)
	return gone, func() {}
}

func (b backend) Check(_ context.Context, r admin.Request) (admin.Check, error) {
	return admin.Check{Schema: admin.Schema, Current: "1.0.0", Version: r.Version}, b.err
}

func (b backend) Change(ctx context.Context, rollback bool, r admin.Request, events func(updater.Event)) (updater.Outcome, error) {
	return b.change(ctx, rollback, r, events)
}

func (b backend) Hold(_ context.Context, h *updater.Hold) error {
	if h != nil && h.Reason == "" {
		return errors.New("no reason came through")
	}
	return b.err
}

func (b backend) Unquarantine(_ context.Context, which string) ([]updater.Quarantined, error) {
	return []updater.Quarantined{{Version: which}}, b.err
}

func (b backend) Restart(ctx context.Context, events func(updater.Event)) (updater.Outcome, error) {
	return b.change(ctx, false, admin.Request{}, events)
}

func (b backend) Drain(d admin.Drain) (admin.Drained, error) {
	return admin.Drained{Schema: admin.Schema, StopsAt: time.Unix(int64(time.Duration(d.Delay)/time.Second), 0).UTC()}, b.err
}

func (b backend) Health(context.Context) admin.Health {
	return admin.Health{Schema: admin.Schema, Well: true}
}

func (b backend) Vote(_ context.Context, _ *updater.Asker, v admin.Vote) (admin.Health, error) {
	return admin.Health{Schema: admin.Schema, Votes: []admin.Opinion{{Vote: v}}}, b.err
}

func (b backend) LogLevel() (admin.LogLevel, error) { return admin.LogLevel{Level: "INFO"}, b.err }

func (b backend) SetLogLevel(l admin.SetLogLevel) (admin.LogLevel, error) {
	return admin.LogLevel{Level: l.Level, Until: time.Unix(0, int64(l.For)).UTC()}, b.err
}

func (b backend) History() ([]updater.Attempt, error) { return nil, b.err }

func ask(b admin.Backend, method, path, body string) *httptest.ResponseRecorder {
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	w := httptest.NewRecorder()
	admin.Handler(b, ok, ok).ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func TestHandler(t *testing.T) {
	fail := func(c updater.Class, reason string) error {
		return &updater.Error{Class: c, Reason: reason, Err: errors.New("no")}
	}
	for _, tt := range []struct {
		method, path, body string
		err                error
		code               int
		contains           string
	}{
		{"GET", "/v1/status", "", nil, 200, `"app":"hello"`},
		{"GET", "/v1/events", "", nil, 200, "event: bye"},
		{"GET", "/v1/livez", "", nil, 200, ""},
		{"GET", "/v1/readyz", "", nil, 200, ""},
		{"POST", "/v1/check", "", nil, 200, `"current":"1.0.0"`},
		{"POST", "/v1/check", `{"version":"1.2.3"}`, nil, 200, `"version":"1.2.3"`},
		{"POST", "/v1/check", `{"verison":"1.2.3"}`, nil, 400, `"class":"usage"`},
		{"POST", "/v1/check", `{"version":"` + strings.Repeat("x", 100<<10) + `"}`, nil, 400, `"class":"usage"`},
		{"POST", "/v1/check", "", fail(updater.Temporary, "network"), 503, `"reason":"network"`},
		{"POST", "/v1/check", "", fail(updater.Permission, "x"), 403, `"serving":"1.0.0"`},
		{"POST", "/v1/upgrade", "", fail(updater.Policy, "older"), 409, `hello rollback`},
		{"POST", "/v1/rollback", "", updater.ErrBusy, 409, `"class":"busy"`},
		{"POST", "/v1/upgrade", "", errors.New("odd"), 500, `"class":"failed"`},
		{"POST", "/v1/hold", `{"reason":"the fair","until":"2026-12-31T00:00:00Z"}`, nil, 200, `"by":"ann"`},
		{"POST", "/v1/hold", `{"reason":"the fair"}`, fail(updater.Usage, "bad-hold"), 400, `"reason":"bad-hold"`},
		{"POST", "/v1/hold", `{"until":"tomorrow"}`, nil, 400, `"class":"usage"`},
		{"POST", "/v1/unhold", "", nil, 200, `"schema":1`},
		{"POST", "/v1/unhold", `{"reason":"x"}`, nil, 400, `"class":"usage"`},
		{"POST", "/v1/unhold", "", updater.ErrBusy, 409, `"class":"busy"`},
		{"GET", "/v1/hold", "", nil, 405, ""},
		{"GET", "/v1/quarantine", "", nil, 200, `"quarantine":[]`},
		{"POST", "/v1/quarantine/clear", `{"which":"1.1.0"}`, nil, 200, `"version":"1.1.0"`},
		{"POST", "/v1/quarantine/clear", `{"all":true}`, nil, 200, `"quarantine":[`},
		{"POST", "/v1/quarantine/clear", "", nil, 400, "name a version"},
		{"POST", "/v1/quarantine/clear", `{"which":"1.1.0","all":true}`, nil, 400, "name a version"},
		{"POST", "/v1/quarantine/clear", `{"which":"x"}`, fail(updater.Failed, "no-such-version"), 500, `"reason":"no-such-version"`},
		{"GET", "/v1/history", "", nil, 200, `"attempts":[]`},
		{"GET", "/v1/history", "", errors.New("odd"), 500, `"class":"failed"`},
		{"POST", "/v1/restart", "", nil, 200, `"result":{`},
		{"POST", "/v1/restart", `{"version":"1.1.0"}`, nil, 400, `"class":"usage"`},
		{"POST", "/v1/restart", "", fail(updater.Undone, "crashed"), 500, `"reason":"crashed"`},
		{"POST", "/v1/drain", `{"delay_seconds":90}`, nil, 200, `"stops_at":"1970-01-01T00:01:30Z"`},
		{"POST", "/v1/drain", `{"delay_seconds":-1}`, nil, 400, "out of range"},
		{"POST", "/v1/drain", `{"delay_seconds":1e300}`, nil, 400, "out of range"},
		{"POST", "/v1/drain", `{"delay_seconds":"1m"}`, nil, 400, "want a number of seconds"},
		{"POST", "/v1/drain", `{"delay":"1m"}`, nil, 400, `unknown field`},
		{"GET", "/v1/health", "", nil, 200, `"well":true`},
		{"POST", "/v1/health", `{"checker":"p","ill":true,"for_seconds":1.5}`, nil, 200, `"ill":true,"for_seconds":1.5`},
		{"POST", "/v1/health", `{"checker":"p"} {}`, nil, 400, "something follows"},
		{"PUT", "/v1/health", `{"checker":"p"}`, nil, 405, `this request is a GET or a POST`},
		{"GET", "/v1/log-level", "", nil, 200, `"level":"INFO"`},
		{"PUT", "/v1/log-level", `{"level":"DEBUG","for_seconds":1}`, nil, 200, `"until":"1970-01-01T00:00:01Z"`},
		{"PUT", "/v1/log-level", `{"level":"DEBUG"}`, fail(updater.Policy, "log-level-fixed"), 409, `"reason":"log-level-fixed"`},
		{"POST", "/v1/log-level", `{"level":"DEBUG"}`, nil, 405, `"reason":"method"`},
		{"GET", "/v2/status", "", nil, 404, `"reason":"no-such-request"`},
		{"GET", "/v1/upgrade", "", nil, 405, ""},
		{"POST", "/v1/status", "", nil, 405, ""},
		{"GET", "/", "", nil, 404, ""},
	} {
		b := backend{err: tt.err, change: func(context.Context, bool, admin.Request, func(updater.Event)) (updater.Outcome, error) {
			return updater.Outcome{}, tt.err
		}}
		w := ask(b, tt.method, tt.path, tt.body)
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.contains) {
			t.Errorf("%s %s %.40s: %d %s, want %d %s", tt.method, tt.path, tt.body, w.Code, w.Body, tt.code, tt.contains)
		}
	}
}

// An attempt that fails after the first event has sent 200 already: the last line tells.
func TestStream(t *testing.T) {
	for _, failure := range []error{nil, &updater.Error{Class: updater.Undone, Reason: "crashed", Err: errors.New("crashed")}} {
		b := backend{change: func(ctx context.Context, rollback bool, r admin.Request, events func(updater.Event)) (updater.Outcome, error) {
			if ctx.Done() != nil {
				t.Error("the attempt ends with the client")
			}
			if !rollback || r.Version != "0.9.0" || !r.Force {
				t.Errorf("asked for rollback %v, %+v", rollback, r)
			}
			events(updater.Event{Phase: updater.PhaseProve, Version: "0.9.0"})
			events(updater.Event{Phase: updater.PhaseHandover})
			return updater.Outcome{Changed: true, To: "0.9.0"}, failure
		}}
		w := ask(b, "POST", "/v1/rollback", `{"version":"0.9.0","force":true}`)
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson" || !w.Flushed {
			t.Errorf("%d %v, flushed %v", w.Code, w.Header(), w.Flushed)
		}
		var lines []admin.Line
		for d := json.NewDecoder(w.Body); d.More(); {
			var l admin.Line
			if err := d.Decode(&l); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, l)
		}
		if len(lines) != 3 || lines[0].Event == nil || lines[1].Event.Phase != updater.PhaseHandover {
			t.Fatalf("lines %+v", lines)
		}
		last := lines[2]
		if failure == nil && (last.Result == nil || last.Result.To != "0.9.0") {
			t.Errorf("last line %+v, want the result", last)
		}
		if failure != nil && (last.Error == nil || last.Error.Class != updater.Undone || last.Error.Serving != "1.0.0") {
			t.Errorf("last line %+v, want the failure", last)
		}
	}
}

func TestNewFailure(t *testing.T) {
	inner := &admin.Failure{Class: updater.Busy, Phase: "fetch", Hint: "wait", Message: "busy"}
	got := admin.NewFailure("hello", "1.0.0", fmt.Errorf("wrapped: %w", inner))
	if got.Phase != "fetch" || got.Hint != "wait" || got.Serving != "1.0.0" || inner.Serving != "" {
		t.Errorf("from a failure: %+v; the original %+v", got, inner)
	}
	if !errors.Is(got, updater.ErrBusy) {
		t.Error("class busy is not ErrBusy")
	}
	for _, class := range []updater.Class{updater.Failed, updater.Usage, updater.Policy, updater.Verification, updater.Permission,
		updater.Busy, updater.Undone, updater.NotRestarted, updater.Temporary} {
		f := admin.NewFailure("hello", "", &updater.Error{Class: class, Err: errors.New("x")})
		if f.Class != class || f.Hint == "" {
			t.Errorf("class %s: %+v has no hint", class, f)
		}
	}
}

// An error that knows what to do next says so in the last line.
func TestHints(t *testing.T) {
	for reason, want := range map[string]string{"held": "hello unhold", "window": "hello upgrade", "rollout": "hello upgrade", "constraint": "--constraint"} {
		f := admin.NewFailure("hello", "", &updater.Error{Class: updater.Policy, Reason: reason, Err: errors.New("x")})
		if !strings.Contains(f.Hint, want) {
			t.Errorf("%s: %q, want %q in it", reason, f.Hint, want)
		}
	}
	f := admin.NewFailure("hello", "", &updater.Error{Class: updater.Permission, Reason: "package-owned", Err: fmt.Errorf("update: %w", adviser{})})
	if f.Hint != "apt-get install hello" {
		t.Errorf("hint %q", f.Hint)
	}
}

type adviser struct{}

func (adviser) Error() string { return "x" }
func (adviser) Hint() string  { return "apt-get install hello" }

func TestNewCheck(t *testing.T) {
	if c := admin.NewCheck("hello", updater.Found{Current: "1.0.0"}); c.Version != "" || c.Available || c.Stop != nil {
		t.Errorf("nothing offered: %+v", c)
	}
	found := updater.Found{Current: "1.0.0",
		Candidate: updater.Candidate{Version: release.MustParseVersion("1.1.0"), Digest: release.Digest{1}, Length: 7},
		Stop:      &updater.Error{Class: updater.Policy, Reason: "quarantined", Err: errors.New("bad build")}}
	c := admin.NewCheck("hello", found)
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back admin.Check
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if back.Version != "1.1.0" || back.Digest != found.Candidate.Digest || back.Stop == nil || back.Stop.Serving != "1.0.0" {
		t.Errorf("went out as %s, came back as %+v", b, back)
	}
}

// FuzzRequest: whatever comes over the socket is answered by JSON, with the code of a usage error unless it is a request.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "/v1/upgrade", []byte(`{"version":"1.2.3","force":true}`))
	f.Add("POST", "/v1/check", []byte(`{"patient":1}`))
	f.Add("POST", "/v1/rollback", []byte(`{}{}`))
	f.Add("GET", "/v1/status", []byte{})
	for _, path := range []string{"/v1/check", "/v1/upgrade"} {
		f.Add("POST", path, bytes.Repeat([]byte(" "), 64<<10+1))
	}
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		r, err := http.NewRequest(method, "http://admin/", bytes.NewReader(body))
		if err != nil {
			return
		}
		r.URL.Path = path
		changed := false
		b := backend{change: func(context.Context, bool, admin.Request, func(updater.Event)) (updater.Outcome, error) {
			changed = true
			return updater.Outcome{}, nil
		}}
		ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		w := httptest.NewRecorder()
		admin.Handler(b, ok, ok).ServeHTTP(w, r)
		if w.Code >= 500 || changed && (w.Code != http.StatusOK || method != http.MethodPost) {
			t.Errorf("%s %s %q: %d, changed %t", method, path, body, w.Code, changed)
		}
		if json.Valid(body) && w.Code == http.StatusOK && len(body) > 64<<10 && path != "/v1/status" && strings.HasPrefix(w.Header().Get("Content-Type"), "application/") {
			t.Errorf("%s %s: %d bytes were taken", method, path, len(body))
		}
		if kind := w.Header().Get("Content-Type"); strings.HasPrefix(kind, "application/") && !json.Valid(bytes.TrimSpace(w.Body.Bytes())) {
			t.Errorf("%s %s %q: answered %q", method, path, body, w.Body)
		}
	})
}
