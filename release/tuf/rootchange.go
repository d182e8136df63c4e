package tuf

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// RootChange is the next root of a feed, as it travels to those who must sign it. Nothing in it is believed: Check holds it against
// the roots that it carries, Follows against one that its reader trusts.
type RootChange struct {
	app     string
	history []json.RawMessage // published roots, oldest first; the last one is the root before
	before  *metadata.Metadata[metadata.RootType]
	next    *metadata.Metadata[metadata.RootType]
}

// maxRootChange is the largest file of a change, in bytes.
const maxRootChange = 4 << 20

// rootChangeSchema is the number of the document's form.
const rootChangeSchema = 1

// rootChangeDocument is the file. Changes and Missing are for whoever opens it in an editor; reading it, we find them out again.
type rootChangeDocument struct {
	Schema     int                  `json:"schema"`
	App        string               `json:"app"`
	Changes    []string             `json:"changes"`
	Missing    MissingSignatures    `json:"missing"`
	Root       json.RawMessage      `json:"root"` // the signed part, as it will be published
	Signatures []metadata.Signature `json:"signatures"`
	History    []json.RawMessage    `json:"history"`
}

// MissingSignatures says how many root keys must still sign.
type MissingSignatures struct {
	Before int `json:"before"` // of those that the root before trusts
	After  int `json:"after"`  // of those that the new root trusts; one signature may count for both
}

// newRootChange begins a change that alters nothing yet but the version and the end of validity.
func newRootChange(app string, history []json.RawMessage, expires time.Time) (*RootChange, error) {
	c := &RootChange{app: app, history: history}
	var err error
	if c.before, err = newestRoot(history); err != nil {
		return nil, err
	}
	if c.next, err = metadata.Root().FromBytes(history[len(history)-1]); err != nil {
		return nil, err
	}
	c.next.ClearSignatures()
	c.next.Signed.Version++
	c.next.Signed.Expires = expires
	return c, nil
}

// newestRoot verifies a chain of roots, each from the one before, and returns the last one.
func newestRoot(chain []json.RawMessage) (*metadata.Metadata[metadata.RootType], error) {
	if len(chain) == 0 {
		return nil, fmt.Errorf("no root before: %w", ErrMalformed)
	}
	for _, b := range chain {
		if err := wellFormed(metadata.ROOT, b); err != nil {
			return nil, err
		}
	}
	t, err := trustedmetadata.New(chain[0])
	if err != nil {
		return nil, err
	}
	for _, b := range chain[1:] {
		if err := updateRoot(t, b); err != nil {
			return nil, fmt.Errorf("root %d: %w", t.Root.Signed.Version+1, err)
		}
	}
	return t.Root, nil
}

