package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/updater"
)

// abortTimeout bounds the end of a first generation that never got ready, and of what a program serves itself.
const abortTimeout = 5 * time.Second

// process is what a server needs of grace.Process.
type process interface {
	Open(grace.Socket) (net.Listener, error)
	Inherited(name string) (grace.Socket, bool)
	Serve(*http.Server, net.Listener) error
	ServeTLS(srv *http.Server, ln net.Listener, certFile, keyFile string) error
	SessionTickets(*tls.Config) (leave func())
	Ready(context.Context) error
	Active() <-chan struct{}
	Draining() <-chan struct{}
	Wait(context.Context) error
	Stop()
	Handover(ctx context.Context, path string, commit func() error) error
	NoWayBack(context.Context) error
	InstallPath() string
	Generation() int
	State() grace.State
	Connections() int
	Counts() grace.Counts
	Older() []grace.Generation
}

// engine is what a server needs of updater.Updater.
type engine interface {
	Lock(context.Context) error
	Unlock() error
	Adopt(context.Context) (commit func() error, err error)
	Spawned(pid int)
	Standby()
	Check(context.Context, updater.Request) (updater.Found, error)
	Upgrade(context.Context, updater.Request) (updater.Outcome, error)
	Rollback(context.Context, updater.Request) (updater.Outcome, error)
	Hold(updater.Hold) error
	Unhold() error
	Unquarantine(which string) ([]updater.Quarantined, error)
	History() ([]updater.Attempt, error)
	Run(context.Context) error
	Replaced(context.Context) error
	ProveInstalled(context.Context) error
	RestartFailed(error)
	StartedWell() error
	StopAsked() error
	NoWayBack() error
	Status() (updater.Status, error)
	StateDir() string
	Announce(socket string) error
}

// runner is one process that serves.
type runner struct {
	s     Service
	log   *slog.Logger
	since time.Time

	p         process
	u         engine // nil: unusable says why
	unusable  error
	assembled chan struct{} // closed when p and u are set: signals may come before
	questions []question    // about the program, see ownQuestions
	hub       *hub
	passage   passage
	levels    levels
	votes     votes
	departure departure
	lockRetry time.Duration
	listening []net.Listener
	ops       []net.Listener // those of Service.Ops
	ledger    *ledger
	metrics   *metrics
	certs     map[tlsKey]*certificates
	room      *room
	drains    drains
	place     place        // of the admin socket; zero if there is none
	failed    atomic.Value // error before readiness, for the predecessor to read
	broken    atomic.Bool  // ends because it cannot serve
	ending    sync.Once    // says that it was asked to end

	settled     chan struct{} // closed when it is known whether this process gets the update lock
	settle      sync.Once
	resurrected atomic.Bool // serves again after its successor died while it drained

	slot    chan struct{}           // holds one token while an attempt that was asked for runs
	attempt atomic.Pointer[attempt] // that attempt

	mu           sync.Mutex
	off          string // why this server does not update itself; "" if it does
	locked       bool   // this process holds the update lock
	restartError string // of the last HUP
}

// Run serves s until it has been replaced by a successor or stopped, by a signal or by the end of ctx, and
// has drained: then it returns nil. It may be called once in a program, before anything else is opened: in the stage and
// proof roles (package role) it does not return.
func Run(ctx context.Context, s Service) error {
	role.Act(role.Report{Name: s.Name, Version: s.Version})
	s, err := s.filled()
	if err != nil {
		return err
	}
	r := newRunner(s)
	if err := ColdStart(s); err != nil {
		return err
	}
	p, err := grace.New(r.graceOptions())
	if err != nil {
		return err
	}
	r.p = p
	recordBlob.Keep(p, r.recordNow)
	r.openUpdater(func(o updater.Options) (engine, error) { return updater.New(o) })
	close(r.assembled)
	go r.ledger.inherit(ctx, bequest{p}) // ends with the predecessor, or with the program
	return r.run(ctx)
}

func newRunner(s Service) *runner {
	r := &runner{s: s, log: s.Logger, since: time.Now(), assembled: make(chan struct{}), settled: make(chan struct{}), slot: make(chan struct{}, 1), lockRetry: lockRetry}
	r.questions, r.hub = ownQuestions(s), newHub()
	r.certs, r.room = map[tlsKey]*certificates{}, newRoom(s.Limits.Connections)
	r.ledger = newLedger()
	return r
}

func (r *runner) graceOptions() grace.Options {
	return grace.Options{
		Name: r.s.Name, Version: r.s.Version, Logger: r.log,
		StartTimeout: r.s.StartTimeout, Probation: r.s.Probation, UpdateProbation: r.s.UpdateProbation,
		DrainTimeout: r.s.DrainTimeout, HealthInterval: r.s.HealthInterval,
		Health: r.vote, HealthPath: "/readyz", Witness: r.witness,
		Hangup: r.hangup, Orphaned: r.orphaned, OnEvent: r.onEvent,
		OnDrain: func(net.Conn) { r.drains.begin() }, // of a second drain, Draining and the steps say nothing
	}
}

