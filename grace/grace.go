package grace

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moult-go/moult/grace/role"
)

// Defaults of [Options]. DefaultTimeout keeps the name and meaning it has in beego's grace module.
var (
	// DefaultTimeout is the drain deadline: how long a predecessor waits for its last requests.
	// A negative value waits for ever.
	DefaultTimeout = 60 * time.Second
	// DefaultProbation is how long a predecessor stands by after a handover that brings no new version
	// from a source (HUP, the drop-in).
	DefaultProbation = 5 * time.Second
	// DefaultUpdateProbation is the same for a handover with a commit: an update.
	DefaultUpdateProbation = 60 * time.Second
)

// Options configures a Process. The zero value is useful.
type Options struct {
	Name    string // of the application, for the proof; default: base name of the executable
	Version string // of the application, for the proof; default: of the main module

	Logger *slog.Logger // default: discards

	StartTimeout    time.Duration // from fork to readiness, or from the last Extend; default 60 s
	Probation       time.Duration // default DefaultProbation
	UpdateProbation time.Duration // default DefaultUpdateProbation
	DrainTimeout    time.Duration // default DefaultTimeout; negative: no deadline
	HealthInterval  time.Duration // between two votes on probation; default 1 s

	// Health is this process's own judgement. It is asked before readiness is declared and, on probation,
	// once in each health interval. Default: always well.
	Health func(ctx context.Context) error
	// HealthPath is the path that a predecessor requests, through the real socket, of its successor's HTTP
	// servers: any status below 500 is well. Default: "OPTIONS *", which net/http answers by itself.
	HealthPath string
	// Witness is what others say of a successor: its predecessor asks once in each health interval of the probation, and an error counts as if
	// the successor had said itself that it is not well. Default: nobody is asked.
	Witness func(ctx context.Context) error

	// PIDFile is a file to name the process that serves for good: written, in one piece, at the readiness of generation 1 and
	// by each successor at COMMIT, and removed at the end by the process that it names. Default: none.
	PIDFile string
	// OnStandby is called in a predecessor when its successor serves and it stands by: pause what only one process may do, a cron
	// or a queue consumer. There is no COMMIT before it has returned, so Active of the successor means that nobody else
	// holds it. An error, a panic, or more than ReleaseTimeout undoes the handover (CauseNotReleased). Default: nothing.
	OnStandby func(ctx context.Context) error
	// OnResume undoes OnStandby when this process serves again. Requests do not wait for it. When it fails it is called again,
	// every 250 ms, until StartTimeout is over. Default: nothing.
	OnResume func(ctx context.Context) error
	// Exclusive is for a service with something that only one process can hold, such as an embedded database. Its predecessor stops
	// serving, lets the requests under way end, and calls OnStandby, which closes it; only then does New return in the
	// successor, which opens it. Clients wait meanwhile: so little should lie between New and Ready. When the handover is undone, the
	// successor is gone before OnResume is called, and OnResume has returned before this process serves; if it keeps failing until
	// StartTimeout is over, Wait returns an error. Requests on Held sockets never wait, and may come while OnStandby runs and after it.
	Exclusive bool
	// ReleaseTimeout bounds OnStandby and, for an Exclusive process, the wait for requests under way: if they do not end, the handover
	// is undone. Default 10 s.
	ReleaseTimeout time.Duration

	// Hangup is what HUP and USR2 do. Default: hand over to whatever stands at the install path.
	Hangup func(ctx context.Context) error

	// Orphaned is called in a successor whose predecessor died before COMMIT: take the lock, read the
	// journal, and return the commit to run when this process has ended its probation by itself.
	// Default: nothing to commit.
	Orphaned func(ctx context.Context) (commit func() error, err error)

	// MaxDraining is how many older generations may drain at a time. When there are more, the oldest closes what it has left and goes.
	// Default 4; negative: no limit.
	MaxDraining int

	// OnDrain is called when this process begins to drain, once for each open connection that speaks no HTTP any more (it was hijacked,
	// as for a WebSocket) or never did, in a goroutine of its own: tell the client to move on. conn is what Hijack or Accept returned.
	// It has until the drain deadline.
	OnDrain func(conn net.Conn)

	// StayParent says whether this process stays as the parent of all generations, for a supervisor that
	// follows one pid. Default: StayParentAuto.
	StayParent StayParent

	// OnEvent is told of every step of a handover, in order, by the goroutine that owns the state: the
	// handover waits for it, so it may write a line to disk but no more, and must not wait for the Process.
	OnEvent func(Event)
}

