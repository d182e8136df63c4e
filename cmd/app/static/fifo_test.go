//go:build unix

package static

import (
	"path/filepath"
	"syscall"
	"testing"
)

// Opening a named pipe that nobody writes to would keep the request, and its goroutine, for ever.
func TestFifo(t *testing.T) {
	f, dir := tree(t, Options{})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Skip(err)
	}
	if res := get(f, "GET", "/pipe"); res.StatusCode != 404 {
		t.Errorf("a named pipe: %d, want 404", res.StatusCode)
	}
}
