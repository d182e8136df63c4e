package grace

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// errNoHandover is what Handover returns where sockets cannot be inherited by number.
var errNoHandover = fmt.Errorf("hand over on windows: %w", errors.ErrUnsupported)

func (p *Process) inherit() error { return errNoHandover }

func (p *Process) spawn(string, time.Duration) (*child, error) { return nil, errNoHandover }

func (p *Process) claimed() []string { return nil }

// There is no service manager that passes sockets on.
type unitSocket struct{}

func (p *Process) takeUnitSockets() error              { return nil }
func (p *Process) warnOfUnitSockets()                  {}
func (p *Process) wantedOfUnit(Socket) net.Addr        { return nil }
func unitSocketFor([]*inherited, Socket, net.Addr) int { return -1 }

func isStandard(int) bool { return true }