func (o *Options) fill() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.StartTimeout, 60*time.Second)
	def(&o.Probation, DefaultProbation)
	def(&o.UpdateProbation, DefaultUpdateProbation)
	def(&o.DrainTimeout, DefaultTimeout)
	def(&o.HealthInterval, time.Second)
	if o.MaxDraining == 0 {
		o.MaxDraining = 4
	}
	if o.OnDrain == nil {
		o.OnDrain = func(net.Conn) {}
	}
	def(&o.ReleaseTimeout, 10*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	if o.Health == nil {
		o.Health = func(context.Context) error { return nil }
	}
	if o.Witness == nil {
		o.Witness = func(context.Context) error { return nil }
	}
	if o.Orphaned == nil {
		o.Orphaned = func(context.Context) (func() error, error) { return nil, nil }
	}
}

// Socket says what to listen on. Network, address as requested (so ":0" keeps the port it got) and name
// are also the key by which a successor finds an inherited socket; equal keys are told apart by order.
type Socket struct {
	Name    string // optional
	Network string // "tcp", "tcp4", "tcp6" or "unix"
	Address string // as for net.Listen

	// Held sockets stay with the predecessor until COMMIT, instead of moving at readiness: an admin socket.
	Held bool
	// Mode is the permission of a Unix socket's file; 0 leaves it to the umask.
	Mode os.FileMode
}

// Process owns the named listeners of this program and hands them over to a successor.
// Its methods may be called from any goroutine.
type Process struct {
	o           Options
	log         *slog.Logger
	generation  int
	installPath string
	noPath      error         // set if installPath is empty
	dir         string        // working directory at the start of the line of processes
	probation   time.Duration // of this process, as its predecessor said; 0 in generation 1

	manager *manager
	pidFile pidFile
	parent  *parentLink // to the parent that stays; nil if there is none
	up      *link       // to the predecessor; nil in generation 1
	state   atomic.Int32

	conns    *conns
	hooks    hooks
	polite   atomic.Bool // answers say Connection: close
	relieved atomic.Bool // drains because a successor serves
	older    older

	tickets tickets
	blobs   blobs

	mu        sync.Mutex
	gates     []*gate
	heirlooms []*inherited
	files     []*heldFile
	opening   sync.Mutex    // held while File runs the application's open; mu is not
	accepting map[bool]bool // by Socket.Held: open new gates at once
	ended     bool

	// What others ask of the goroutine that owns the state.
	requests  chan *request
	readiness chan readiness
	told      chan os.Signal // stops as they arrive: relay passes them on to stops
	stops     chan os.Signal
	hangups   chan os.Signal

	// What that goroutine tells others, by closing.
	active   chan struct{}
	draining chan struct{}
	exited   chan struct{}

	// What the goroutine that reads from the predecessor tells others, by closing.
	noWayHeard chan struct{} // the predecessor knows that there is no way back
	bereft     chan struct{} // the predecessor is gone
	freed      chan struct{} // an Exclusive predecessor has let go

	turnstile   *turnstile // of an Exclusive process; else nil
	mustWait    bool       // the predecessor is Exclusive: New waits for freed
	predecessor int        // its pid, then

	// Only that goroutine uses the rest.
	mail        <-chan message // from the predecessor; nil when it is gone, or never was
	child       *child         // the successor, once it has been ready
	firstStop   time.Time      // when a stop was first asked for
	hangupKept  bool           // one HUP, to run after the handover under way
	awaitHangup chan struct{}  // closed when the HUP under way has been carried out
	reloading   bool           // the manager was told that a reload is under way
	paused      bool           // OnStandby was called, and OnResume was not since; only what runs in turn uses it
	released    bool           // Exclusive: parked, and letting go or done with it
	favour      chan struct{}  // closed when the one of OnStandby and OnResume that was called last has returned
	barred      bool           // a successor said that there is no way back: never serve again
	starts      int            // of successors since then
	failure     error          // what Wait returns
}

