package tuf

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// Inspect opens the repository in dir for reading, verified from root as Open does it: no key is needed, and nothing can be
// signed. A nil root is the first root of the repository itself: what it says is then whole, but not known to be its
// publisher's.
func Inspect(dir string, root []byte) (*Repository, error) {
	r := &Repository{dir: dir, keyDir: defaultKeyDir(dir), now: time.Now, root: root}
	if root == nil {
		var err error
		if r.root, err = readCapped(r.RootFile(), maxMetadata); err != nil {
			return nil, fmt.Errorf("open feed %s: %w", dir, err)
		}
	}
	if err := r.load(); err != nil {
		return nil, fmt.Errorf("open feed %s: %w", dir, err)
	}
	return r, nil
}

// TrustedRootFile is where the key directory of the repository in dir keeps the root that its publisher trusts.
func TrustedRootFile(dir, keyDir string) string {
	if keyDir == "" {
		keyDir = defaultKeyDir(dir)
	}
	return filepath.Join(keyDir, rootCopyFile)
}

// trustedRoot is where verification begins: the root given to Inspect, or the copy in the key directory.
func (r *Repository) trustedRoot() (*trustedmetadata.TrustedMetadata, error) {
	root := r.root
	if root == nil {
		var err error
		if root, err = readCapped(TrustedRootFile(r.dir, r.keyDir), maxMetadata); err != nil {
			return nil, fmt.Errorf("trusted root: %w", err)
		}
	}
	t, err := trustedmetadata.New(root)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	return t, nil
}
