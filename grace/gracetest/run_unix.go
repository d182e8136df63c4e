//go:build unix

package gracetest

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
)

// mostServers is how many servers may live when a handover begins: the one that serves, and others that still drain.
const mostServers = 3

// Run serves handler in processes of its own, puts them under load, replaces each by the next, and fails the test if a request
// is lost that no kill explains. It returns what it counted. It takes about a second a handover.
//
// The servers are this test binary, run again for this test alone: what comes before Run in the test, and TestMain, happens in
// each of them too; Run never returns there. In a test that calls Run more than once, the earlier calls return an empty Report in
// the servers of the later ones.
//
// However the test ends, no process, port or file is left. What the servers write to standard output and standard error goes to a
// log, which is shown if the test fails. On Windows, where there is no handover, Run skips the test.
func Run(t TB, handler http.Handler, opts ...Option) Report {
	t.Helper()
	r := begin(t, handler, opts)
	if r == nil {
		return Report{}
	}
	for range r.handovers {
		r.handOver()
	}
	for _, k := range r.kills {
		r.kill(k)
	}
	if len(r.kills) > 0 {
		r.handOver()
	}
	return r.finish()
}

// run is one call of Run.
type run struct {
	t TB
	*plan
	dir    string
	line   *line
	client *tls.Config // nil without TLS
	loaded *Load       // nil before and after
	graves graves

	handedOver, killed int
}

// begin starts the first server and the load. In a server it does not return; in one that was started for another call it returns
// nil.
func begin(t TB, handler http.Handler, opts []Option) *run {
	t.Helper()
	p := newPlan(opts)
	call := thisCall(t)
	dir, server, here := asServer(t, call)
	switch {
	case server && !here:
		return nil
	case server && p.shutdown:
		(&generation{t, dir, withOwnPaths(handler), p}).serveUntilShutdown()
	case server:
		(&generation{t, dir, withOwnPaths(handler), p}).serve()
	case p.shutdown && len(p.kills) > 0:
		t.Fatalf("gracetest: Shutdown is a control without kills")
	case !canKill && len(p.kills) > 0:
		t.Skipf("gracetest: what a killed process had open, only procfs on Linux can tell")
	}
	r := &run{t: t, plan: p}
	r.start(call)
	return r
}

func (r *run) start(call int) {
	r.t.Helper()
	r.dir = r.t.TempDir()
	if r.tls {
		var err error
		if r.client, err = makeCertificate(r.dir); err != nil {
			r.t.Fatalf("certificate of the servers: %v", err)
		}
	}
	r.t.Cleanup(func() { // after the line's end: nobody waits for an answer then
		if r.loaded != nil {
			r.loaded.Stop()
		}
	})
	r.line = startLine(r.t, r.dir, call)
	first := r.line.await(0, "first server", func(e event) bool { return e.name == "active" })
	r.line.serving = first.from
	r.load.Addr = r.line.await(0, "address", func(e event) bool { return e.name == "ready" }).text
	r.load.TLS, r.load.excuse = r.client, r.graves.explain
	r.tryOut()
	r.loaded = Start(*r.load)
}

// tryOut shows that the handler answers at all: what it refuses is not lost by a handover.
func (r *run) tryOut() {
	r.t.Helper()
	client := &http.Client{Timeout: r.load.Timeout, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: r.client}}
	scheme := "http://"
	if r.tls {
		scheme = "https://"
	}
	for what, path := range map[string]string{http.MethodGet: r.load.Path, http.MethodPost: r.load.PostPath} {
		req, err := http.NewRequest(what, scheme+r.load.Addr+path, nil)
		if err != nil {
			r.t.Fatalf("%s %s: %v", what, path, err)
		}
		res, err := client.Do(req)
		if err != nil {
			r.t.Fatalf("before any handover: %v", err)
		}
		res.Body.Close()
		if res.StatusCode >= 400 {
			r.t.Fatalf("before any handover: %s %s: %s: name a path that answers, with Under", what, path, res.Status)
		}
	}
}

// handOver replaces the server that serves.
func (r *run) handOver() {
	r.t.Helper()
	r.line.thin(mostServers)
	mark, old := r.line.mark(), r.line.serving
	r.line.signal(old, syscall.SIGUSR2)
	e := r.line.await(mark, "end of the handover", func(e event) bool {
		return e.name == "active" && e.from != old || e.name == "undone"
	})
	if e.name == "undone" {
		r.t.Fatalf("handover %d: %s", r.handedOver+1, e.text)
	}
	r.line.serving = e.from
	r.handedOver++
}

// kill begins a handover, kills one of the two at the phase, and waits until one process serves again.
func (r *run) kill(k kill) {
	r.t.Helper()
	l := r.line
	l.thin(mostServers)
	mark, old := l.mark(), l.serving
	await := func(name string) event {
		r.t.Helper()
		// Of the handover before this one, the predecessor may still have something to tell.
		return l.await(mark, k.String()+": "+name, func(e event) bool { return e.name == name && (e.from == old || name == "held") })
	}
	var victim int
	switch k.at {
	case BeforeHello, BeforeReady:
		r.hold(k.at)
		l.signal(old, syscall.SIGUSR2)
		victim = await("held").from
	case AfterCommit:
		anchor := r.anchor()
		defer anchor.Close()
		l.signal(old, syscall.SIGUSR2)
		victim = await("committed").about
	default:
		r.hold(k.at) // the commit: on a busy machine we may be late, and COMMIT must not come before the kill
		l.signal(old, syscall.SIGUSR2)
		victim = await("standby").about
		switch k.at {
		case SecondHalf:
			await("moving")
		case Committing:
			await("committing")
		}
	}
	if k.predecessor {
		victim = old
	}
	r.bury(victim)
	r.release()
	e := l.await(mark, "server after "+k.String(), func(e event) bool {
		return e.from != victim && (e.name == "undone" && e.from == old || e.name == "active" && e.from != old)
	})
	l.serving = e.from
	r.killed++
}

// hold makes the successor, or the commit, wait at a phase.
func (r *run) hold(at Phase) {
	r.t.Helper()
	// Renamed into place: nobody reads half a name.
	path := filepath.Join(r.dir, holdFile)
	err := os.WriteFile(path+".new", []byte(at), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		r.t.Fatalf("hold %s: %v", at, err)
	}
}

func (r *run) release() { os.Remove(filepath.Join(r.dir, holdFile)) }

// finish ends load and servers, and judges.
func (r *run) finish() Report {
	r.t.Helper()
	r.line.thin(1)
	report := r.loaded.Stop()
	r.loaded = nil
	r.line.stop()
	report.Handovers, report.Kills = r.handedOver, r.killed
	requests, failures := report.Total()
	for kind, n := range r.load.clients() {
		if n > 0 && report.Requests[kind] == 0 {
			r.t.Errorf("no request of kind %s", kind)
		}
	}
	switch {
	case r.shutdown && failures == 0:
		r.t.Errorf("the control lost none of %d requests over %d handovers: this load does not see enough", requests, r.handedOver)
	case r.shutdown:
	case failures > 0 || report.Closed > 0:
		r.t.Errorf("%d of %d requests lost, %d silent connections closed, over %d handovers and %d kills",
			failures, requests, report.Closed, r.handedOver, r.killed)
	}
	r.t.Logf("%d handovers, %d kills\n%s", r.handedOver, r.killed, report)
	return report
}
