package grace

import (
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Positions of a signal hook, and the states of a server. The names and numbers are those of beego's grace module; its
// states were never visible, and neither are they here: [Process.State] tells more.
const (
	PreSignal         = iota // before the signal's action
	PostSignal               // after it
	StateInit                // made by NewServer
	StateRunning             // serves
	StateShuttingDown        // drains
	StateTerminate           // has ended
)

// hookable are the signals that hooks may be registered for.
var hookable = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM}

// hooks are those of every Server that has served in this process. They are the application's code: each run has a
// goroutine of its own, which nobody waits for longer than hookPatience.
type hooks struct {
	servers []*Server
	stop    time.Time   // when the first stop arrived
	owed    atomic.Bool // it came while this process was the service, whoever is when its hooks have returned

	running sync.WaitGroup // hooks of HUP, shutdown callbacks of a process that was replaced
	over    chan struct{}  // closed when the process has exited and its last hook has returned
}

// hooking guards the hooks and callbacks of all servers: a program has one Process, and a Server does not know it until it serves.
var hooking sync.Mutex

func (h *hooks) add(srv *Server) {
	hooking.Lock()
	defer hooking.Unlock()
	if !slices.Contains(h.servers, srv) {
		h.servers = append(h.servers, srv)
	}
}

// of lists the hooks for a signal, servers in the order in which they began to serve. A function that was registered with
// several of them is there once: this is one process, and it got one signal.
func (h *hooks) of(position int, sig os.Signal) (list []func()) {
	hooking.Lock()
	defer hooking.Unlock()
	seen := map[unsafe.Pointer]bool{}
	for _, srv := range h.servers {
		for _, f := range srv.SignalHooks[position][sig] {
			if id := identity(f); !seen[id] {
				seen[id] = true
				list = append(list, f)
			}
		}
	}
	return list
}

// identity tells functions apart, and closures with other variables too: a func value is a pointer to both.
func identity(f func()) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&f)) }

// callbacks takes the shutdown callbacks of every server: each runs once.
func (h *hooks) callbacks() (list []func()) {
	hooking.Lock()
	defer hooking.Unlock()
	for _, srv := range h.servers {
		list = append(list, srv.callbacks...)
		srv.callbacks = nil
	}
	return list
}

func (h *hooks) firstStop() time.Time {
	hooking.Lock()
	defer hooking.Unlock()
	if h.stop.IsZero() {
		h.stop = time.Now()
	}
	return h.stop
}

// runHooks runs the hooks for a signal, and waits for them as long as it is worth.
func (p *Process) runHooks(position int, sig os.Signal) {
	<-p.patiently("hooks of "+sig.String(), p.hooks.of(position, sig))
}

// patiently runs the functions one after the other. The channel is closed when the last one has returned, or has had its time.
func (p *Process) patiently(what string, list []func()) <-chan struct{} {
	over := make(chan struct{})
	if len(list) == 0 {
		close(over)
		return over
	}
	returned := make(chan struct{})
	go func() { // ends with the application's code
		defer close(returned)
		for _, f := range list {
			f()
		}
	}()
	go func() { // ends with the time it has
		defer close(over)
		limit := time.NewTimer(p.hookPatience())
		defer limit.Stop()
		select {
		case <-returned:
		case <-limit.C:
			p.log.Warn("go on without waiting longer", "for", what, "after", p.hookPatience())
		}
	}()
	return over
}

// hookPatience is the drain deadline, within bounds: what hangs must not keep this process from being replaced or stopped.
func (p *Process) hookPatience() time.Duration {
	if p.o.DrainTimeout < 0 {
		return time.Minute
	}
	return max(p.o.DrainTimeout, lastStand)
}

// relay passes stops on to the goroutine that owns the state: the first one when its hooks and the shutdown callbacks have
// returned, during which this process serves as ever. A second stop more than a second later does not wait for them. It
// ends when the process has exited and its last hook has returned.
func (p *Process) relay() {
	defer close(p.hooks.over)
	var sig os.Signal            // the first stop
	var prepared <-chan struct{} // its hooks have returned; nil before it, and when it is passed on
	draining := p.draining
	for {
		select {
		case s := <-p.told:
			first := p.hooks.firstStop()
			switch {
			case sig == nil:
				sig = s
				p.hooks.owed.Store(p.State() != Draining)
				prepared = p.patiently("hooks of "+s.String()+" and shutdown callbacks",
					append(p.hooks.of(PreSignal, s), p.hooks.callbacks()...))
			case prepared == nil:
				p.pass(s)
			case time.Since(first) > time.Second:
				prepared = nil
				p.pass(sig)
				p.pass(s)
			}
		case <-prepared:
			prepared = nil
			p.pass(sig)
		case <-draining: // replaced, or there is nothing left to call
			draining = nil
			list := p.hooks.callbacks()
			p.hooks.running.Go(func() { <-p.patiently("shutdown callbacks", list) })
		case <-p.exited:
			if sig != nil {
				p.runHooks(PostSignal, sig)
			}
			p.hooks.running.Wait()
			return
		}
	}
}

// pass never waits: an owner that has eight stops before it needs no other.
func (p *Process) pass(s os.Signal) {
	select {
	case p.stops <- s:
	default:
	}
}
