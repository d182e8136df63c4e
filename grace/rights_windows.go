package grace

import (
	"errors"
	"net"
	"syscall"
)

// Sockets do not travel over the link here, since there is no successor to have one.
const noDescriptor = -1

type rightsReader struct {
	conn net.Conn
	got  int
}

func (r *rightsReader) Read(b []byte) (int, error) { return r.conn.Read(b) }
func (r *rightsReader) take() int                  { return noDescriptor }
func (r *rightsReader) drop()                      {}

func (l *link) sendConn(message, syscall.Conn) error { return errors.ErrUnsupported }

func scarce(net.Conn) bool { return false }

func connFromDescriptor(int) (net.Conn, error) { return nil, errors.ErrUnsupported }
