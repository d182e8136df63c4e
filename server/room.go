package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// room makes room for new connections by closing those that have been silent longest, once there are as many as there may be. So idle
// connections need no time limit, and those who hoard them keep nobody out. One that has not spoken yet counts as well: to net/http,
// that is what an idle connection is which has moved here from the predecessor.
type room struct {
	most int // 0: no limit

	mu     sync.Mutex
	open   map[net.Conn]*list.Element // its place in silent; nil while a request is under way
	silent list.List                  // of net.Conn, the longest silent first
}

func newRoom(limit int) *room {
	switch {
	case limit < 0:
		limit = 0
	case limit == 0:
		limit = descriptors() / 4 * 3
	}
	return &room{most: limit, open: map[net.Conn]*list.Element{}}
}

// enter follows the states of net/http. HTTP/2 over TLS tells them of another wrapper of the same socket.
func (m *room) enter(c net.Conn, s http.ConnState) {
	if m.most == 0 {
		return
	}
	c = socketBelow(c)
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.open[c]; e != nil {
		m.silent.Remove(e)
	}
	if s == http.StateNew && len(m.open) >= m.most {
		m.closeOne()
	}
	switch s {
	case http.StateClosed, http.StateHijacked:
		delete(m.open, c)
	case http.StateNew, http.StateIdle:
		m.open[c] = m.silent.PushBack(c)
	default:
		m.open[c] = nil
	}
}

// closeOne closes the connection that has been silent longest. The caller holds mu.
func (m *room) closeOne() {
	if e := m.silent.Front(); e != nil {
		c := m.silent.Remove(e).(net.Conn)
		delete(m.open, c)
		c.Close()
	}
}

func socketBelow(c net.Conn) net.Conn {
	for {
		w, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = w.NetConn()
	}
}
