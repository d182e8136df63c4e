package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/updater"
)

// fakeProcess is a grace.Process without other processes.
type fakeProcess struct {
	generation int
	install    string
	inherited  map[string]grace.Socket
	readyErr   error
	older      []grace.Generation
	counts     grace.Counts
	handover   func(ctx context.Context, path string, commit func() error) error

	state  atomic.Int32
	active chan struct{}
	drain  chan struct{}
	exited chan struct{}
	stop   sync.Once
	linger chan struct{} // nil: the drain is short

	mu     sync.Mutex
	opened []grace.Socket
	lns    []net.Listener
}

func newFakeProcess(dir string) *fakeProcess {
	return &fakeProcess{
		generation: 1, install: filepath.Join(dir, "hello"), inherited: map[string]grace.Socket{},
		active: make(chan struct{}), drain: make(chan struct{}), exited: make(chan struct{}),
	}
}

func (p *fakeProcess) Open(s grace.Socket) (net.Listener, error) {
	ln, err := net.Listen(s.Network, s.Address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened, p.lns = append(p.opened, s), append(p.lns, ln)
	return ln, nil
}

func (p *fakeProcess) Inherited(name string) (grace.Socket, bool) {
	s, ok := p.inherited[name]
	return s, ok
}

func (p *fakeProcess) Serve(srv *http.Server, ln net.Listener) error {
	err := srv.Serve(ln)
	select {
	case <-p.drain:
		<-p.exited
		return nil
	default:
		return err
	}
}

func (p *fakeProcess) ServeTLS(srv *http.Server, ln net.Listener, certFile, keyFile string) error {
	err := srv.ServeTLS(ln, certFile, keyFile)
	select {
	case <-p.drain:
		<-p.exited
		return nil
	default:
		return err
	}
}

func (p *fakeProcess) SessionTickets(*tls.Config) func() { return func() {} }

func (p *fakeProcess) Ready(context.Context) error {
	if p.readyErr == nil {
		p.state.Store(int32(grace.Serving))
		close(p.active)
	}
	return p.readyErr
}

// Stop drains at once, or when lingering is over.
func (p *fakeProcess) Stop() {
	p.stop.Do(func() {
		p.state.Store(int32(grace.Draining))
		close(p.drain)
		if p.linger != nil {
			<-p.linger
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, ln := range p.lns {
			ln.Close()
		}
		p.state.Store(int32(grace.Exited))
		close(p.exited)
	})
}

func (p *fakeProcess) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *fakeProcess) Handover(ctx context.Context, path string, commit func() error) error {
	return p.handover(ctx, path, commit)
}

func (p *fakeProcess) NoWayBack(context.Context) error { return nil }

func (p *fakeProcess) Active() <-chan struct{}   { return p.active }
func (p *fakeProcess) Draining() <-chan struct{} { return p.drain }
func (p *fakeProcess) InstallPath() string       { return p.install }
func (p *fakeProcess) Generation() int           { return p.generation }
func (p *fakeProcess) State() grace.State        { return grace.State(p.state.Load()) }
func (p *fakeProcess) Connections() int          { return 0 }
func (p *fakeProcess) Counts() grace.Counts      { return p.counts }
func (p *fakeProcess) Older() []grace.Generation { return p.older }

// fakeEngine is an updater.Updater without a disk. It writes down what it is asked for.
type fakeEngine struct {
	dir      string
	upgrade  func(context.Context, updater.Request) (updater.Outcome, error)
	lockErr  atomic.Pointer[error]
	proofErr atomic.Pointer[error]
	replaced chan struct{} // a token for each time
	editErr  error         // of what changes the state file

	mu    sync.Mutex
	calls []string
}

func (u *fakeEngine) note(call string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls = append(u.calls, call)
}

func (u *fakeEngine) said() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string{}, u.calls...)
}

func (u *fakeEngine) Lock(context.Context) error {
	u.note("lock")
	if err := u.lockErr.Load(); err != nil {
		return *err
	}
	return nil
}

func (u *fakeEngine) Run(ctx context.Context) error {
	u.note("run")
	<-ctx.Done()
	u.note("run ends")
	return ctx.Err()
}

