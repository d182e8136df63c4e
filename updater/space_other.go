//go:build !(linux || darwin || freebsd)

package updater

import "errors"

func freeSpace(string) (uint64, error) { return 0, errors.ErrUnsupported }
