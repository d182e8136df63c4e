package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/updater"
)

func TestService(t *testing.T) {
	good := func(context.Context) error { return nil }
	for _, tt := range []struct {
		name string
		s    Service
		ok   bool
	}{
		{"nothing", Service{}, false},
		{"handler", Service{Handler: http.NotFoundHandler()}, true},
		{"both", Service{Handler: http.NotFoundHandler(), Start: func(context.Context) (http.Handler, error) { return nil, nil }}, false},
		{"unix", Service{Handler: http.NotFoundHandler(), Listen: []string{"unix:/run/x.sock", ":0"}}, true},
		{"unix without path", Service{Handler: http.NotFoundHandler(), Listen: []string{"unix:"}}, false},
		{"health check that names itself", Service{Handler: http.NotFoundHandler(), Checks: map[string]func(context.Context) error{"serving": good}}, false},
		{"health check with a name of two words", Service{Handler: http.NotFoundHandler(), Checks: map[string]func(context.Context) error{"my database": good}}, false},
		{"health check without a function", Service{Handler: http.NotFoundHandler(), Checks: map[string]func(context.Context) error{"database": nil}}, false},
		{"health check", Service{Handler: http.NotFoundHandler(), Checks: map[string]func(context.Context) error{"database": good}}, true},
		{"no port", Service{Handler: http.NotFoundHandler(), Listen: []string{"localhost"}}, false},
		{"no brackets", Service{Handler: http.NotFoundHandler(), Listen: []string{"::1:80"}}, false},
		{"twice", Service{Handler: http.NotFoundHandler(), Listen: []string{":80", "http://:80"}}, false},
		{"any port twice", Service{Handler: http.NotFoundHandler(), Listen: []string{"[::1]:0", "[::1]:0"}}, true},
		{"own handlers only", Service{Listeners: []Listener{{Address: ":80", Handler: http.NotFoundHandler()}, {Address: ":81", Serve: noLoop}}}, true},
		{"a listener without", Service{Listeners: []Listener{{Address: ":80"}, {Address: ":81", Serve: noLoop}}}, false},
		{"a listener with both", Service{Listeners: []Listener{{Address: ":81", Handler: http.NotFoundHandler(), Serve: noLoop}}}, false},
		{"https without certificate", Service{Handler: http.NotFoundHandler(), Listen: []string{"https://:443"}}, false},
		{"https", Service{Handler: http.NotFoundHandler(), Listen: []string{"https://:443"}, TLS: TLS{Cert: "c", Key: "k"}}, true},
		{"certificate without key", Service{Handler: http.NotFoundHandler(), TLS: TLS{Cert: "c"}}, false},
		{"authorities alone", Service{Handler: http.NotFoundHandler(), TLS: TLS{ClientCA: "c"}}, false},
		{"negative limit", Service{Handler: http.NotFoundHandler(), Limits: Limits{IdleTimeout: -1}}, false},
	} {
		s, err := tt.s.filled()
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.ok && (s.Name == "" || s.Version != "dev" || len(s.listeners()) == 0 || s.Logger == nil) {
			t.Errorf("%s: defaults are missing in %+v", tt.name, s)
		}
	}
}

func noLoop(context.Context, net.Listener) error { return nil }

