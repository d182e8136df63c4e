package server

import (
	"net"
	"net/http"
	"slices"
	"testing"
)

// namedConn only knows that it was closed.
type namedConn struct {
	net.Conn
	name   string
	closed *[]string
}

func (c namedConn) Close() error { *c.closed = append(*c.closed, c.name); return nil }

// wrapped is what TLS and HTTP/2 put around it.
type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

// TestRoom: who has been silent longest goes, when somebody comes and there is no room; nobody else does.
func TestRoom(t *testing.T) {
	var closed []string
	conn := func(name string) net.Conn { return namedConn{name: name, closed: &closed} }
	a, b, c, d, e := conn("a"), conn("b"), conn("c"), conn("d"), conn("e")
	m := newRoom(3)
	for _, step := range []struct {
		c    net.Conn
		s    http.ConnState
		want []string
	}{
		{a, http.StateNew, nil}, {a, http.StateActive, nil}, {a, http.StateIdle, nil},
		{b, http.StateNew, nil}, {wrapped{b}, http.StateActive, nil}, {wrapped{b}, http.StateIdle, nil},
		{a, http.StateActive, nil},
		{c, http.StateNew, nil}, {c, http.StateActive, nil},
		{d, http.StateNew, []string{"b"}}, {d, http.StateActive, []string{"b"}},
		{b, http.StateClosed, []string{"b"}},
		{e, http.StateNew, []string{"b"}},      // nobody is silent: one more
		{b, http.StateNew, []string{"b", "e"}}, // and that one was silent
		{b, http.StateHijacked, []string{"b", "e"}},
		{a, http.StateIdle, []string{"b", "e"}},
		{d, http.StateClosed, []string{"b", "e"}},
		{b, http.StateNew, []string{"b", "e"}},
		{d, http.StateNew, []string{"b", "e", "a"}},
	} {
		m.enter(step.c, step.s)
		if !slices.Equal(closed, step.want) {
			t.Fatalf("after %v: closed %v, want %v", step.s, closed, step.want)
		}
	}
	if newRoom(-1).most != 0 || newRoom(0).most != descriptors()/4*3 {
		t.Error("limits")
	}
}
