package updater

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeDurable replaces the file at path so that after a power cut it is the old or the new one, whole:
// temp, fsync, rename, fsync of the directory. step is told of each boundary.
func writeDurable(path string, b []byte, durable bool, step func(string)) error {
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	f, err := createFresh(temp, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	step("written")
	if durable && err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(temp)
		return err
	}
	step("synced")
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return err
	}
	step("renamed")
	if !durable {
		return nil
	}
	return syncDir(filepath.Dir(path))
}

// createFresh makes a file that was not there: whatever is in its place goes first, and a link in its place
// is never followed.
func createFresh(path string, mode os.FileMode) (*os.File, error) {
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// linkOrCopy gives the file at from a second name, which must be free, or where the file system or a
// hardening rule allows none (fs.protected_hardlinks), copies it with owner, mode and attributes.
func linkOrCopy(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := createFresh(to, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err = errors.Join(err, dst.Close()); err == nil {
		err = copyMetadata(from, to)
	}
	if err == nil {
		err = syncFile(to)
	}
	if err != nil {
		os.Remove(to)
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return nil
}

// putOver makes the name at stand for the file at from, which keeps its own name too. There is a whole
// file at the name in every instant.
func putOver(from, at string) error {
	temp := filepath.Join(filepath.Dir(from), ".put.tmp")
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := linkOrCopy(from, temp); err != nil {
		return err
	}
	// A rename between two names of one inode does nothing and leaves both.
	defer os.Remove(temp)
	if err := replace(temp, at); err != nil {
		return err
	}
	return syncDir(filepath.Dir(at))
}
