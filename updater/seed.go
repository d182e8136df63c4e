package updater

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	seedFile = "seed"
	seedSize = 32 // bytes
)

// seed returns this host's seed: drawn once at random, kept through updates and rollbacks, shared by all instances of the
// executable, and never sent anywhere. What is lost or damaged is drawn anew. It is read each time, so that two processes that
// drew one at the same moment agree from the next look on.
func (u *Updater) seed() ([]byte, error) {
	path := filepath.Join(u.dir, seedFile)
	b, err := os.ReadFile(path)
	if err == nil && len(b) == seedSize {
		return b, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return drawSeed(path)
}

func drawSeed(path string) ([]byte, error) {
	b := make([]byte, seedSize)
	rand.Read(b)                                                       // never fails
	f, err := os.CreateTemp(filepath.Dir(path), "."+seedFile+".*.tmp") // 0600
	if err != nil {
		return nil, err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return nil, err
	}
	return b, syncDir(filepath.Dir(path))
}
