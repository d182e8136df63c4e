package tuf

import "sync"

// Stage is a step of storing a release.
type Stage string

// The stages.
const (
	StageCompress Stage = "compress"
	StageDelta    Stage = "delta"
)

// Progress tells how far a step has come. Steps run side by side: Stage and File together name one.
type Progress struct {
	Stage Stage
	File  string // "hello-linux-amd64", or for a delta "hello-linux-amd64 from 1.3.0"
	Done  int64  // bytes of Total
	Total int64  // bytes of the executable
	Note  string // why a delta was not made, which is no failure; "" otherwise
}

// reporter passes progress on, one call at a time.
type reporter struct {
	mu sync.Mutex
	f  func(Progress) // may be nil
}

func (r *reporter) tell(p Progress) {
	if r.f == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.f(p)
}
