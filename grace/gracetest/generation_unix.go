//go:build unix

package gracetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/grace/role"
)

// runEnv tells a test binary that it is a server of Run: which call of which test, and where its directory is. Every
// successor inherits it.
const runEnv = "GRACETEST_RUN"

// holdFile, in that directory, names the phase at which a successor, or a commit, waits until the file is gone.
const holdFile = "hold"

// calls counts the calls of Run by the name of the test, so that a server finds the one it was started for.
var calls = struct {
	sync.Mutex
	n map[string]int
}{n: map[string]int{}}

// thisCall numbers a call, from 1 in each run of the test.
func thisCall(t TB) int {
	calls.Lock()
	defer calls.Unlock()
	calls.n[t.Name()]++
	if calls.n[t.Name()] == 1 {
		t.Cleanup(func() {
			calls.Lock()
			defer calls.Unlock()
			delete(calls.n, t.Name())
		})
	}
	return calls.n[t.Name()]
}

// drainTimeout leaves time for the slowest clients that a user may think of, and bounds a test that loses one.
const drainTimeout = 15 * time.Second

// generation is one process of the line that Run has started.
type generation struct {
	t   TB
	dir string
	h   http.Handler
	*plan
}

// asServer looks whether this process is a server, and of which call. here is false in one that was started for another call.
func asServer(t TB, call int) (dir string, server, here bool) {
	v, err := url.ParseQuery(os.Getenv(runEnv))
	if err != nil || v.Get("dir") == "" {
		return "", false, false
	}
	return v.Get("dir"), true, v.Get("test") == t.Name() && v.Get("call") == strconv.Itoa(call)
}

// serve is the life of a server over grace. It ends the test as skipped, so that whatever the test has left to Cleanup is
// done in each generation.
func (g *generation) serve() {
	go dieWithTest()
	tell(event{name: "born"})
	if role.Current() == role.Successor {
		g.hold(BeforeHello)
	}
	var p *grace.Process
	p, err := grace.New(grace.Options{
		Logger:          slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Probation:       g.probation,
		UpdateProbation: g.probation,
		DrainTimeout:    drainTimeout,
		StayParent:      grace.StayParentOff,
		OnEvent: func(e grace.Event) {
			ev := event{name: string(e.Step), about: e.PID}
			if e.Err != nil {
				ev.text = e.Err.Error()
			}
			tell(ev)
		},
		Hangup: func(ctx context.Context) error {
			err := p.Handover(ctx, p.InstallPath(), func() error {
				tell(event{name: "committing"})
				g.hold(Committing)
				if g.hold(FirstHalf) || g.hold(SecondHalf) {
					return errors.New("the kill on probation was late")
				}
				return nil
			})
			if err != nil {
				tell(event{name: "undone", text: err.Error()})
			}
			return err
		},
	})
	if err != nil {
		fail(err)
	}
	ln, err := p.Open(grace.Socket{Name: "gracetest", Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		fail(err)
	}
	go func() {
		srv, serve := &http.Server{Handler: g.h}, p.Serve
		if g.tls {
			serve = func(srv *http.Server, ln net.Listener) error {
				return p.ServeTLS(srv, ln, filepath.Join(g.dir, certFile), filepath.Join(g.dir, keyFile))
			}
		}
		if err := serve(srv, ln); err != nil {
			fail(err)
		}
	}()
	if role.Current() == role.Successor {
		g.hold(BeforeReady)
	}
	if err := p.Ready(context.Background()); err != nil {
		fail(err)
	}
	tell(event{name: "ready", text: ln.Addr().String()})
	go func() {
		<-p.Active()
		tell(event{name: "active"})
	}()
	p.Wait(context.Background())
	tell(event{name: "ended"})
	g.t.Skipf("this server, generation %d, has drained", p.Generation())
}

// hold waits, where a file asks for it, until the test has done what it wants to do at this phase. It reports whether one did.
func (g *generation) hold(at Phase) bool {
	path := filepath.Join(g.dir, holdFile)
	wanted := func() bool {
		b, err := os.ReadFile(path)
		return err == nil && string(b) == string(at)
	}
	if !wanted() {
		return false
	}
	tell(event{name: "held", text: string(at)})
	for wanted() {
		time.Sleep(2 * time.Millisecond) // between two looks
	}
	return true
}

// fail ends a server that cannot serve.
func fail(err error) {
	fmt.Fprintln(os.Stderr, "gracetest:", err)
	os.Exit(1)
}

// dieWithTest ends this process with the test, however that ends: standard input is the server's end of a socketpair whose
// other end only the test has. Nothing is ever sent down.
func dieWithTest() {
	io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

// tell sends an event up. The lines of several processes do not mix: each is one write, far smaller than the socket's buffer.
func tell(e event) {
	e.from = os.Getpid()
	os.Stdin.WriteString(e.line())
}