// ParseRootChange reads and checks the file of a change.
func ParseRootChange(b []byte) (*RootChange, error) {
	var c *RootChange
	err := guard(func() (err error) {
		c, err = parseRootChange(b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read change of the root: %w", err)
	}
	return c, nil
}

func parseRootChange(b []byte) (*RootChange, error) {
	if len(b) > maxRootChange {
		return nil, fmt.Errorf("%d bytes: %w", len(b), ErrOversized)
	}
	var doc rootChangeDocument
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if doc.Schema != rootChangeSchema {
		return nil, fmt.Errorf("schema %d, this version reads %d: %w", doc.Schema, rootChangeSchema, ErrMalformed)
	}
	c := &RootChange{app: doc.App, history: doc.History}
	var err error
	if c.before, err = newestRoot(doc.History); err != nil {
		return nil, err
	}
	whole, err := json.Marshal(map[string]any{"signed": doc.Root, "signatures": append([]metadata.Signature{}, doc.Signatures...)})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := wellFormed(metadata.ROOT, whole); err != nil {
		return nil, err
	}
	if c.next, err = metadata.Root().FromBytes(whole); err != nil {
		return nil, err
	}
	return c, c.Check()
}

// Marshal writes the file.
func (c *RootChange) Marshal() ([]byte, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	root, err := json.Marshal(c.next.Signed)
	if err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(rootChangeDocument{
		Schema: rootChangeSchema, App: c.app, Changes: c.Summary(), Missing: c.Missing(),
		Root: root, Signatures: c.next.Signatures, History: c.history,
	}, "", "  ")
	return append(b, '\n'), err
}

// App is the application whose feed it is.
func (c *RootChange) App() string { return c.app }

// Version is that of the new root.
func (c *RootChange) Version() int64 { return c.next.Signed.Version }

// Keys returns the ids of the keys that the new root trusts with a role.
func (c *RootChange) Keys(role Role) []string {
	return slices.Clone(c.next.Signed.Roles[role.metadataRoles()[0]].KeyIDs)
}

// AddKey makes the new root trust one more key for a role. Like every change it voids the signatures.
func (c *RootChange) AddKey(role Role, public ed25519.PublicKey) error {
	c.next.ClearSignatures()
	return addKey(&c.next.Signed, role, public)
}

// RevokeKey makes the new root trust a key no more. The beginning of its id, at least six digits, is enough if no other key of the role
// begins like it.
func (c *RootChange) RevokeKey(role Role, id string) error {
	c.next.ClearSignatures()
	var found []string
	for _, k := range c.next.Signed.Roles[role.metadataRoles()[0]].KeyIDs {
		if len(id) >= 6 && strings.HasPrefix(k, strings.ToLower(id)) {
			found = append(found, k)
		}
	}
	if len(found) != 1 {
		return fmt.Errorf("revoke %s key %.64q: %d of them begin so: %w", role, id, len(found), ErrNoKey)
	}
	for _, m := range role.metadataRoles() {
		if err := c.next.Signed.RevokeKey(found[0], m); err != nil {
			return err
		}
	}
	return nil
}

// SetThreshold says how many keys of a role must sign. For online it is always 1: any of its keys signs.
func (c *RootChange) SetThreshold(role Role, n int) {
	c.next.ClearSignatures()
	for _, m := range role.metadataRoles() {
		c.next.Signed.Roles[m].Threshold = n
	}
}

// Check refuses a change that could not or should not be published, whoever signs it: it must be the next version, lock nobody out,
// alter nothing that Summary does not tell, and carry good signatures only.
func (c *RootChange) Check() error {
	next, before := &c.next.Signed, &c.before.Signed
	if next.Version != before.Version+1 {
		return fmt.Errorf("root %d after %d: %w", next.Version, before.Version, ErrRollback)
	}
	for id, k := range next.Keys {
		if real, err := k.ID(); err != nil || real != id {
			return fmt.Errorf("root %d: a key is called %s and is another: %w", next.Version, short(id), ErrMalformed)
		}
	}
	sn, ts := next.Roles[metadata.SNAPSHOT], next.Roles[metadata.TIMESTAMP]
	if len(next.Roles) != len(metadata.TOP_LEVEL_ROLE_NAMES) || sn.Threshold != ts.Threshold || !slices.Equal(sn.KeyIDs, ts.KeyIDs) {
		return fmt.Errorf("root %d: snapshot and timestamp have different keys, or there are other roles: %w", next.Version, ErrMalformed)
	}
	if err := checkRoles(next); err != nil {
		return fmt.Errorf("root %d: %w", next.Version, err)
	}
	if a, err := remainder(*before); err != nil {
		return err
	} else if b, err := remainder(*next); err != nil || !bytes.Equal(a, b) {
		return fmt.Errorf("root %d: it changes what no change is about: %w", next.Version, ErrMalformed)
	}
	return c.checkSignatures()
}

// remainder is what a change leaves as it is.
func remainder(root metadata.RootType) ([]byte, error) {
	root.Version, root.Expires, root.Keys, root.Roles = 0, time.Time{}, nil, nil
	return cjson.EncodeCanonical(root)
}

func (c *RootChange) checkSignatures() error {
	payload, err := cjson.EncodeCanonical(c.next.Signed)
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, s := range c.next.Signatures {
		k := c.rootKey(s.KeyID)
		if k == nil || seen[s.KeyID] {
			return fmt.Errorf("signature of key %s, which is no root key before or after, or signed twice: %w", short(s.KeyID), ErrBadSignature)
		}
		seen[s.KeyID] = true
		public, err := k.ToPublicKey()
		if err != nil {
			return err
		}
		if p, ok := public.(ed25519.PublicKey); !ok || !ed25519.Verify(p, payload, s.Signature) {
			return fmt.Errorf("signature of key %s: %w", short(s.KeyID), ErrBadSignature)
		}
	}
	return nil
}

// rootKey finds a root key of the root before or of the new one.
func (c *RootChange) rootKey(id string) *metadata.Key {
	for _, root := range []*metadata.RootType{&c.before.Signed, &c.next.Signed} {
		if slices.Contains(root.Roles[metadata.ROOT].KeyIDs, id) {
			return root.Keys[id]
		}
	}
	return nil
}

// Follows checks that the change goes on from a root that the caller trusts: the root before, or an older one from which that one
// follows.
func (c *RootChange) Follows(trusted []byte) error {
	return guard(func() error {
		t, err := trustedmetadata.New(trusted)
		if err != nil {
			return fmt.Errorf("trusted root: %w", err)
		}
		want, err := cjson.EncodeCanonical(t.Root.Signed)
		if err != nil {
			return err
		}
		for _, b := range c.history {
			m, err := metadata.Root().FromBytes(b)
			if err != nil {
				return err
			}
			if got, err := cjson.EncodeCanonical(m.Signed); err == nil && bytes.Equal(got, want) {
				return nil
			}
		}
		return fmt.Errorf("root %d, which you trust, is none of the roots that the change goes on from: %w", t.Root.Signed.Version, ErrBadSignature)
	})
}

// Missing says how many root keys must still sign.
func (c *RootChange) Missing() MissingSignatures {
	count := func(root *metadata.RootType) int {
		role := root.Roles[metadata.ROOT]
		n := role.Threshold
		for _, s := range c.next.Signatures {
			if slices.Contains(role.KeyIDs, s.KeyID) {
				n--
			}
		}
		return max(n, 0)
	}
	return MissingSignatures{Before: count(&c.before.Signed), After: count(&c.next.Signed)}
}

// Signed returns the ids of the root keys that have signed.
func (c *RootChange) Signed() []string {
	var ids []string
	for _, s := range c.next.Signatures {
		ids = append(ids, s.KeyID)
	}
	return ids
}

// Sign adds a signature. It reports false if that key has signed before, and fails with ErrNoKey if it is no root key, before or
// after.
func (c *RootChange) Sign(ctx context.Context, s Signer) (bool, error) {
	if err := c.Check(); err != nil {
		return false, err
	}
	id, err := KeyID(s.PublicKey())
	if err != nil {
		return false, err
	}
	if c.rootKey(id) == nil {
		return false, fmt.Errorf("sign root %d: key %s is no root key, neither before the change nor after it: %w", c.Version(), short(id), ErrNoKey)
	}
	if slices.Contains(c.Signed(), id) {
		return false, nil
	}
	payload, err := cjson.EncodeCanonical(c.next.Signed)
	if err != nil {
		return false, err
	}
	one, err := signature(ctx, payload, s)
	if err != nil {
		return false, fmt.Errorf("sign root %d: %w", c.Version(), err)
	}
	c.next.Signatures = append(c.next.Signatures, one)
	return true, nil
}

// Summary says in words what changes against the root before. Keys that are added are named in full, to be compared.
func (c *RootChange) Summary() []string {
	var lines []string
	for _, role := range Roles() {
		name := role.metadataRoles()[0]
		before, next := c.before.Signed.Roles[name], c.next.Signed.Roles[name]
		for _, id := range next.KeyIDs {
			if !slices.Contains(before.KeyIDs, id) {
				lines = append(lines, fmt.Sprintf("add %s key %s", role, id))
			}
		}
		for _, id := range before.KeyIDs {
			if !slices.Contains(next.KeyIDs, id) {
				lines = append(lines, fmt.Sprintf("revoke %s key %s", role, short(id)))
			}
		}
		if before.Threshold != next.Threshold || len(before.KeyIDs) != len(next.KeyIDs) {
			lines = append(lines, fmt.Sprintf("%s: %d of %d keys must sign; before: %d of %d",
				role, next.Threshold, len(next.KeyIDs), before.Threshold, len(before.KeyIDs)))
		}
	}
	return append(lines, fmt.Sprintf("root %d is valid until %s; root %d until %s", c.next.Signed.Version, c.next.Signed.Expires.Format(time.DateOnly),
		c.before.Signed.Version, c.before.Signed.Expires.Format(time.DateOnly)))
}

// complete returns the new root as it is published, once enough keys have signed.
func (c *RootChange) complete() ([]byte, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if m := c.Missing(); m.Before > 0 || m.After > 0 {
		return nil, fmt.Errorf("root %d lacks %d signatures of the root keys before the change, %d of those after it: %w", c.Version(), m.Before, m.After, ErrUnsigned)
	}
	return c.next.ToBytes(false)
}
