package grace

import (
	"fmt"
	"slices"
)

// State is where a Process is in its life.
type State int32

// The states, in the order of a life without trouble.
const (
	Starting    State = iota // not ready yet
	Probation                // a successor: serves, the predecessor stands by
	Serving                  // serves, and nobody else does
	HandingOver              // serves, while a successor starts
	Standby                  // a predecessor: its gate is parked, its sockets are open, the successor is on probation
	Draining                 // finishes what it has accepted
	Exited                   // nothing left; Wait has returned
)

func (s State) String() string {
	return [...]string{"starting", "probation", "serving", "handing-over", "standby", "draining", "exited"}[s]
}

// transitions is every legal step. A failing edge leads a predecessor back to Serving and a successor to Exited.
var transitions = map[State][]State{
	Starting: {
		Serving,   // generation 1 is ready
		Probation, // a successor is ready
		Draining,  // stopped early
		Exited,    // killed by its predecessor's end of patience, or failed to get ready
	},
	Probation: {
		Serving,  // row 8a: COMMIT; row 8c: it ended its probation by itself
		Draining, // stopped
	},
	Serving: {
		HandingOver, // row 1
		Draining,    // stopped
	},
	HandingOver: {
		Standby,  // row 5: READY
		Serving,  // row 8b: the successor never became ready
		Draining, // stopped; the newcomer was killed
	},
	Standby: {
		HandingOver, // it died, and there is no way back: started again
		Draining,    // row 8a: committed; or stopped, the successor with it
		Serving,     // row 8b: the successor was taken back
	},
	Draining: {
		Serving,     // row 8d: the successor died after COMMIT
		HandingOver, // likewise, and there is no way back
		Exited,
	},
}

// set moves to another state. Only the goroutine of own calls it.
func (p *Process) set(to State) {
	from := p.State()
	if !slices.Contains(transitions[from], to) {
		panic(fmt.Sprintf("grace: no transition from %s to %s", from, to))
	}
	p.state.Store(int32(to))
	p.log.Debug("state", "generation", p.generation, "from", from.String(), "to", to.String())
}

// State returns where this process is.
func (p *Process) State() State { return State(p.state.Load()) }
