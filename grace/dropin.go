package grace

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// claimPatience is how long a drop-in program may go without asking for another inherited socket before it counts
// as ready: it cannot tell us how many servers it will start.
const claimPatience = 2 * time.Second

// ListenAndServe is net/http's, for a process that can be replaced: HUP or USR2 starts what stands at the
// install path, hands it the socket and stands by for [DefaultProbation]. It returns nil when this process has been
// replaced and drained, or stopped by TERM or INT. Several servers may run in one program.
func ListenAndServe(addr string, handler http.Handler) error {
	d, err := dropIn()
	if err != nil {
		return err
	}
	if addr == "" {
		addr = ":http"
	}
	ln, err := d.Listen("tcp", addr)
	if err != nil {
		return err
	}
	d.tell()
	return d.Serve(&http.Server{Addr: addr, Handler: handler}, ln)
}

// shared is the Process behind the drop-in functions.
type shared struct {
	*Process
	claimed chan struct{} // one token for each server that listens
}

var dropIn = sync.OnceValues(func() (*shared, error) {
	p, err := New(Options{Logger: slog.Default()})
	if err != nil {
		return nil, err
	}
	d := &shared{p, make(chan struct{})}
	go d.declare()
	return d, nil
})

// tell lets declare know of one server more.
func (d *shared) tell() {
	select {
	case d.claimed <- struct{}{}:
	case <-d.exited: // stopped meanwhile: nobody counts any more
	}
}

// declare says READY when every inherited socket is claimed, or none was for a while; in generation 1 at the
// first server. It goes on taking tokens until the process ends.
func (d *shared) declare() {
	patience := time.NewTimer(claimPatience)
	defer patience.Stop()
	ready := false
	for {
		select {
		case <-d.claimed:
			patience.Reset(claimPatience)
			if ready || d.generation > 1 && d.unclaimed() > 0 {
				continue
			}
		case <-patience.C:
			if ready || d.opened() == 0 {
				continue
			}
		case <-d.exited:
			return
		}
		ready = true
		if err := d.Ready(context.Background()); err != nil {
			d.log.Error("declare readiness", "err", err)
		}
	}
}
