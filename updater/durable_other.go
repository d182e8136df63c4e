//go:build !unix

package updater

import (
	"errors"
	"io/fs"
	"os"
)

// replace moves the file at at aside first: the image of a running process can be renamed there, but neither
// overwritten nor removed. So there is a moment without a file; the name aside is removed by the next
// replacement that finds its process gone.
func replace(from, at string) error {
	aside := at + ".old"
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(at, aside); err != nil {
		return err
	}
	if err := os.Rename(from, at); err != nil {
		return errors.Join(err, os.Rename(aside, at))
	}
	return nil
}

// Directories cannot be synced here.
func syncDir(string) error { return nil }
