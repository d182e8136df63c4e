package grace

import (
	"errors"
	"fmt"
	"time"
)

// errNoHandover is what Handover returns where sockets cannot be inherited by number.
var errNoHandover = fmt.Errorf("hand over on windows: %w", errors.ErrUnsupported)

func (p *Process) inherit() error { return errNoHandover }

func (p *Process) spawn(string, time.Duration) (*child, error) { return nil, errNoHandover }

func (p *Process) claimed() []string { return nil }
