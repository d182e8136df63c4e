package tuf

import (
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// addKey makes root trust a key for a role.
func addKey(root *metadata.RootType, role Role, public ed25519.PublicKey) error {
	k, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		return err
	}
	id, err := k.ID()
	if err != nil {
		return err
	}
	for _, m := range role.metadataRoles() {
		if slices.Contains(root.Roles[m].KeyIDs, id) {
			return fmt.Errorf("add %s key %s: it is there already: %w", role, short(id), ErrLockout)
		}
		if err := root.AddKey(k, m); err != nil {
			return err
		}
	}
	return nil
}

// short is a key's name for people.
func short(id string) string { return id[:min(len(id), 12)] }

// checkRoles refuses a root that its owners could not change any more, or in which one key does the work of two.
func checkRoles(root *metadata.RootType) error {
	owner := make(map[string]Role)
	for _, role := range Roles() {
		r := root.Roles[role.metadataRoles()[0]]
		if n := len(r.KeyIDs); r.Threshold < 1 || r.Threshold > n {
			return fmt.Errorf("%s: %d signatures of %d keys: %w", role, r.Threshold, n, ErrLockout)
		}
		for _, id := range r.KeyIDs {
			if other, ok := owner[id]; ok {
				return fmt.Errorf("key %s for %s and %s: %w", short(id), other, role, ErrLockout)
			}
			owner[id] = role
		}
	}
	return nil
}

// keyPlace is where a private key lies.
type keyPlace struct {
	path   string
	sealed bool
}

// places lists the keys that lie in files.
func places(signers []Signer) []keyPlace {
	var list []keyPlace
	for _, s := range signers {
		if k, ok := s.(*Key); ok && k.path != "" {
			list = append(list, keyPlace{k.path, k.sealed})
		}
	}
	return list
}

// checkApart refuses a root key in plain text in, or below, a directory that has an online key: whoever breaks into the host that
// signs every day would own the feed for good.
func checkApart(root, online []keyPlace) error {
	for _, r := range root {
		for _, o := range online {
			together, err := within(filepath.Dir(r.path), filepath.Dir(o.path))
			if err != nil {
				return err
			}
			if together && !r.sealed {
				return fmt.Errorf("keys %s and %s: %w", r.path, o.path, ErrPlaintextKeys)
			}
		}
	}
	return nil
}
