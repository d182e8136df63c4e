package grace

// State is where a Process is in its life.
type State int

// The states, in the order of a life without trouble.
const (
	Starting State = iota
	Probation
	Serving
	HandingOver
	Standby
	Draining
	Exited
)

func (s State) String() string {
	return [...]string{"starting", "probation", "serving", "handing-over", "standby", "draining", "exited"}[s]
}
