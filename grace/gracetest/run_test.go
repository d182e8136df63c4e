//go:build unix

package gracetest_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace/gracetest"
	"github.com/moult-go/moult/grace/role"
)

// TestRun: a good handler loses nothing.
func TestRun(t *testing.T) {
	t.Parallel()
	r := gracetest.Run(t, http.HandlerFunc(echo))
	if n, _ := r.Total(); r.Handovers != 3 || n < 100 {
		t.Errorf("%d handovers, %d requests", r.Handovers, n)
	}
}

// TestRunNames: the servers find the test they belong to, whatever it is called.
func TestRunNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain", "a name (with+odd) [signs]", "plain"} {
		t.Run(name, func(t *testing.T) {
			gracetest.Run(t, http.HandlerFunc(echo), gracetest.Handovers(1), gracetest.Under(gracetest.Options{KeepAlive: 1}))
		})
	}
}

func TestRunTLS(t *testing.T) {
	t.Parallel()
	gracetest.Run(t, http.HandlerFunc(echo), gracetest.TLS(), gracetest.Handovers(2), gracetest.KillSuccessor(gracetest.SecondHalf))
}

// TestRunControl: the load sees what http.Server.Shutdown loses.
func TestRunControl(t *testing.T) {
	t.Parallel()
	r := gracetest.Run(t, http.HandlerFunc(echo), gracetest.Shutdown(), gracetest.Handovers(5),
		gracetest.Under(gracetest.Options{KeepAlive: 16, Idle: 32, IdlePause: 10 * time.Millisecond}))
	if _, failures := r.Total(); failures == 0 {
		t.Error("nothing lost")
	}
}

// TestRunTwice: each call has servers of its own, with the handler that it was given.
func TestRunTwice(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"one", "two"} {
		var wrong atomic.Int64
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Word", word) })
		gracetest.Run(t, h, gracetest.Handovers(1), gracetest.Under(gracetest.Options{KeepAlive: 1, OnAnswer: func(a gracetest.Answer) {
			if a.Err == nil && a.Header.Get("X-Word") != word {
				wrong.Add(1)
			}
		}}))
		if n := wrong.Load(); n > 0 {
			t.Errorf("%d answers of the wrong handler", n)
		}
	}
}

// TestRunFails: Run finds what is wrong, says what it is, and leaves nobody behind.
func TestRunFails(t *testing.T) {
	successor := role.Current() == role.Successor
	var served atomic.Int64
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		opts    []gracetest.Option
		before  func() // in each server
		want    string
	}{
		"lost requests": {handler: func(w http.ResponseWriter, r *http.Request) {
			if served.Add(1)%100 == 0 {
				panic(http.ErrAbortHandler)
			}
		}, want: "requests lost"},
		"lost requests beside a kill": {handler: func(w http.ResponseWriter, r *http.Request) {
			if served.Add(1)%100 == 0 {
				panic(http.ErrAbortHandler)
			}
		}, opts: []gracetest.Option{gracetest.Handovers(0), gracetest.KillSuccessor(gracetest.BeforeHello)}, want: "requests lost"},
		"a successor that exits": {handler: echo, before: func() {
			if successor {
				fmt.Fprintln(os.Stderr, "cannot read the configuration")
				os.Exit(3)
			}
		}, want: "cannot read the configuration"},
		"a successor that crashes on probation": {handler: func(http.ResponseWriter, *http.Request) {
			if successor {
				go panic("index out of luck")
			}
		}, want: "index out of luck"},
		"a generation that crashes alone": {handler: func(http.ResponseWriter, *http.Request) {
			if served.Add(1) == 500 {
				os.Exit(3)
			}
		}, opts: []gracetest.Option{gracetest.Probation(20 * time.Second)}, want: "no server is left"},
		"a first server that never is": {handler: echo, before: func() { os.Exit(3) }, want: "no server is left"},
		"a handler that refuses": {handler: func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no", http.StatusMethodNotAllowed)
		}, want: "405"},
		"a control that loses nothing": {handler: echo, opts: []gracetest.Option{
			gracetest.Shutdown(), gracetest.Handovers(1), gracetest.Under(gracetest.Options{KeepAlive: 1, Pause: time.Hour})}, want: "the control lost none"},
		"a control with kills": {handler: echo, opts: []gracetest.Option{gracetest.Shutdown(), gracetest.KillSuccessor()}, want: "without kills"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.before != nil && os.Getenv("GRACETEST_RUN") != "" {
				c.before()
			}
			got := fails(t, func(tb gracetest.TB) { gracetest.Run(tb, c.handler, c.opts...) })
			if !strings.Contains(got, c.want) {
				t.Errorf("it says %q, want %q", got, c.want)
			}
		})
	}
}

// TestRunDies: the servers of a test that is killed in the middle of Run end by themselves.
func TestRunDies(t *testing.T) {
	t.Parallel()
	if os.Getenv("GRACETEST_DIE") != "" {
		gracetest.Run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Address", r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
		}), gracetest.Under(gracetest.Options{KeepAlive: 1, OnAnswer: func(a gracetest.Answer) {
			fmt.Println(a.Header.Get("X-Address"))
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}}))
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestRunDies$")
	cmd.Env = append(os.Environ(), "GRACETEST_DIE=1", "TMPDIR="+t.TempDir())
	out, _ := cmd.Output()
	addr := strings.TrimSpace(string(out))
	if _, _, err := net.SplitHostPort(addr); err != nil {
		t.Fatalf("no address in %q", out)
	}
	eventually(t, func() bool { // whoever still had the socket would take the connection, serving or not
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

// fails runs f as a test that is to fail, with its cleanup, and returns what it says.
func fails(t *testing.T, f func(gracetest.TB)) string {
	t.Helper()
	r := &recorder{T: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	if strings.Contains(strings.Join(r.said, "\n"), "outlive") {
		t.Errorf("servers are left")
	}
	if !r.failed && !t.Skipped() { // skipped: a server
		t.Error("Run found nothing wrong")
	}
	return strings.Join(r.said, "\n")
}

// recorder is a test of which nobody else learns that it fails.
type recorder struct {
	*testing.T
	mu       sync.Mutex
	failed   bool
	said     []string
	cleanups []func()
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	r.failed, r.said = true, append(r.said, fmt.Sprintf(format, args...))
	r.mu.Unlock()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
	r.mu.Unlock()
}
