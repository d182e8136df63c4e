//go:build !linux

package grace

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// Only Linux has a parent that stays: without a subreaper, orphaned generations are reaped by somebody else,
// and their status is lost.
func becomeParent(*slog.Logger, time.Duration, string) error {
	return fmt.Errorf("become their subreaper: %w", errors.ErrUnsupported)
}

func lookUp() ancestry { return ancestry{parent: -1} }

// explain would need /proc.
func (p *Process) explain(_ Socket, err error) error { return err }

type controlSocket struct{}

func (p *Process) join(int)                                    {}
func (p *Process) obey()                                       {}
func (l *parentLink) duplicate() (_ uintptr, _ bool)           { return }
func (l *parentLink) leave()                                   {}
func (l *parentLink) reap(_ int, wait func() *os.ProcessState) { wait() }
