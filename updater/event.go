package updater

// Phase is a step of the flow, in its order.
type Phase string

// The phases.
const (
	PhaseCheck     Phase = "check"
	PhaseFetch     Phase = "fetch"
	PhaseVerify    Phase = "verify"
	PhaseStage     Phase = "stage"
	PhaseProve     Phase = "prove"
	PhaseHandover  Phase = "hand over"
	PhaseProbation Phase = "probation"
	PhaseCommit    Phase = "commit"
)

// Event is one line of progress. Bars, plain lines and JSON lines are all drawn from it.
type Event struct {
	Phase   Phase  `json:"phase"`
	Attempt string `json:"attempt,omitempty"` // ID of the attempt, as in the history, from its beginning on
	Version string `json:"version,omitempty"`
	Done    int64  `json:"done,omitempty"`  // bytes
	Total   int64  `json:"total,omitempty"` // bytes; 0 if unknown
	Message string `json:"message,omitempty"`
}
