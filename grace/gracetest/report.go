package gracetest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Answer is the fate of one request.
type Answer struct {
	Kind   Kind
	Header http.Header // of the answer; nil if there was none
	Sent   time.Time
	Took   time.Duration
	Err    error // nil only for a complete answer with a status below 400

	Dialed time.Time   // when the connection was opened
	Local  net.Addr    // the client's end of the connection; nil if there was none
	Before http.Header // of the previous answer on the same connection; nil if this was its first request

	dialing time.Time // Dialed may be noted later than the server has accepted; this is not
}

// Report counts requests and failures.
type Report struct {
	Requests map[Kind]int
	Failures map[Kind]map[string]int // by what the client saw

	// Closed counts the silent connections that were not there any more at Stop. No request was lost on them, so they are
	// no failures; but a client that had spoken a moment later would have lost one.
	Closed int

	Handovers int // that Run has counted, without those that it killed
	Kills     int // by Run
	Excused   int // requests, and silent connections, that were open in a process when Run killed it; no failures
}

// Total adds up all kinds.
func (r Report) Total() (requests, failures int) {
	for _, n := range r.Requests {
		requests += n
	}
	for _, kinds := range r.Failures {
		for _, n := range kinds {
			failures += n
		}
	}
	return requests, failures
}

// String lists the figures, a line for each kind.
func (r Report) String() string {
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(r.Requests)) {
		failed := 0
		var names []string
		for _, name := range slices.Sorted(maps.Keys(r.Failures[kind])) {
			n := r.Failures[kind][name]
			failed += n
			names = append(names, fmt.Sprintf("%d %s", n, name))
		}
		fmt.Fprintf(&b, "%s: %d requests, %d failed", kind, r.Requests[kind], failed)
		if failed > 0 {
			fmt.Fprintf(&b, " (%s)", strings.Join(names, ", "))
		}
		b.WriteByte('\n')
	}
	if r.Closed > 0 {
		fmt.Fprintf(&b, "%d silent connections closed\n", r.Closed)
	}
	if r.Excused > 0 {
		fmt.Fprintf(&b, "%d lost with a process that was killed\n", r.Excused)
	}
	return b.String()
}

// add counts one answer. A failure may be excused.
func (r *Report) add(a Answer, excused bool) {
	r.Requests[a.Kind]++
	switch {
	case a.Err == nil:
		return
	case excused:
		r.Excused++
		return
	}
	if r.Failures[a.Kind] == nil {
		r.Failures[a.Kind] = map[string]int{}
	}
	r.Failures[a.Kind][Name(a.Err)]++
}

// errBehindClose is the end of a request that was pipelined behind one whose answer said Connection: close: sent, and
// never carried out. RFC 9112 9.6 allows a server to do this; a server that loses nothing does not.
var errBehindClose = errors.New("behind Connection: close")

// Name gives a failure the name under which it is counted.
func Name(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "truncated or no answer"
	case errors.Is(err, io.EOF):
		return "no answer"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	}
	return err.Error()
}

// closed reports whether a request failed because its connection was not there any more.
func closed(err error) bool {
	switch Name(err) {
	case "reset", "truncated or no answer", "no answer":
		return true
	}
	return false
}
