package grace

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
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
	Name    string // of the application, for the proof; default: base name of the install path
	Version string // of the application, for the proof; default: of the main module

	Logger *slog.Logger // default: discards

	StartTimeout    time.Duration // from fork to readiness; default 60 s
	Probation       time.Duration // default DefaultProbation
	UpdateProbation time.Duration // default DefaultUpdateProbation
	DrainTimeout    time.Duration // default DefaultTimeout; negative: no deadline
	HealthInterval  time.Duration // between two votes on probation; default 1 s

	// Health is this process's own judgement. It is asked before readiness is declared and, on probation,
	// once in each health interval. Default: always well.
	Health func(ctx context.Context) error
	// HealthPath is the path a predecessor requests, through the real socket, of its successor's HTTP
	// servers: any status below 500 is well. Default: "OPTIONS *", which net/http answers by itself.
	HealthPath string

	// Hangup is what HUP and USR2 do. Default: hand over to whatever stands at the install path.
	Hangup func(ctx context.Context) error

	// Orphaned is called in a successor whose predecessor died before COMMIT: take the lock, read the
	// journal, and return the commit to run when this process has ended its probation by itself.
	// Default: nothing to commit.
	Orphaned func(ctx context.Context) (commit func() error, err error)

	// OnEvent is told of every step of a handover, in order, by the goroutine that owns the state:
	// it must not block and must not call the Process.
	OnEvent func(Event)
}

// Socket says what to listen on. It is also the key by which a successor finds an inherited socket:
// network, address as requested (so ":0" keeps its port) and name; equal keys are told apart by order.
type Socket struct {
	Name    string // optional
	Network string // "tcp", "tcp4", "tcp6" or "unix"
	Address string // as for net.Listen

	// Held sockets stay with the predecessor until COMMIT, instead of moving at readiness: the admin socket.
	Held bool
	// Mode is the permission of a Unix socket's file; 0 leaves it to the umask.
	Mode os.FileMode
}

// Event is one step of a handover, or of this process's life.
type Event struct {
	Step       Step
	Generation int    // whom the step is about
	PID        int    // likewise
	Path       string // executable of the successor
	Err        error  // for StepRolledBack
}

// Step names an Event.
type Step string

// The steps. A predecessor reports Spawned, Standby, and Committed or RolledBack; then Drained.
const (
	StepSpawned    Step = "spawned"     // the successor's process exists
	StepStandby    Step = "standby"     // it is ready; this process has parked its gate
	StepCommitted  Step = "committed"   // COMMIT acknowledged; this process drains
	StepRolledBack Step = "rolled-back" // this process serves again
	StepDrained    Step = "drained"     // the last connection is gone, or the deadline was reached
	StepOrphaned   Step = "orphaned"    // in a successor: the predecessor died before COMMIT
)

// New returns the Process of this program. In the stage and proof roles it does not return (package role).
func New(o Options) (*Process, error) { panic("unwritten") }

// Process owns the named listeners of this program and hands them over to a successor.
type Process struct{}

// Listen is [Process.Open] without a name.
func (p *Process) Listen(network, address string) (net.Listener, error) { panic("unwritten") }

// Open returns the inherited socket of this key, or binds a new one. Accept parks while another generation
// serves, and returns net.ErrClosed once this process will never accept again.
func (p *Process) Open(s Socket) (net.Listener, error) { panic("unwritten") }

// Inherited returns the first inherited socket of this name that has not been claimed yet.
func (p *Process) Inherited(name string) (Socket, bool) { panic("unwritten") }

// Serve serves HTTP on a listener of this Process until the process has drained; then it returns nil.
// It wraps srv.Handler and srv.ConnState, and drains without http.Server.Shutdown.
func (p *Process) Serve(srv *http.Server, ln net.Listener) error { panic("unwritten") }

// Ready declares that every listener is being served. In a successor it tells the predecessor to stand by
// and returns when that is done. Call it once.
func (p *Process) Ready(ctx context.Context) error { panic("unwritten") }

// Active is closed when no other generation serves or can come back: at once in generation 1 when it is
// ready, at COMMIT in a successor.
func (p *Process) Active() <-chan struct{} { panic("unwritten") }

// Draining is closed when this process begins to drain.
func (p *Process) Draining() <-chan struct{} { panic("unwritten") }

// Wait returns nil when this process was replaced or stopped, and has drained.
func (p *Process) Wait(ctx context.Context) error { panic("unwritten") }

// Stop asks for a drain and an end, as TERM does. In standby it is passed on to the successor.
func (p *Process) Stop() { panic("unwritten") }

// Handover starts the executable at path with this process's sockets, stands by through its probation, runs
// commit (nil: nothing to commit) and lets go. A nil error means COMMIT was acknowledged and this process drains. Any error
// means that this process serves on: *BusyError if a handover is under way, *HandoverError otherwise.
func (p *Process) Handover(ctx context.Context, path string, commit func() error) error {
	panic("unwritten")
}

// InstallPath is the path this line of processes was started from, symbolic links followed, resolved once by
// generation 1.
func (p *Process) InstallPath() string { panic("unwritten") }

// Generation counts from 1 along the line of processes.
func (p *Process) Generation() int { panic("unwritten") }

// State returns where this process is in the table of states.
func (p *Process) State() State { panic("unwritten") }

// Connections counts the open connections that came in through this Process's listeners.
func (p *Process) Connections() int { panic("unwritten") }
