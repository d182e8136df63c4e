package updater

import (
	"crypto/rand"
	"errors"
	"os"
	"strings"
)

const (
	seedFile = "seed"
	seedSize = 32 // bytes
)

// seed returns this host's seed: drawn once at random, kept through updates and rollbacks, shared by all instances of the
// executable, and never sent anywhere. What is lost or damaged is drawn anew. It is read each time, so that two processes that
// drew one at the same moment agree from the next look on.
func (u *Updater) seed() ([]byte, error) {
	if b, err := readRegular(u.root, seedFile, seedSize); err == nil && len(b) == seedSize {
		return b, nil
	} else if errors.Is(err, os.ErrPermission) {
		return nil, err // it is there: another one would give this host another place in rollouts each time
	}
	return drawSeed(u.root)
}

func drawSeed(root *os.Root) ([]byte, error) {
	b := make([]byte, seedSize)
	rand.Read(b) // never fails
	// A name that no other process takes: two of them may draw at a time.
	temp := "." + seedFile + "." + strings.ToLower(rand.Text()) + ".tmp"
	f, err := createFresh(root, temp, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = renameOver(root, temp, seedFile)
	}
	if err != nil {
		root.Remove(temp)
		return nil, err
	}
	return b, syncDir(root, ".")
}
