package gracetest

import (
	"net/http"
	"strings"
	"time"
)

// TB is what Run needs of a test: *testing.T is one. It is declared here so that programs which use only the load do not
// link package testing.
type TB interface {
	Helper()
	Name() string
	TempDir() string
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Phase is a moment of a handover at which Run kills.
type Phase string

// The phases, in their order.
const (
	BeforeHello Phase = "before HELLO"                 // the successor has begun, and has not spoken yet
	BeforeReady Phase = "before READY"                 // it has its sockets, and has not declared readiness
	FirstHalf   Phase = "first half of probation"      // it serves, the predecessor stands by
	SecondHalf  Phase = "second half of probation"     // connections move, or are told to go
	Committing  Phase = "during the commit"            // its predecessor writes to disk
	AfterCommit Phase = "while the predecessor drains" // COMMIT was acknowledged
)

var phases = []Phase{BeforeHello, BeforeReady, FirstHalf, SecondHalf, Committing, AfterCommit}

// An Option changes what Run does.
type Option func(*plan)

type plan struct {
	handovers int
	kills     []kill
	load      *Options // nil: the default
	probation time.Duration
	tls       bool
	shutdown  bool
}

// kill says whom to kill, and when.
type kill struct {
	predecessor bool
	at          Phase
}

func (k kill) String() string {
	if k.predecessor {
		return "predecessor killed " + string(k.at)
	}
	return "successor killed " + string(k.at)
}

// Handovers sets how many handovers there are without a kill; default 3. One more follows the last kill.
func Handovers(n int) Option { return func(p *plan) { p.handovers = n } }

// KillSuccessor adds a handover for each of the phases (none named: for every one), in which the successor is killed there.
func KillSuccessor(at ...Phase) Option { return killing(false, at) }

// KillPredecessor adds a handover for each of the phases (none named: for every one), in which the predecessor is killed there.
func KillPredecessor(at ...Phase) Option { return killing(true, at) }

func killing(predecessor bool, at []Phase) Option {
	if len(at) == 0 {
		at = phases
	}
	return func(p *plan) {
		for _, ph := range at {
			p.kills = append(p.kills, kill{predecessor, ph})
		}
	}
}

// Under replaces the load: by default, a few clients of every kind, but with TLS no pipelined and no silent ones, whose connections do not move.
// Addr and TLS are filled in. The default of SlowPath and StreamPath is a path of Run's own, below /.gracetest/, which the handler never sees.
func Under(o Options) Option { return func(p *plan) { p.load = &o } }

// Probation sets how long each successor is on probation; default 400 ms.
func Probation(d time.Duration) Option { return func(p *plan) { p.probation = d } }

// TLS serves HTTPS, with a certificate made for the run. The clients speak HTTP/1.1.
func TLS() Option { return func(p *plan) { p.tls = true } }

// Shutdown makes the run a control: the same load on a server that hands its socket over and calls http.Server.Shutdown. The
// test fails if nothing is lost, since then the load sees too little. It cannot be combined with kills.
func Shutdown() Option { return func(p *plan) { p.shutdown = true } }

func newPlan(opts []Option) *plan {
	p := &plan{handovers: 3, probation: 400 * time.Millisecond}
	for _, o := range opts {
		o(p)
	}
	if p.load == nil {
		p.load = &Options{
			KeepAlive: 4, Idle: 8, New: 2, Slow: 2, Bytewise: 1, Pipelined: 2, Streaming: 2, Distant: 4, Hold: 2, Late: 2, Silent: 50,
			HoldPause: 2 * time.Second,
		}
		if p.tls { // connections with TLS do not move: their last answer says Connection: close
			p.load.Pipelined, p.load.Silent = 0, 0
		}
	}
	if p.load.SlowPath == "" {
		p.load.SlowPath = slowPath
	}
	if p.load.StreamPath == "" {
		p.load.StreamPath = streamPath
	}
	p.load.fill()
	return p
}

// What Run serves beside the user's handler.
const (
	ownPaths   = "/.gracetest/"
	slowPath   = ownPaths + "slow"
	streamPath = ownPaths + "stream"
	anchorPath = ownPaths + "anchor"
)

// withOwnPaths adds them, without a ServeMux around the user's handler: that would redirect some of its paths.
func withOwnPaths(h http.Handler) http.Handler {
	if h == nil {
		h = http.DefaultServeMux
	}
	own := http.NewServeMux()
	own.HandleFunc(slowPath, func(http.ResponseWriter, *http.Request) {
		time.Sleep(300 * time.Millisecond) // as an answer that takes long to make
	})
	own.HandleFunc(streamPath, Stream)
	own.HandleFunc(anchorPath, func(w http.ResponseWriter, r *http.Request) { // holds this process until the client hangs up
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, ownPaths) {
			own.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}
