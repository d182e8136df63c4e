package grace

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// A pidFile names the process that serves for good, for tools that look there; "" is none. It is written at the readiness of generation 1 and
// by each successor at COMMIT, before that is acknowledged: it never names a process that may yet be taken back, and
// names the new one before the old one exits. A process that is killed leaves it behind; the next start replaces it.
type pidFile string

// newPIDFile makes the path absolute, since a program may change its working directory later.
func newPIDFile(path string) (pidFile, error) {
	if path == "" {
		return "", nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("grace: pid file %s: %w", path, err)
	}
	return pidFile(abs), nil
}

// write puts a whole file in place by a rename: a reader finds the old content or the new one, never half of it.
func (f pidFile) write() error {
	if f == "" {
		return nil
	}
	temp, err := os.CreateTemp(filepath.Dir(string(f)), "."+filepath.Base(string(f))+"-*")
	if err != nil {
		return fmt.Errorf("write pid file %s: %w", f, err)
	}
	_, err = fmt.Fprintln(temp, os.Getpid())
	if err == nil {
		err = temp.Chmod(0o644)
	}
	if e := temp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp.Name(), string(f))
	}
	if err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("write pid file %s: %w", f, err)
	}
	return nil
}

// remove is the end of a process: the file goes if it still names this one.
func (f pidFile) remove() error {
	if f == "" {
		return nil
	}
	content, err := os.ReadFile(string(f))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read pid file %s: %w", f, err)
	}
	if string(bytes.TrimSpace(content)) != strconv.Itoa(os.Getpid()) {
		return nil
	}
	if err := os.Remove(string(f)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove pid file %s: %w", f, err)
	}
	return nil
}
