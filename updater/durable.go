package updater

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/moult-go/moult/release"
)

// The names in this file are slash-separated and below the directory that a root has open: they reach what lies in that very
// directory, wherever a swapped name or a planted link would lead.

// writeDurable replaces the file so that after a power cut it is the old or the new one, whole: temp, fsync, rename, fsync of the
// directory. step is told of each boundary.
func writeDurable(root *os.Root, name string, b []byte, durable bool, step func(string)) error {
	temp := path.Join(path.Dir(name), "."+path.Base(name)+".tmp")
	f, err := createFresh(root, temp, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	step("written")
	if durable && err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		root.Remove(temp)
		return err
	}
	step("synced")
	if err := renameOver(root, temp, name); err != nil {
		root.Remove(temp)
		return err
	}
	step("renamed")
	if !durable {
		return nil
	}
	return syncDir(root, path.Dir(name))
}

// renameOver renames a file over another, or over a directory, which no rename replaces.
func renameOver(root *os.Root, from, to string) error {
	if fi, err := root.Lstat(to); err == nil && fi.IsDir() {
		if err := root.RemoveAll(to); err != nil {
			return err
		}
	}
	return root.Rename(from, to)
}

// createFresh makes a file that was not there: whatever is in its place goes first, and a link in its place
// is never followed.
func createFresh(root *os.Root, name string, mode os.FileMode) (*os.File, error) {
	if err := root.RemoveAll(name); err != nil {
		return nil, err
	}
	return root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
}

// openRegular opens a file that is one, and no link to one. It does not wait for the writer of a pipe.
func openRegular(root *os.Root, name string, flag int) (*os.File, error) {
	named, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !named.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", filepath.Join(root.Name(), name))
	}
	f, err := root.OpenFile(name, flag|noWait, 0)
	if err != nil {
		return nil, err
	}
	if opened, err := f.Stat(); err != nil || !os.SameFile(named, opened) {
		f.Close()
		return nil, errors.Join(err, fmt.Errorf("%s changed while it was opened", filepath.Join(root.Name(), name)))
	}
	return f, nil
}

// readRegular returns what a file holds, if that is at most most bytes.
func readRegular(root *os.Root, name string, most int64) ([]byte, error) {
	f, err := openRegular(root, name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s is longer than %d bytes", f.Name(), most)
	}
	return b, err
}

// identifyIn is identifyFile for a file in the directory that root has open.
func identifyIn(root *os.Root, name string) (identity, error) {
	fi, err := root.Lstat(name)
	if err != nil {
		return identity{}, err
	}
	if !fi.Mode().IsRegular() {
		return identity{}, fmt.Errorf("%s is not a regular file", filepath.Join(root.Name(), name))
	}
	return identify(fi), nil
}

func digestIn(root *os.Root, name string) (release.Digest, error) {
	f, err := openRegular(root, name, os.O_RDONLY)
	if err != nil {
		return release.Digest{}, err
	}
	defer f.Close()
	d, _, err := release.DigestReader(f)
	return d, err
}

// linkOrCopy gives the file from a second name, which must be free, or where the file system or a
// hardening rule allows none (fs.protected_hardlinks), copies it with owner, mode and attributes.
func linkOrCopy(from *os.Root, name string, to *os.Root, second string) error {
	if link(from, name, to, second) == nil {
		return nil
	}
	src, err := openRegular(from, name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer src.Close()
	return copyWhole(src, to, second)
}

// copyWhole makes a durable copy of src, with its metadata, or none.
func copyWhole(src *os.File, to *os.Root, second string) error {
	dst, err := createFresh(to, second, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err == nil {
		err = copyMetadata(src, dst)
	}
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		to.Remove(second)
		return fmt.Errorf("copy %s to %s: %w", src.Name(), dst.Name(), err)
	}
	return nil
}

// putOver makes the name at in the directory place stand for the file name in root, which keeps its own name too. There is a
// whole file at the name in every instant.
func putOver(root *os.Root, name string, place *os.Root, at string) error {
	temp := path.Join(path.Dir(name), ".put.tmp")
	if err := root.RemoveAll(temp); err != nil {
		return err
	}
	if err := linkOrCopy(root, name, root, temp); err != nil {
		return err
	}
	// A rename between two names of one inode does nothing and leaves both.
	defer root.Remove(temp)
	if err := replace(root, temp, place, at); err != nil {
		return err
	}
	return syncDir(place, ".")
}