// run is the life of a process, from the first socket to the end of the drain.
func (r *runner) run(ctx context.Context) error {
	r.log.Info("starting", "app", r.s.Name, "version", r.s.Version, "generation", r.p.Generation(), "pid", os.Getpid())
	asked := ctx.Done()
	// Whoever called Run wants a drain when he ends ctx, and requests under way have contexts that come from it: what runs here lives as long
	// as the process. Only until it serves there is nothing to drain.
	life, cancel := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), ofRun{}, r))
	defer cancel()
	defer r.whenDraining(r.drains.begin)()
	begun := context.AfterFunc(ctx, cancel)
	ctx = life

	serving := make(chan error, len(r.s.listeners())+1)
	services, err := r.begin(ctx, serving)
	if err != nil {
		return r.abort(err)
	}
	begun()
	r.passage.becameReady()
	if r.s.OnReady != nil {
		r.s.OnReady()
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.whenActive(ctx) })
	r.tellState()
	defer r.whenDraining(func() { r.tellState(); r.hub.dismiss() })()

	exited := make(chan struct{})
	go func() { // ends with the process's life, which Stop ends too
		r.p.Wait(context.Background())
		close(exited)
	}()
	var failure error
	stop := sync.OnceFunc(r.p.Stop) // a second one would be taken for impatience
	for {
		select {
		case <-asked:
			asked = nil
			stop()
			continue
		case err := <-serving:
			services--
			if err != nil && failure == nil {
				failure = err
				r.broken.Store(true)
				r.log.Error("serve", "generation", r.p.Generation(), "err", err)
				stop()
			}
			continue
		case <-exited:
		}
		break
	}
	cancel()
	wg.Wait()
	r.awaitLoops(serving, services)
	r.stopAsked()
	r.leave()
	return failure
}

// begin does everything up to readiness, and returns how many services will tell of their end.
func (r *runner) begin(ctx context.Context, serving chan<- error) (int, error) {
	h := r.s.Handler
	if r.s.Start != nil {
		var err error
		if h, err = r.s.Start(ctx); err != nil {
			return 0, fmt.Errorf("start %s: %w", r.s.Name, err)
		}
	}
	var services []func() error
	for _, l := range r.s.listeners() {
		ln, err := r.open(l)
		if err != nil {
			return 0, err
		}
		serve, err := r.answer(ctx, l, ln, h)
		if err != nil {
			return 0, err
		}
		services = append(services, serve)
	}
	r.metrics = newMetrics(r)
	ops, err := r.openOps(ctx)
	if err != nil {
		return 0, err
	}
	services = append(services, ops...)
	adminListener, err := r.openAdmin()
	if err != nil {
		r.log.Error("no admin socket: upgrade and status cannot reach this server", "err", err)
	} else {
		srv := r.adminServer(ctx)
		services = append(services, func() error { return r.p.Serve(srv, adminListener) })
	}
	for _, serve := range services {
		go func() { serving <- serve() }() // ends with the process
	}
	return len(services), r.p.Ready(ctx)
}

// awaitLoops lets the protocols of the program's own, whose Accept has just failed, do what they do at their end, within reason.
func (r *runner) awaitLoops(serving <-chan error, n int) {
	patience := time.NewTimer(abortTimeout)
	defer patience.Stop()
	for ; n > 0; n-- {
		select {
		case <-serving:
		case <-patience.C:
			r.log.Warn("a listener's Serve has not returned", "after", abortTimeout)
			return
		}
	}
}

// abort ends a process that never got ready. A successor says so to its predecessor, by being ill when it
// declares readiness; its exit is the verdict. A first generation gives back what it has opened.
func (r *runner) abort(err error) error {
	if r.p.Generation() > 1 {
		r.failed.Store(err)
		if told := r.p.Ready(context.Background()); told == nil {
			return errors.Join(err, errors.New("declared ready all the same"))
		}
		return err
	}
	if r.blameless(err) {
		r.stopAsked()
	}
	r.p.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), abortTimeout)
	defer cancel()
	if waitErr := r.p.Wait(ctx); waitErr != nil {
		r.log.Warn("end before readiness", "err", waitErr)
	}
	r.leave()
	return err
}

// vote is this process's judgement of itself, for grace.
func (r *runner) vote(ctx context.Context) error {
	if err, ok := r.failed.Load().(error); ok {
		return err
	}
	for i, err := range askAll(ctx, r.questions) {
		if err != nil {
			return fmt.Errorf("%s: %w", r.questions[i].name, err)
		}
	}
	return r.isVotedWell(ctx)
}

// onEvent writes the successor's pid down before it can do anything that matters.
func (r *runner) onEvent(e grace.Event) {
	<-r.assembled
	r.noteDrain(e.Step)
	if e.Step == grace.StepResurrected {
		r.resurrected.Store(true)
		r.hub.resume()
		r.announce()
	}
	r.passage.step(e, r.probation)
	r.votes.step(e)
	r.ledger.event(e)
	r.tellStep(e)
	if a := r.attempt.Load(); a != nil {
		a.step(e)
	}
	if e.Step == grace.StepCommitted {
		r.hub.dismiss()
	}
	if r.u == nil {
		return
	}
	switch e.Step {
	case grace.StepSpawned:
		r.u.Spawned(e.PID)
	case grace.StepNoWayBack:
		if err := r.u.NoWayBack(); err != nil {
			r.log.Error("write down that there is no way back", "err", err)
		}
	case grace.StepStandby:
		r.u.Standby()
	}
}
