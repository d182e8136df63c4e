package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moult-go/moult/updater"
)

// maxMetadata bounds what is read of one file.
const maxMetadata = 4 << 20

// readExpiries looks, where no server has checked yet, at the metadata that was trusted last: feed/ROOTDIGEST12/ROLE.json. It was verified when it was written, in a directory that
// is the server's own; here it says no more than when it ends.
func readExpiries(dir string) (list []updater.Expiry, err error) {
	caches, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at the feed's metadata: %w", err)
	}
	var newest time.Time
	for _, c := range caches {
		one, at, readErr := readCache(filepath.Join(dir, c.Name()))
		if readErr != nil {
			err = readErr
		}
		if at.After(newest) { // a new embedded root begins a new cache
			newest, list = at, one
		}
	}
	return list, err
}

func readCache(dir string) (list []updater.Expiry, newest time.Time, err error) {
	for _, role := range []string{"root", "timestamp", "snapshot", "targets", "brake"} {
		name := role + ".json"
		if role == "root" {
			name = newestRoot(dir)
		}
		e, at, readErr := readExpiry(filepath.Join(dir, name), role)
		if errors.Is(readErr, fs.ErrNotExist) {
			continue
		}
		if readErr != nil {
			err = fmt.Errorf("look at the feed's metadata: %w", readErr)
			continue
		}
		list = append(list, e)
		if at.After(newest) {
			newest = at
		}
	}
	return list, newest, err
}

// newestRoot is the one of those that came after the embedded one; if there is none, a name that does not exist.
func newestRoot(dir string) string {
	newest := 0
	files, _ := filepath.Glob(filepath.Join(dir, "*.root.json"))
	for _, f := range files {
		n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(f), ".root.json"))
		if err == nil && n > newest {
			newest = n
		}
	}
	return fmt.Sprintf("%d.root.json", newest)
}

// readExpiry returns also when this host got the file.
func readExpiry(file, role string) (e updater.Expiry, at time.Time, err error) {
	f, err := os.Open(file)
	if err != nil {
		return e, at, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return e, at, err
	}
	var m struct {
		Signed struct {
			Expires time.Time `json:"expires"`
		} `json:"signed"`
	}
	if err := json.NewDecoder(io.LimitReader(f, maxMetadata)).Decode(&m); err != nil {
		return e, at, fmt.Errorf("read %s: %w", file, err)
	}
	return updater.Expiry{Role: role, Expires: m.Signed.Expires}, fi.ModTime(), nil
}
