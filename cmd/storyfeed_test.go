//go:build unix

package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moult-go/moult/release/tuf"
)

// serveFeed runs in a directory of its own, so that it does not count as a process of the story's server.
// age signs a feed again as of long ago.
func (s *story) age(_ *testscript.TestScript, args []string) error {
	d, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	r, err := tuf.Open(filepath.Join(s.dir, args[0]), tuf.OpenOptions{Now: func() time.Time { return time.Now().Add(-d) }})
	if err != nil {
		return err
	}
	return r.Refresh(context.Background())
}

// skew is read by the server's clock at each look: it never sees half of it.
func (s *story) skew(_ *testscript.TestScript, args []string) error {
	file := filepath.Join(s.dir, "skew")
	if err := os.WriteFile(file+".new", []byte(args[0]), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func (s *story) serveFeed(ts *testscript.TestScript, args []string) error {
	addr, err := freeAddress()
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, "feed-server")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(s.bin, "1.0.0"), filepath.Join(dir, "app"), nil); err != nil {
		return err
	}
	feed := exec.Command(filepath.Join(dir, "app"), "serve", "--listen", addr, "--dir", filepath.Join(s.dir, args[0]))
	feed.Dir = dir
	if err := feed.Start(); err != nil {
		return err
	}
	ts.Defer(func() {
		feed.Process.Kill()
		feed.Wait()
	})
	ts.Setenv("feed", addr)
	if !until(func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	}) {
		return fmt.Errorf("no feed on %s", addr)
	}
	return nil
}

// eachFile does something to every file that a pattern names, of which the original is kept.
func (s *story) eachFile(pattern string, do func(path string, original []byte) error) error {
	files, err := filepath.Glob(filepath.Join(s.dir, pattern))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no files %s: %w", pattern, err)
	}
	for _, path := range files {
		if s.originals[path] == nil {
			if s.originals[path], err = os.ReadFile(path); err != nil {
				return err
			}
		}
		if err := do(path, s.originals[path]); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) spoil(_ *testscript.TestScript, args []string) error {
	return s.eachFile(args[0], func(path string, original []byte) error {
		b := bytes.Clone(original)
		b[len(b)/2] ^= 1
		return os.WriteFile(path, b, 0o644)
	})
}

func (s *story) unlink(_ *testscript.TestScript, args []string) error {
	return s.eachFile(args[0], func(path string, _ []byte) error { return os.Remove(path) })
}

func (s *story) restore(*testscript.TestScript, []string) error {
	for path, original := range s.originals {
		if err := os.WriteFile(path, original, 0o644); err != nil {
			return err
		}
	}
	return nil
}