// request asks for a handover; done gets its verdict.
type request struct {
	look    bool // asks for a sign of life instead
	ctx     context.Context
	path    string
	commit  func() error
	done    chan error
	verdict error // what done gets after COMMIT: nil, or that commit failed with no way back
}

// readiness asks to be declared ready; done gets the verdict.
type readiness struct {
	done chan error
}

func init() { role.Protocols = []int{protocolVersion} }

var taken atomic.Bool

// New returns the Process of this program: one in the whole process, since it owns the signals TERM, INT, HUP and
// USR2. In the stage and proof roles it does not return (package role), nor in a process that stays as the parent
// (Options.StayParent), which starts the program anew as its child: call New before anything else is opened or begun.
func New(o Options) (*Process, error) {
	role.Act(role.Report{Name: o.Name, Version: o.Version})
	if taken.Swap(true) {
		return nil, fmt.Errorf("grace: New was called before: a program has one Process")
	}
	o.fill()
	if err := o.stay(); err != nil {
		return nil, err
	}
	p := &Process{
		o: o, log: o.Logger, generation: 1,
		conns:     newConns(),
		accepting: map[bool]bool{},
		requests:  make(chan *request),
		readiness: make(chan readiness),
		told:      make(chan os.Signal, 8),
		stops:     make(chan os.Signal, 8),
		hangups:   make(chan os.Signal, 1),
		active:    make(chan struct{}),
		draining:  make(chan struct{}),
		exited:    make(chan struct{}),
		tickets:   tickets{due: make(chan struct{}, 1)},
		hooks:     hooks{over: make(chan struct{})},

		noWayHeard: make(chan struct{}),
		bereft:     make(chan struct{}),
		freed:      make(chan struct{}),
	}
	if o.Exclusive {
		p.turnstile = &turnstile{}
	}
	var err error
	if p.pidFile, err = newPIDFile(o.PIDFile); err != nil {
		return nil, err
	}
	if err := p.begin(); err != nil {
		return nil, err
	}
	p.manager = findManager(p.up != nil, p.log)
	p.watchSignals()
	go p.relay()
	if p.parent != nil {
		go p.obey()
	}
	go p.own()
	go p.pingWatchdog()
	if err := p.awaitRelease(); err != nil {
		return nil, err
	}
	return p, nil
}

// begin finds out who this process is: generation 1, or a successor.
func (p *Process) begin() error {
	if role.Current() == role.Successor {
		return p.inherit()
	}
	p.installPath, p.noPath = findExecutable()
	if p.noPath != nil {
		p.log.Warn("the executable is not to be found: serving, but nothing can be started in our place", "err", p.noPath)
	}
	// A missing working directory is no reason not to serve; a successor then starts in it as well.
	p.dir, _ = os.Getwd()
	if role.Current() == role.FirstGeneration {
		p.join(role.First)
	}
	return p.takeUnitSockets()
}

// findExecutable follows symbolic links. It fails where procfs is not mounted, and when the file is gone already.
func findExecutable() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the executable: %w", err)
	}
	path, err := filepath.EvalSymlinks(exe)
	if err != nil {
		return "", fmt.Errorf("find the executable: %w", err)
	}
	return path, nil
}

// watchSignals asks for the signals. What was ignored at the start (nohup, a shell's background) stays ignored.
func (p *Process) watchSignals() {
	for _, s := range stopSignals {
		if !signal.Ignored(s) {
			signal.Notify(p.told, s)
		}
	}
	for _, s := range hangupSignals {
		if !signal.Ignored(s) {
			signal.Notify(p.hangups, s)
		}
	}
}

