package tuf

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Role is what keys are for.
type Role string

// The roles that have keys.
const (
	RootRole    Role = "root"    // says which keys count
	TargetsRole Role = "targets" // says what is published
	OnlineRole  Role = "online"  // says that it is fresh, and stops releases: snapshot, timestamp, brake
)

// Roles lists them.
func Roles() []Role { return []Role{RootRole, TargetsRole, OnlineRole} }

// ParseRole reads the name of a role.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(Roles(), r) {
		return r, nil
	}
	return "", fmt.Errorf("role %.40q: it is root, targets or online", s)
}

// metadataRoles are the roles of the metadata that a role's keys sign.
func (r Role) metadataRoles() []string {
	if r == OnlineRole {
		return []string{metadata.SNAPSHOT, metadata.TIMESTAMP}
	}
	return []string{string(r)}
}

// keyFile is the name of the first key of a role in a key directory; later ones are called ROLE-N.key.
func (r Role) keyFile() string { return string(r) + ".key" }

const rootCopyFile = "root.json"

// Keys are the signers at hand. A role may have none.
type Keys struct {
	Root, Targets, Online []Signer
}

// of returns the keys of a role.
func (k *Keys) of(r Role) *[]Signer {
	switch r {
	case RootRole:
		return &k.Root
	case TargetsRole:
		return &k.Targets
	default:
		return &k.Online
	}
}

// signing returns the keys that sign a role's metadata.
func (k *Keys) signing(role string) []Signer {
	if role == brakeRole {
		return k.Online
	}
	for _, r := range Roles() {
		if slices.Contains(r.metadataRoles(), role) {
			return *k.of(r)
		}
	}
	return nil
}

// KeyFiles lists the key files of a role in a directory, which need not exist: ROLE.key and ROLE-*.key.
func KeyFiles(dir string, r Role) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		more, _ := filepath.Match(string(r)+"-*.key", e.Name()) // the pattern is good
		if more || e.Name() == r.keyFile() {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}

// load adds to k, for daily use, what lies in the key directory for roles that have no key yet. The root key is not
// among them: only a change of the root needs it.
func (k *Keys) load(dir string, passphrase []byte) error {
	for _, role := range []Role{TargetsRole, OnlineRole} {
		to := k.of(role)
		if len(*to) > 0 {
			continue
		}
		files, err := KeyFiles(dir, role)
		if err != nil {
			return err
		}
		for _, path := range files {
			loaded, err := LoadKey(path, passphrase)
			if err != nil {
				return err
			}
			*to = append(*to, loaded)
		}
	}
	return nil
}

// sign replaces the signatures of m by those of the signers.
func sign[T metadata.Roles](ctx context.Context, m *metadata.Metadata[T], signers []Signer) ([]byte, error) {
	payload, err := cjson.EncodeCanonical(m.Signed)
	if err != nil {
		return nil, err
	}
	m.ClearSignatures()
	for _, s := range signers {
		one, err := signature(ctx, payload, s)
		if err != nil {
			return nil, err
		}
		m.Signatures = append(m.Signatures, one)
	}
	return m.ToBytes(false)
}

// signature asks s to sign and sees that it did: a command that signs something else must not reach the feed.
func signature(ctx context.Context, payload []byte, s Signer) (metadata.Signature, error) {
	public := s.PublicKey()
	id, err := KeyID(public)
	if err != nil {
		return metadata.Signature{}, err
	}
	b, err := s.Sign(ctx, payload)
	if err != nil {
		return metadata.Signature{}, fmt.Errorf("key %s: %w", id[:12], err)
	}
	if !ed25519.Verify(public, payload, b) {
		return metadata.Signature{}, fmt.Errorf("key %s: what it signs does not verify by its public key: %w", id[:12], ErrBadSignature)
	}
	return metadata.Signature{KeyID: id, Signature: b}, nil
}

// trustedSigners returns those of signers whose keys are trusted; ErrNoKey if they are fewer than the threshold.
func trustedSigners(trusted []string, threshold int, signers []Signer) ([]Signer, error) {
	var able []Signer
	for _, s := range signers {
		id, err := KeyID(s.PublicKey())
		if err != nil {
			return nil, err
		}
		if slices.Contains(trusted, id) {
			able = append(able, s)
		}
	}
	switch {
	case len(able) >= threshold:
		return able, nil
	case len(able) == 0 && len(signers) > 0:
		return nil, fmt.Errorf("other keys are trusted than what is at hand: %w", ErrNoKey)
	case len(able) > 0:
		return nil, fmt.Errorf("%d of the %d keys that must sign: %w", len(able), threshold, ErrNoKey)
	}
	return nil, ErrNoKey
}
