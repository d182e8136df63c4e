package page

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// fakeServer is a server that says what it is told to, and writes down what it is asked for.
type fakeServer struct {
	mu      sync.Mutex
	st      admin.Status
	history []updater.Attempt
	check   admin.Check
	err     error
	asked   []string
	by      *updater.Asker
	events  chan admin.Event
	follows int
}

func (s *fakeServer) Status() admin.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.st
}

func (s *fakeServer) set(change func(*admin.Status)) {
	s.mu.Lock()
	change(&s.st)
	s.mu.Unlock()
	s.events <- admin.Event{}
}

func (s *fakeServer) Subscribe(string) (<-chan admin.Event, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.follows++
	return s.events, func() {}
}

func (s *fakeServer) History() ([]updater.Attempt, error) { return s.history, nil }

func (s *fakeServer) Check(context.Context, admin.Request) (admin.Check, error) {
	s.note("check")
	return s.check, s.err
}

func (s *fakeServer) Change(_ context.Context, rollback bool, r admin.Request, events func(updater.Event)) (updater.Outcome, error) {
	what := "upgrade "
	if rollback {
		what = "rollback "
	}
	s.note(what + r.Version)
	s.by = r.By
	events(updater.Event{Phase: updater.PhaseFetch})
	return updater.Outcome{To: r.Version}, s.err
}

func (s *fakeServer) Hold(_ context.Context, h *updater.Hold) error {
	if h == nil {
		s.note("unhold")
	} else {
		s.note("hold " + h.Reason + " by " + h.By)
	}
	return s.err
}

func (s *fakeServer) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, what)
}

func (s *fakeServer) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.asked, ", ")
}

var (
	digest  = release.Digest{0xab, 0xcd}
	morning = time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
)

// full is a server of which everything is to be told.
func full() *fakeServer {
	at := func(d time.Duration) time.Time { return morning.Add(d) }
	failed := updater.Attempt{ID: "u-2", Kind: "upgrade", From: "1.3.2", To: "1.4.0", Digest: digest, Started: at(-49 * time.Hour), Ended: at(-48 * time.Hour), Outcome: "rolled-back",
		Class: updater.Undone, Reason: "crashed", Step: updater.PhaseProbation, Words: "panic: no such table\n\ngoroutine 1 [running]:", By: &updater.Asker{User: "ann"}}
	good := updater.Attempt{ID: "u-3", Kind: "upgrade", From: "1.3.2", To: "1.4.1", Started: at(-time.Hour), Ended: at(-59 * time.Minute), Outcome: "committed"}
	return &fakeServer{
		events:  make(chan admin.Event, 10),
		history: []updater.Attempt{{ID: "u-1", Kind: "rollback", From: "1.3.3", To: "1.3.2", Ended: at(-90 * time.Hour), Outcome: "committed"}, failed, good},
		check:   admin.Check{Current: "1.4.1", Available: true, Version: "1.5.0", Length: 12e6, Digest: digest, Notes: "Faster."},
		st: admin.Status{
			App: "hello", Version: "1.4.1", Generation: 3, PID: 4312, State: "serving", Since: at(-59 * time.Minute), Listen: []string{"127.0.0.1:8080"}, Connections: 40,
			Draining: []admin.Draining{{Generation: 2, PID: 4101, Since: at(-30 * time.Second), Connections: 12, Hijacked: 3, Deadline: at(30 * time.Second)}},
			Updates:  admin.Updates{On: true},
			Settings: []admin.Setting{{Name: "drain-timeout", Value: "1m0s", Origin: "default"}, {Name: "listen", Value: "127.0.0.1:8080", Origin: "flag"}},
			Updater: &updater.Status{Running: "1.4.1", Phase: "idle", Source: "feed https://example.com/hello", Channel: "stable", Automatic: true, Last: &good,
				LastCheck: at(-time.Minute), NextCheck: at(time.Hour), Kept: []updater.Kept{{Version: "1.3.2", Digest: digest}},
				Expiries: []updater.Expiry{{Role: "root", Version: 4, Expires: at(9000 * time.Hour), Keys: []string{"0123456789abcdef0123"}, Threshold: 1},
					{Role: "timestamp", Version: 812, Expires: at(9 * time.Hour), EndsSoon: true, Keys: []string{"fedcba98"}, Threshold: 1}},
				Quarantine: []updater.Quarantined{{Version: "1.4.0", Digest: digest, Reason: "crashed", Since: at(-48 * time.Hour)}}},
		},
	}
}

// browser keeps cookies, and follows nothing.
type browser struct {
	t    *testing.T
	url  string
	http *http.Client
	host string
	sent http.Header
}

func visit(t *testing.T, o Options) *browser {
	t.Helper()
	srv := httptest.NewServer(New(o))
	t.Cleanup(srv.Close)
	return &browser{t: t, url: srv.URL, sent: http.Header{},
		http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// do sends a form, or none, and returns the answer and its body.
func (b *browser) do(method, path string, form url.Values) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequest(method, b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Host = b.host
	for name, values := range b.sent {
		req.Header[name] = values
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		b.sent.Set("Cookie", c.Name+"="+c.Value)
	}
	return res, string(body)
}
