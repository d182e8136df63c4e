package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"sync"
	"time"
)

// net/http/pprof is not imported: its init puts its handlers on http.DefaultServeMux, which may be what a program serves to the public. It also tells
// the command line, which may hold what is nobody's business.

const (
	profileDefault = 30 * time.Second
	traceDefault   = time.Second
	// mostProfile bounds what ?seconds asks for.
	mostProfile = 5 * time.Minute
)

// snapshots are the profiles that are there all the time.
var snapshots = []string{"allocs", "block", "goroutine", "heap", "mutex"}

// profiler answers below /debug/pprof/, in the forms that go tool pprof and go tool trace read.
type profiler struct {
	ending    func() <-chan struct{} // closed when this process drains
	observing sync.Mutex             // held while contention is recorded
}

func (p *profiler) handle(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/{$}", profileIndex)
	mux.HandleFunc("GET /debug/pprof/profile", func(w http.ResponseWriter, req *http.Request) {
		p.stream(w, req, profileDefault, func() error { return pprof.StartCPUProfile(w) }, pprof.StopCPUProfile)
	})
	mux.HandleFunc("GET /debug/pprof/trace", func(w http.ResponseWriter, req *http.Request) {
		p.stream(w, req, traceDefault, func() error { return trace.Start(w) }, trace.Stop)
	})
	for _, name := range snapshots {
		mux.HandleFunc("GET /debug/pprof/"+name, func(w http.ResponseWriter, req *http.Request) { p.snapshot(w, req, name) })
	}
}

func profileIndex(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "profile?seconds=30  processor time\ntrace?seconds=1     execution trace, for go tool trace\n\n")
	for _, name := range snapshots {
		p := pprof.Lookup(name)
		fmt.Fprintf(w, "%-12s %7d\n", name, p.Count())
	}
	fmt.Fprintf(w, "\n?debug=1 is for people; block and mutex are empty unless ?seconds=N records them, or the program does.\n")
}

// stream sends what start begins for as long as was asked for. It ends before that when its client goes away, or this process drains.
func (p *profiler) stream(w http.ResponseWriter, req *http.Request, otherwise time.Duration, start func() error, stop func()) {
	d, err := asked(req, otherwise)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	asFile(w, "profile")
	if err := start(); err != nil { // before anything is written: another one runs
		w.Header().Del("Content-Disposition")
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	p.pause(req.Context(), d)
	stop()
}

// snapshot writes one profile: ?gc=1 collects garbage before, ?debug=1 or 2 is text. With ?seconds the contention of that time is recorded first.
func (p *profiler) snapshot(w http.ResponseWriter, req *http.Request, name string) {
	d, err := asked(req, 0)
	debug, err2 := number(req, "debug", 2)
	if err := errors.Join(err, err2); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if d > 0 && !p.observe(req.Context(), name, d) {
		http.Error(w, "contention is being recorded already", http.StatusConflict)
		return
	}
	if name == "heap" && req.FormValue("gc") != "" {
		runtime.GC()
	}
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	} else {
		asFile(w, name)
	}
	pprof.Lookup(name).WriteTo(w, debug) // the client is gone if this fails
}

// observe switches the recording of contention on for d, and reports false if somebody else does. A rate that the program has set for blocking
// cannot be asked for, and is lost.
func (p *profiler) observe(ctx context.Context, name string, d time.Duration) bool {
	if name != "block" && name != "mutex" {
		return true // the others are recorded all the time
	}
	if !p.observing.TryLock() {
		return false
	}
	defer p.observing.Unlock()
	if name == "block" {
		runtime.SetBlockProfileRate(1)
		defer runtime.SetBlockProfileRate(0)
	} else {
		defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	}
	p.pause(ctx, d)
	return true
}

func (p *profiler) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-p.ending():
	}
}

func asFile(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
}

// asked reads ?seconds.
func asked(req *http.Request, otherwise time.Duration) (time.Duration, error) {
	n, err := number(req, "seconds", int(mostProfile/time.Second))
	if n == 0 {
		return otherwise, err
	}
	return time.Duration(n) * time.Second, err
}

// number reads a whole number from 0 to most; 0 if it is not there.
func number(req *http.Request, name string, most int) (int, error) {
	text := req.FormValue(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s: want a number from 0 to %d", name, most)
	}
	return n, nil
}
