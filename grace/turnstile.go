package grace

import (
	"context"
	"sync"
)

// A turnstile stands before the handlers of an Exclusive process. Shut, it lets nobody in, while another generation may hold what only
// one can; whoever comes waits until it opens, or until it is certain that this process will not answer any more.
type turnstile struct {
	mu      sync.Mutex
	inside  int
	waiting chan struct{} // not nil while shut; closed when that is over
	refuses bool
	empty   chan struct{} // not nil while somebody waits for the last one to leave
}

// enter reports whether the request may go on; then leave must follow.
func (ts *turnstile) enter(ctx context.Context) bool {
	for {
		ts.mu.Lock()
		if ts.waiting == nil && !ts.refuses {
			ts.inside++
			ts.mu.Unlock()
			return true
		}
		refuses, over := ts.refuses, ts.waiting
		ts.mu.Unlock()
		if refuses {
			return false
		}
		select {
		case <-over:
		case <-ctx.Done(): // the client is gone
			return false
		}
	}
}

func (ts *turnstile) leave() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.inside--
	if ts.inside == 0 && ts.empty != nil {
		close(ts.empty)
		ts.empty = nil
	}
}

// shut holds who comes, and returns a channel that is closed when nobody is inside.
func (ts *turnstile) shut() <-chan struct{} {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.waiting == nil {
		ts.waiting = make(chan struct{})
	}
	empty := make(chan struct{})
	if ts.inside == 0 {
		close(empty)
	} else {
		ts.empty = empty
	}
	return empty
}

// open lets everybody in.
func (ts *turnstile) open() { ts.end(false) }

// refuse sends away whom it holds, and who comes.
func (ts *turnstile) refuse() { ts.end(true) }

func (ts *turnstile) end(refuse bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.refuses = refuse
	if ts.waiting != nil {
		close(ts.waiting)
		ts.waiting = nil
	}
}
