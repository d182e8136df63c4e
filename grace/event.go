package grace

import "time"

// Event is one step of a handover, or of this process's life.
type Event struct {
	Step       Step
	Generation int    // whom the step is about
	PID        int    // likewise
	Path       string // executable of the successor
	Version    string // of the successor, as it says itself from StepGreeted on; untrusted text
	Err        error  // for StepRolledBack

	Time   time.Time
	Took   time.Duration // since the step before it; for the first, since the handover was begun
	Counts Counts        // of the process that tells
}

// Step names an Event.
type Step string

// The steps. Every process reports Accepting; a predecessor then Spawned, Greeted, Standby, Moving, and Committed or RolledBack; then Drained.
const (
	StepSpawned     Step = "spawned"     // the successor's process exists
	StepGreeted     Step = "greeted"     // it speaks our protocol, and has the sockets
	StepReleasing   Step = "releasing"   // this process is Exclusive and has parked: requests under way are to end
	StepStandby     Step = "standby"     // it is ready; this process has parked its gate
	StepNoWayBack   Step = "no-way-back" // it says that there is no way back to this process; it is told that this is known when OnEvent returns
	StepMoving      Step = "moving"      // half of probation is over: connections go to it
	StepCommitted   Step = "committed"   // COMMIT acknowledged; this process drains
	StepRolledBack  Step = "rolled-back" // this process serves again
	StepDrained     Step = "drained"     // the last connection is gone, or the deadline was reached
	StepResurrected Step = "resurrected" // the successor died while this process drained; it serves again
	StepOrphaned    Step = "orphaned"    // in a successor: the predecessor died before COMMIT
	StepAccepting   Step = "accepting"   // in every process, once: it is ready, and its listeners accept; the predecessor parks next
)

// note tells of a step about a successor.
func (p *Process) note(s Step, c *child, err error) {
	p.announce(s, c)
	p.tell(Event{Step: s, Generation: c.generation, PID: c.pid, Path: c.path, Version: c.version, Err: err}, &c.step)
}

// tell completes an event. since is when the step before it was taken, and becomes the time of this one.
func (p *Process) tell(e Event, since *time.Time) {
	e.Time, e.Counts = time.Now(), p.Counts()
	if !since.IsZero() {
		e.Took = e.Time.Sub(*since)
	}
	*since = e.Time
	p.log.Debug("step", "generation", p.generation, "step", string(e.Step), "of", e.Generation, "pid", e.PID, "took", e.Took)
	p.o.OnEvent(e)
}
