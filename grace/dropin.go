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
	return NewServer(addr, handler).ListenAndServe()
}

// ListenAndServeTLS is ListenAndServe for HTTPS, HTTP/2 included.
func ListenAndServeTLS(addr string, certFile string, keyFile string, handler http.Handler) error {
	return NewServer(addr, handler).ListenAndServeTLS(certFile, keyFile)
}

// shared is the Process behind the drop-in functions and the servers of NewServer.
type shared struct {
	*Process
	claimed chan struct{} // one token for each server that begins to serve
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

// declare says READY when every inherited socket is claimed, or none was for a while, and every listener is served; in
// generation 1 at the first server, unless a service manager has passed sockets on. It goes on taking tokens until the process ends.
func (d *shared) declare() {
	patience := time.NewTimer(claimPatience)
	defer patience.Stop()
	ready := false
	for {
		late := false
		select {
		case <-d.claimed:
			patience.Reset(claimPatience)
		case <-patience.C:
			late = true
		case <-d.exited:
			return
		}
		if ready || d.opened() == 0 {
			continue
		}
		inherited, open := d.unserved()
		switch {
		case d.generation == 1 && (late || len(inherited) == 0):
		case late && len(open) > 0:
			d.log.Warn("not ready: nobody serves on a listener that was opened", "addresses", open)
			patience.Reset(claimPatience)
			continue
		case len(open) > 0, len(inherited) > 0 && !late:
			continue
		}
		ready = true
		if err := d.Ready(context.Background()); err != nil {
			d.log.Error("declare readiness", "err", err)
		}
	}
}
