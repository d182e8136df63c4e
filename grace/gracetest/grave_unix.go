//go:build unix

package gracetest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// graves are the processes that Run has killed, with the connections that went with each.
type graves struct {
	mu   sync.Mutex
	list []grave
}

type grave struct {
	at    time.Time
	peers map[int]bool // ports of clients
}

// explain reports whether a failure is the fault of a kill: its connection was open in the process that died. A connection that
// was refused, or waited in the kernel's queue, was not.
func (g *graves) explain(a Answer) bool {
	if a.Local == nil {
		return false
	}
	port := a.Local.(*net.TCPAddr).Port
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, dead := range g.list {
		if dead.peers[port] && a.dialing.Before(dead.at) {
			return true
		}
	}
	return false
}

// bury kills a server with SIGKILL. It is stopped first, for the moment that it takes to note its connections.
func (r *run) bury(pid int) {
	r.t.Helper()
	r.line.signal(pid, syscall.SIGSTOP)
	peers, err := peersOf(pid)
	if err != nil {
		r.t.Fatalf("connections of server %d: %v", pid, err)
	}
	r.graves.mu.Lock()
	r.graves.list = append(r.graves.list, grave{time.Now(), peers})
	r.graves.mu.Unlock()
	r.line.signal(pid, syscall.SIGKILL)
	r.line.forget(pid)
}

// anchor opens a request in the server that serves now, which cannot have drained before it is closed.
func (r *run) anchor() net.Conn {
	r.t.Helper()
	conn, err := net.DialTimeout("tcp", r.load.Addr, r.load.Timeout)
	if err != nil {
		r.t.Fatalf("anchor: %v", err)
	}
	if r.client != nil {
		conn = tls.Client(conn, r.client)
	}
	conn.SetDeadline(time.Now().Add(r.load.Timeout))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", anchorPath)
	if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
		conn.Close()
		r.t.Fatalf("anchor: %v", err)
	}
	return conn
}
