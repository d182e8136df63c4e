//go:build unix

package updater

import (
	"errors"
	"os"
)

// replace renames from over at, in one step.
func replace(from, at string) error { return os.Rename(from, at) }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
