//go:build unix

package grace

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
)

// TestOtherKey: a version that asks for the inherited socket by another key is told the right one, and not to end its own predecessor, which
// holds the address.
func TestOtherKey(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	p := &Process{log: slog.New(slog.DiscardHandler), conns: newConns(), accepting: map[bool]bool{},
		heirlooms: []*inherited{{socket: Socket{Name: "web", Network: "tcp", Address: addr}, ln: ln.(deadlineListener)}}}
	_, err = p.Open(Socket{Name: "web", Network: "tcp4", Address: addr})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), `network "tcp", address "`+addr+`" and name "web"`) {
		t.Errorf("%v", err)
	}
	if inUse := (*InUseError)(nil); errors.As(err, &inUse) {
		t.Errorf("%v", err)
	}
	if g, err := p.Open(Socket{Name: "web", Network: "tcp", Address: addr}); err != nil || g.Addr() != ln.Addr() {
		t.Errorf("by its key: %v", err)
	}
}