// From the first socket to the end: what runs when, and what is left behind.
func TestRun(t *testing.T) {
	ready := false
	b := newBench(t, Service{OnReady: func() { ready = true }})
	b.start()
	b.wait("the update loop", func() bool { return slices.Contains(b.u.said(), "run") })

	list, err := admin.Instances(b.u.dir)
	if err != nil || len(list) != 1 {
		t.Fatalf("instances %+v, %v", list, err)
	}
	fi, err := os.Stat(list[0].Admin)
	if err != nil {
		t.Fatal(err)
	}
	if dir, err := os.Stat(filepath.Dir(list[0].Admin)); err != nil || dir.Mode().Perm() != 0o700 {
		t.Errorf("directory of the admin socket %v: %v, %v", fi.Mode(), dir.Mode(), err)
	}
	if i := slices.IndexFunc(b.p.opened, func(s grace.Socket) bool { return s.Name == adminName }); i < 0 ||
		!b.p.opened[i].Held || b.p.opened[i].Mode != 0o600 {
		t.Errorf("sockets %+v: want one held admin socket of mode 0600", b.p.opened)
	}
	st, err := client.New(list[0].Admin).Status(context.Background())
	if err != nil || st.State != "serving" || !st.Updates.On || st.Instance != list[0].ID || len(st.Listen) != 1 {
		t.Errorf("status %+v, %v", st, err)
	}
	res, err := http.Get("http://" + st.Listen[0] + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); string(text) != "hello" {
		t.Errorf("answer %q", text)
	}

	if err := b.finish(); err != nil {
		t.Errorf("run: %v", err)
	}
	if want := []string{"lock", "announce", "run", "run ends", "stop asked", "unlock"}; !slices.Equal(b.u.said(), want) {
		t.Errorf("the updater was asked for %v, want %v", b.u.said(), want)
	}
	if left, err := os.ReadDir(filepath.Join(b.u.dir, "instances")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if !ready {
		t.Error("OnReady was not called")
	}
}

// A successor keeps the place that its line is known by.
func TestInheritedAdmin(t *testing.T) {
	b := newBench(t, Service{})
	pl, err := choose(b.u.dir)
	if err != nil {
		t.Fatal(err)
	}
	b.p.generation = 2
	b.p.inherited[adminName] = grace.Socket{Name: adminName, Network: "unix", Address: pl.sock}
	b.start()
	b.wait("the instance", func() bool { l, _ := admin.Instances(b.u.dir); return len(l) == 1 })
	if l, _ := admin.Instances(b.u.dir); l[0].ID != pl.id || l[0].Generation != 2 {
		t.Errorf("instance %+v, want ID %s", l, pl.id)
	}
	b.finish()
}

func TestPlace(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("RUNTIME_DIRECTORY", "")
	long := filepath.Join(dir, strings.Repeat("x", 100))
	pl, err := choose(long)
	if len(pl.sock) > maxSocketPath || err == nil && pl.home != admin.Homes(long)[1] {
		t.Errorf("a path too long: %+v, %v", pl, err)
	}
	short, err := os.MkdirTemp("/tmp", "rt")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	t.Setenv("RUNTIME_DIRECTORY", short+":/run/other")
	state := filepath.Join(short, "state")
	pl, err = choose(state)
	if err != nil || pl.sock != filepath.Join(short, pl.id, "admin.sock") || pl.home != filepath.Join(state, "instances") {
		t.Errorf("with RUNTIME_DIRECTORY: %+v, %v", pl, err)
	}
	if back := found(state, pl.sock); back != pl {
		t.Errorf("found again as %+v, want %+v", back, pl)
	}
}

// What fails before readiness is told to the predecessor, or given back.
func TestStartFails(t *testing.T) {
	boom := errors.New("no database")
	for generation := 1; generation <= 2; generation++ {
		b := newBench(t, Service{Start: func(context.Context) (http.Handler, error) { return nil, boom }})
		b.p.generation = generation
		b.p.readyErr = errors.New("not well")
		if err := b.r.run(context.Background()); !errors.Is(err, boom) {
			t.Errorf("generation %d: %v, want %v", generation, err, boom)
		}
		err := b.r.vote(context.Background())
		if generation == 2 && !errors.Is(err, boom) {
			t.Errorf("the predecessor is told %v", err)
		}
		if stopped := b.p.State() == grace.Exited; stopped != (generation == 1) {
			t.Errorf("generation %d: stopped %v", generation, stopped)
		}
	}
}

// Whatever is wrong with updating, the server serves.
func TestUpdatingOff(t *testing.T) {
	b := newBench(t, Service{})
	b.r.u = nil
	b.r.openUpdater(func(updater.Options) (engine, error) {
		return nil, &updater.Error{Class: updater.Permission, Reason: "state-dir", Err: errors.New("read-only")}
	})
	b.start()
	var e *updater.Error
	if _, err := b.r.Check(context.Background(), admin.Request{}); !errors.As(err, &e) || e.Class != updater.Permission {
		t.Errorf("check: %v", err)
	}
	if _, err := b.r.Change(context.Background(), true, admin.Request{}, nil); !errors.As(err, &e) || e.Reason != "state-dir" {
		t.Errorf("rollback: %v", err)
	}
	if st := b.r.Status(); st.Updates.On || !strings.Contains(st.Updates.Reason, "read-only") {
		t.Errorf("status %+v", st.Updates)
	}
	b.finish()
}

// TestStatusNamesWhoDrains: an operator sees what old processes wait for.
func TestStatusNamesWhoDrains(t *testing.T) {
	b := newBench(t, Service{})
	since := time.Now().Add(-time.Minute)
	b.p.older = []grace.Generation{{Number: 3, PID: 77, Since: since, Connections: 5, Hijacked: 2}}
	b.start()
	want := []admin.Draining{{Generation: 3, PID: 77, Since: since, Connections: 5, Hijacked: 2}}
	if got := b.r.Status().Draining; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	b.finish()
}

func TestLockHeldByAnother(t *testing.T) {
	b := newBench(t, Service{})
	busy := error(&updater.Error{Class: updater.Busy, Err: updater.ErrBusy})
	b.u.lockErr.Store(&busy)
	b.start()
	b.wait("the reason", func() bool { return b.r.Status().Updates.Reason == offLock })
	_, err := b.r.Change(context.Background(), false, admin.Request{}, nil)
	if f := admin.NewFailure("hello", "", err); f.Class != updater.Busy || f.Reason != "locked" {
		t.Errorf("upgrade: %+v", f)
	}
	b.finish()
	if slices.Contains(b.u.said(), "unlock") {
		t.Error("gave up a lock that it never had")
	}
}

// A lock taken over from a dead predecessor is not taken again.
func TestOrphaned(t *testing.T) {
	b := newBench(t, Service{})
	if commit, err := b.r.orphaned(context.Background()); err != nil || commit == nil {
		t.Fatal(err)
	}
	b.start()
	b.wait("the update loop", func() bool { return slices.Contains(b.u.said(), "run") })
	b.finish()
	if want := []string{"adopt", "announce", "run", "run ends", "stop asked", "unlock"}; !slices.Equal(b.u.said(), want) {
		t.Errorf("%v, want %v", b.u.said(), want)
	}
}

func TestHangup(t *testing.T) {
	crashed := &grace.HandoverError{Cause: grace.CauseCrashed, Path: "p", Err: errors.New("killed")}
	for _, tt := range []struct {
		name  string
		err   error
		calls []string
		shown bool
	}{
		{"good", nil, []string{"prove", "restart good"}, false},
		{"crashed", crashed, []string{"prove", "restart failed"}, true},
		{"stopped", &grace.HandoverError{Cause: grace.CauseStopped, Err: errors.New("stop")}, []string{"prove"}, false},
		{"busy", &grace.BusyError{State: grace.Standby}, []string{"prove"}, false},
	} {
		b := newBench(t, Service{})
		b.p.handover = func(_ context.Context, path string, commit func() error) error {
			if path != b.p.install || commit != nil {
				t.Errorf("%s: handed over to %s", tt.name, path)
			}
			return tt.err
		}
		if err := b.r.hangup(context.Background()); err != tt.err {
			t.Errorf("%s: %v", tt.name, err)
		}
		if !slices.Equal(b.u.said(), tt.calls) && len(b.u.said())+len(tt.calls) > 0 {
			t.Errorf("%s: the updater was told %v, want %v", tt.name, b.u.said(), tt.calls)
		}
		if shown := b.r.Status().RestartError != ""; shown != tt.shown {
			t.Errorf("%s: status shows it: %v", tt.name, shown)
		}
	}
}

// TestFollows: what somebody else puts at the install path is proven and handed over to, with the lock and without, and a failure leaves this
// process serving and looking.
func TestFollows(t *testing.T) {
	for _, locked := range []bool{true, false} {
		b := newBench(t, Service{})
		if !locked {
			busy := error(&updater.Error{Class: updater.Busy, Err: updater.ErrBusy})
			b.u.lockErr.Store(&busy)
		}
		b.u.replaced = make(chan struct{})
		crashed := &grace.HandoverError{Cause: grace.CauseCrashed, Path: "p", Err: errors.New("killed")}
		handovers := 0
		b.p.handover = func(_ context.Context, path string, commit func() error) error {
			if path != b.p.install || commit != nil {
				t.Errorf("handed over to %s", path)
			}
			if handovers++; handovers == 1 {
				return crashed
			}
			return nil
		}
		b.start()
		follow := func(want ...string) {
			t.Helper()
			b.u.replaced <- struct{}{}
			b.wait("the restart", func() bool {
				said := slices.DeleteFunc(b.u.said(), func(call string) bool { return call == "lock" || call == "announce" || call == "run" })
				return slices.Equal(said, want)
			})
		}
		follow("prove", "restart failed")
		if b.r.Status().RestartError == "" {
			t.Error("status says nothing")
		}
		follow("prove", "restart failed", "prove", "restart good")
		if err := b.finish(); err != nil {
			t.Error(err)
		}
	}
}

// TestTakesTheLockOver when the instance that updated is gone.
func TestTakesTheLockOver(t *testing.T) {
	b := newBench(t, Service{})
	b.r.lockRetry = time.Millisecond
	busy := error(&updater.Error{Class: updater.Busy, Err: updater.ErrBusy})
	b.u.lockErr.Store(&busy)
	b.start()
	b.wait("the reason", func() bool { return b.r.Status().Updates.Reason == offLock })
	b.u.lockErr.Store(nil)
	b.wait("the update loop", func() bool { return slices.Contains(b.u.said(), "run") && b.r.Status().Updates.On })
	b.finish()
}

// TestHangupProvesFirst: what does not even start is not started with our sockets.
func TestHangupProvesFirst(t *testing.T) {
	b := newBench(t, Service{})
	b.p.handover = func(context.Context, string, func() error) error {
		t.Error("handed over")
		return nil
	}
	broken := errors.New("no executable")
	b.u.proofErr.Store(&broken)
	if err := b.r.hangup(context.Background()); err != broken {
		t.Errorf("%v", err)
	}
	if want := []string{"prove", "restart failed"}; !slices.Equal(b.u.said(), want) || b.r.Status().RestartError == "" {
		t.Errorf("the updater was told %v, want %v", b.u.said(), want)
	}
}
