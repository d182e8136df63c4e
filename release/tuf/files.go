package tuf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// createFile writes a new file durably; it is an error if it is there.
func createFile(path string, b []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", path, ErrExists)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncDir(filepath.Dir(path))
}

// pending is a file that is written and not yet visible under its name.
type pending struct {
	*os.File
}

const tempPattern = ".new-*"

// newPending begins a file in dir, which it makes if need be.
func newPending(dir string) (*pending, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return nil, err
	}
	return &pending{f}, nil
}

// discard removes what was not published.
func (p *pending) discard() {
	p.Close()
	os.Remove(p.Name())
}

// publish makes the file visible as path at once and for good: a reader, or a power cut, finds what was there before or
// the whole new file.
func (p *pending) publish(path string) error {
	err := errors.Join(p.Chmod(0o644), p.Sync(), p.Close())
	if err == nil {
		err = os.Rename(p.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// replaceFile writes b to path in one step.
func replaceFile(path string, b []byte) error {
	p, err := newPending(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer p.discard()
	if _, err := p.Write(b); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return p.publish(path)
}

// makeDir is os.MkdirAll, durable.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// readCapped reads a file of at most limit bytes.
func readCapped(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("read %s: more than %d bytes: %w", path, limit, ErrOversized)
	}
	return b, nil
}
