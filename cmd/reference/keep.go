package reference

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Keep compares the files of dir with pages, by name, and returns the names of those that are missing, differ, or tell of a command that is no
// more: hello-old.1 beside hello.1. With update it writes and removes them instead.
func Keep(dir string, pages map[string][]byte, update bool) (stale []string, err error) {
	for name, page := range pages {
		old, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err != nil || !bytes.Equal(old, page) {
			stale = append(stale, name)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if _, ok := pages[e.Name()]; !ok && below(e.Name(), pages) {
			stale = append(stale, e.Name())
		}
	}
	slices.Sort(stale)
	if !update {
		return stale, nil
	}
	return nil, write(dir, pages, stale)
}

// below reports whether a file is called as that of a command below one of pages.
func below(name string, pages map[string][]byte) bool {
	for page := range pages {
		kind := filepath.Ext(page)
		if filepath.Ext(name) == kind && strings.HasPrefix(name, strings.TrimSuffix(page, kind)+"-") {
			return true
		}
	}
	return false
}

// write makes the named files of dir what pages hold, and removes those that they do not hold.
func write(dir string, pages map[string][]byte, names []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		err := os.Remove(path)
		if page, ok := pages[name]; ok {
			err = os.WriteFile(path, page, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