func (u *fakeEngine) Replaced(ctx context.Context) error {
	select {
	case <-u.replaced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (u *fakeEngine) ProveInstalled(context.Context) error {
	u.note("prove")
	if p := u.proofErr.Load(); p != nil {
		return *p
	}
	return nil
}

func (u *fakeEngine) StartedWell() error { u.note("started well"); return nil }
func (u *fakeEngine) StopAsked() error   { u.note("stop asked"); return nil }
func (u *fakeEngine) NoWayBack() error   { u.note("no way back"); return nil }

func (u *fakeEngine) RestartFailed(err error) {
	if err == nil {
		u.note("restart good")
	} else {
		u.note("restart failed")
	}
}

func (u *fakeEngine) Check(context.Context, updater.Request) (updater.Found, error) {
	return updater.Found{Current: "1.0.0"}, nil
}

func (u *fakeEngine) Upgrade(ctx context.Context, r updater.Request) (updater.Outcome, error) {
	return u.upgrade(ctx, r)
}

func (u *fakeEngine) Rollback(context.Context, updater.Request) (updater.Outcome, error) {
	return updater.Outcome{To: "0.9.0"}, nil
}

func (u *fakeEngine) Adopt(context.Context) (func() error, error) {
	u.note("adopt")
	return func() error { return nil }, nil
}

func (u *fakeEngine) Hold(h updater.Hold) error { u.note("hold " + h.Reason); return u.editErr }
func (u *fakeEngine) Unhold() error             { u.note("unhold"); return u.editErr }
func (u *fakeEngine) Unquarantine(which string) ([]updater.Quarantined, error) {
	u.note("unquarantine " + which)
	return []updater.Quarantined{{Version: which}}, u.editErr
}
func (u *fakeEngine) History() ([]updater.Attempt, error) { return []updater.Attempt{{ID: "u-1"}}, nil }

func (u *fakeEngine) Announce(string) error { u.note("announce"); return nil }

func (u *fakeEngine) Unlock() error { u.note("unlock"); return nil }
func (u *fakeEngine) Spawned(int)   { u.note("spawned") }
func (u *fakeEngine) Standby()      { u.note("standby") }
func (u *fakeEngine) Status() (updater.Status, error) {
	return updater.Status{Automatic: true, Phase: "idle"}, nil
}
func (u *fakeEngine) StateDir() string { return u.dir }

// bench is a runner over fakes.
type bench struct {
	t    *testing.T
	p    *fakeProcess
	u    *fakeEngine
	r    *runner
	dir  string
	done chan error
	end  context.CancelFunc
}

func newBench(t *testing.T, s Service) *bench {
	t.Helper()
	dir, err := os.MkdirTemp("", "sv") // short, as the path of a Unix socket must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	t.Setenv("RUNTIME_DIRECTORY", "")
	s.Name, s.Version = "hello", "1.0.0"
	s.Logger = slog.New(slog.DiscardHandler)
	if s.Listen == nil && s.Listeners == nil {
		s.Listen = []string{"127.0.0.1:0"}
	}
	if s.Handler == nil && s.Start == nil && s.Listeners == nil {
		s.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	}
	if s, err = s.filled(); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, p: newFakeProcess(dir), u: &fakeEngine{dir: filepath.Join(dir, ".hello.d")}, dir: dir, r: newRunner(s), done: make(chan error, 1)}
	b.r.p = b.p
	b.r.openUpdater(func(updater.Options) (engine, error) { return b.u, nil })
	close(b.r.assembled)
	return b
}

// start runs it until it serves.
func (b *bench) start() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b.end = cancel
	go func() { b.done <- b.r.run(ctx) }()
	b.t.Cleanup(func() { b.p.Stop(); cancel() })
	select {
	case <-b.p.active:
	case err := <-b.done:
		b.t.Fatalf("did not serve: %v", err)
	case <-time.After(10 * time.Second):
		b.t.Fatal("did not serve")
	}
}

func (b *bench) wait(what string, is func() bool) {
	b.t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) { // between two looks
		if time.Now().After(end) {
			b.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// finish ends it and returns what run returned.
func (b *bench) finish() error {
	b.t.Helper()
	b.end()
	select {
	case err := <-b.done:
		return err
	case <-time.After(10 * time.Second):
		b.t.Fatal("did not end")
		return errors.New("unreachable")
	}
}
