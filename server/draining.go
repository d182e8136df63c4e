package server

import (
	"context"
	"sync"

	"github.com/moult-go/moult/grace"
)

// Draining is closed when this process begins to drain: another one serves by now, or nobody will. ctx is that of a request, of Service.Start or
// of Listener.Serve; with any other the channel is never closed.
//
// It is for those whose work does not end by itself before the drain deadline: a WebSocket says goodbye to its client, an event stream or a
// long poll ends, a gRPC server stops gracefully, so that clients come back, to the successor. A request that
// ends by itself has no need of it.
func Draining(ctx context.Context) <-chan struct{} {
	if r, ok := ctx.Value(ofRun{}).(*runner); ok {
		return r.drains.channel()
	}
	return nil
}

// drains is the drain of this process: there may be another one after it, if the successor dies and this process serves again.
type drains struct {
	mu    sync.Mutex
	begun chan struct{}
}

func (d *drains) channel() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now()
}

// now returns the channel. The caller holds mu.
func (d *drains) now() chan struct{} {
	if d.begun == nil {
		d.begun = make(chan struct{})
	}
	return d.begun
}

// begin closes the channel.
func (d *drains) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.now():
	default:
		close(d.begun)
	}
}

// over is the return to service: what begins from here on is to know nothing of the drain before.
func (d *drains) over() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begun = nil
}

// noteDrain follows the steps of the process.
func (r *runner) noteDrain(s grace.Step) {
	switch s {
	case grace.StepResurrected:
		r.drains.over()
	case grace.StepCommitted, grace.StepDrained:
		r.drains.begin()
	}
}