// Ready declares that every listener is being served: Accept returns connections from here on. In a successor
// it tells the predecessor to stand by. An error (this process is not well, or is to stop) means that the
// caller should end the program. Call it once.
func (p *Process) Ready(ctx context.Context) error {
	if err := p.o.Health(ctx); err != nil {
		err = fmt.Errorf("declare readiness: not well: %w", err)
		p.up.send(newMessage(msgFail, "reason", err.Error()))
		return err
	}
	if p.up != nil {
		p.awaitAccept(ctx)
	}
	r := readiness{make(chan error, 1)}
	select {
	case p.readiness <- r:
		err := <-r.done
		if err == nil {
			p.lint()
		}
		return err
	case <-p.exited:
		return fmt.Errorf("declare readiness: this process is %s", p.State())
	case <-ctx.Done():
		return fmt.Errorf("declare readiness: %w", ctx.Err())
	}
}

// acceptTime is how long Ready waits for listeners on which nobody accepts yet. Programs serve on them from goroutines that they start just
// before, and the predecessor's connections, which may come at once, are refused by a listener that nobody serves.
const acceptTime = 200 * time.Millisecond

// awaitAccept waits until somebody accepts on every open listener.
func (p *Process) awaitAccept(ctx context.Context) {
	for begun := time.Now(); ctx.Err() == nil && time.Since(begun) < acceptTime; time.Sleep(100 * time.Microsecond) { // between two looks
		if _, open := p.unserved(); len(open) == 0 {
			return
		}
	}
}

// Extend asks the predecessor for another start timeout from now on: a long start (a cache to fill) calls it now and then,
// before Ready. The predecessor grants mostStarts of them in all. In generation 1 it asks the service manager, if there is one.
func (p *Process) Extend() error {
	if p.up == nil {
		p.manager.tell(extend(p.o.StartTimeout), status("generation 1 starts"))
		return nil
	}
	return p.up.send(newMessage(msgExtend))
}

// Handover starts the executable at path with this process's sockets, stands by through its probation, runs
// commit (nil: nothing to commit) and lets go. A nil error means that COMMIT was acknowledged and that this
// process drains. Any error means that this process serves on: a *BusyError if a handover is under way, a
// *HandoverError otherwise (if its NoWayBack is set, this process may not serve). Ending ctx before the commit has begun takes the successor back.
func (p *Process) Handover(ctx context.Context, path string, commit func() error) error {
	r := &request{ctx: ctx, path: path, commit: commit, done: make(chan error, 1)}
	select {
	case p.requests <- r:
		return <-r.done
	case <-p.exited:
		return &BusyError{p.State()}
	case <-ctx.Done():
		return fmt.Errorf("hand over: %w", ctx.Err())
	}
}

// Stop asks for a drain and an end, as TERM does. In standby it is passed on to the successor.
func (p *Process) Stop() {
	select {
	case p.told <- syscall.SIGTERM:
	default:
	}
}

// Wait returns nil when this process was replaced or stopped, and has drained. An error that is not the context's means that
// neither this process nor a successor can serve: end the program, for a supervisor to start it anew.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return p.failure
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Active is closed when no predecessor serves or can come back: when generation 1 is ready, at COMMIT in a
// successor. What only one process may do begins here.
func (p *Process) Active() <-chan struct{} { return p.active }

// Draining is closed when this process begins to drain.
func (p *Process) Draining() <-chan struct{} { return p.draining }

// InstallPath is the path this line of processes was started from, symbolic links followed, resolved once by
// generation 1. The system is never asked again: it would name the file that the inode was renamed to.
func (p *Process) InstallPath() string { return p.installPath }

// Generation counts from 1 along the line of processes.
func (p *Process) Generation() int { return p.generation }

// arguments are frozen before the program can change them.
var arguments = slices.Clone(os.Args)

// setCrashOutput is debug.SetCrashOutput; the predecessor reads a successor's last words there.
func setCrashOutput(f *os.File) error { return debug.SetCrashOutput(f, debug.CrashOptions{}) }
