package transfer

import (
	"context"
	"sync/atomic"
	"time"
)

// minRate is the slowest download, in bytes a second over a stall window, that is not given up: a host that drips would else
// hold an update for ever.
const minRate = 1 << 10

// stallWatch gives a download up when it brings less than minRate over a window. It counts what is written to it.
type stallWatch struct {
	n    atomic.Int64
	done chan struct{}
	over chan struct{}
}

func watch(window time.Duration, giveUp context.CancelCauseFunc) *stallWatch {
	w := &stallWatch{done: make(chan struct{}), over: make(chan struct{})}
	go func() {
		defer close(w.over)
		tick := time.NewTicker(window)
		defer tick.Stop()
		for {
			select {
			case <-w.done:
				return
			case <-tick.C:
				if float64(w.n.Swap(0)) < minRate*window.Seconds() {
					giveUp(errStalled)
					return
				}
			}
		}
	}()
	return w
}

func (w *stallWatch) stop() {
	close(w.done)
	<-w.over
}

func (w *stallWatch) Write(p []byte) (int, error) {
	w.n.Add(int64(len(p)))
	return len(p), nil
}
