//go:build !unix

package updater

import (
	"errors"
	"os"
	"path/filepath"
)

// There are no pipes among files here.
const noWait = 0

const lockFlags = os.O_CREATE | os.O_RDONLY

// replace moves the file at at aside first: the image of a running process can be renamed there, but neither
// overwritten nor removed. So there is a moment without a file; the name aside is removed by the next
// replacement, or the next start, that finds its process gone.
func replace(root *os.Root, from string, place *os.Root, at string) error {
	old := aside(at)
	if err := place.RemoveAll(old); err != nil {
		return err
	}
	if err := place.Rename(at, old); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(root.Name(), from), filepath.Join(place.Name(), at)); err != nil {
		return errors.Join(err, place.Rename(old, at))
	}
	return nil
}

// aside is where the running image goes.
func aside(name string) string { return name + ".old" }

// clearAside removes what a replacement has left there, once no process runs from it.
func clearAside(place *os.Root, at string) error { return place.RemoveAll(aside(at)) }

func link(from *os.Root, name string, to *os.Root, second string) error {
	return os.Link(filepath.Join(from.Name(), name), filepath.Join(to.Name(), second))
}

// Directories cannot be synced here.
func syncDir(*os.Root, string) error { return nil }
