//go:build unix && !linux

package gracetest

import "errors"

const canKill = false

// peersOf needs procfs as it is on Linux.
func peersOf(int) (map[int]bool, error) { return nil, errors.ErrUnsupported }
