package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// room makes room for new connections by closing those that have been idle longest, once there are as many as there may be. So idle
// connections need no time limit, and those who hoard them keep nobody out.
type room struct {
	most int // 0: no limit

	mu   sync.Mutex
	open map[net.Conn]*list.Element // its place in idle; nil while it is not idle
	idle list.List                  // of net.Conn, the longest idle first
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
		m.idle.Remove(e)
	}
	switch s {
	case http.StateClosed, http.StateHijacked:
		delete(m.open, c)
	case http.StateIdle:
		m.open[c] = m.idle.PushBack(c)
	default:
		m.open[c] = nil
	}
	if s == http.StateNew && len(m.open) > m.most {
		m.closeOne()
	}
}

// closeOne closes the connection that has been idle longest. The caller holds mu.
func (m *room) closeOne() {
	if e := m.idle.Front(); e != nil {
		c := m.idle.Remove(e).(net.Conn)
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
