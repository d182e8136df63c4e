package tuf

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// newFeedOf is a feed whose root n people hold, of whom threshold must sign.
func newFeedOf(t *testing.T, n, threshold int) *feed {
	t.Helper()
	f := newFeed(t)
	var holders []Signer
	for range n {
		holders = append(holders, stranger(t)[0])
	}
	f.change(func(c *RootChange) {
		for _, h := range holders {
			check(t, c.AddKey(RootRole, h.PublicKey()))
		}
		check(t, c.RevokeKey(RootRole, idOf(t, f.repo.keys.Root[0])))
		c.SetThreshold(RootRole, threshold)
	}, append(slices.Clone(holders), f.repo.keys.Root...)...)
	f.repo.keys.Root = holders
	return f
}

// change publishes a change of the root that these signers sign.
func (f *feed) change(edit func(*RootChange), signers ...Signer) {
	f.t.Helper()
	c := f.begin(edit)
	for _, s := range signers {
		if _, err := c.Sign(f.t.Context(), s); err != nil {
			f.t.Fatal(err)
		}
	}
	check(f.t, f.repo.PublishRoot(f.t.Context(), c))
}

func (f *feed) begin(edit func(*RootChange)) *RootChange {
	f.t.Helper()
	c, err := f.repo.ChangeRoot(f.t.Context())
	check(f.t, err)
	edit(c)
	return c
}

func idOf(t *testing.T, s Signer) string {
	t.Helper()
	id, err := KeyID(s.PublicKey())
	check(t, err)
	return id
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// travel writes the file and reads it again.
func travel(t *testing.T, c *RootChange) *RootChange {
	t.Helper()
	b, err := c.Marshal()
	check(t, err)
	c, err = ParseRootChange(b)
	check(t, err)
	return c
}

// Two of three people sign one file, each on a machine of his own; the third one comes too late to be needed.
func TestRootChangeTravels(t *testing.T) {
	f := newFeedOf(t, 3, 2)
	trusted := f.reading("metadata/2.root.json")
	holders, targets := f.repo.keys.Root, stranger(t)
	c := f.begin(func(c *RootChange) {
		check(t, c.AddKey(TargetsRole, targets[0].PublicKey()))
		check(t, c.RevokeKey(TargetsRole, idOf(t, f.repo.keys.Targets[0])[:8]))
	})
	for i, h := range holders[:2] {
		if err := f.repo.PublishRoot(t.Context(), c); !errors.Is(err, ErrUnsigned) {
			t.Fatalf("published with %d signatures: %v", i, err)
		}
		c = travel(t, c)
		check(t, c.Follows(trusted))
		check(t, c.Follows(f.root)) // a holder who kept the first root only
		if m := c.Missing(); m != (MissingSignatures{2 - i, 2 - i}) {
			t.Errorf("after %d signatures %+v are missing", i, m)
		}
		if added, err := c.Sign(t.Context(), h); err != nil || !added {
			t.Fatal(added, err)
		}
		if added, err := c.Sign(t.Context(), h); err != nil || added {
			t.Errorf("signed twice by one: %v, %v", added, err)
		}
	}
	if _, err := c.Sign(t.Context(), stranger(t)[0]); !errors.Is(err, ErrNoKey) {
		t.Errorf("signed by a stranger: %v", err)
	}
	said := strings.Join(c.Summary(), "\n")
	for _, line := range []string{"add targets key " + idOf(t, targets[0]), "revoke targets key " + idOf(t, f.repo.keys.Targets[0])[:12], "root 3 is valid until"} {
		if !strings.Contains(said, line) {
			t.Errorf("the summary lacks %q:\n%s", line, said)
		}
	}
	c = travel(t, c)
	if c.App() != "hello" || c.Version() != 3 || len(c.Signed()) != 2 {
		t.Errorf("%s, version %d, signed by %q", c.App(), c.Version(), c.Signed())
	}
	if err := f.repo.PublishRoot(t.Context(), c); !errors.Is(err, ErrNoKey) {
		t.Errorf("published without the new key: %v", err)
	}
	if _, err := os.Stat(f.repo.metadataPath("3.root.json")); err == nil {
		t.Error("it was refused and written")
	}
	f.repo.keys.Targets = append(f.repo.keys.Targets, targets...)
	check(t, f.repo.PublishRoot(t.Context(), c))
	check(t, f.repo.PublishRoot(t.Context(), c)) // again: it is done
	f.repo.keys.Targets = targets
	f.publish("1.0.0", "beta", "one")
	wantNewest(t, f.client(t.TempDir()), "beta", "1.0.0")
	b, err := os.ReadFile(filepath.Join(f.repo.keyDir, rootCopyFile))
	if err != nil || string(b) != string(f.reading("metadata/3.root.json")) {
		t.Errorf("the copy of the trusted root did not follow: %v", err)
	}
	other, err := f.repo.ChangeRoot(f.t.Context())
	check(t, err)
	if err := c.Follows(f.reading("metadata/3.root.json")); !errors.Is(err, ErrBadSignature) {
		t.Errorf("an old change follows a newer root: %v", err)
	}
	if err := other.Follows(newFeed(t).root); !errors.Is(err, ErrBadSignature) {
		t.Errorf("it follows another feed's root: %v", err)
	}
}

// What would lock the owners out, or give one key the work of two, is refused however many sign.
func TestRootChangeRefuses(t *testing.T) {
	f := newFeedOf(t, 2, 2)
	online, holders := f.repo.keys.Online[0], f.repo.keys.Root
	for name, tc := range map[string]struct {
		edit func(c *RootChange) error
		want error
	}{
		"threshold above the keys":  {func(c *RootChange) error { c.SetThreshold(RootRole, 3); return c.Check() }, ErrLockout},
		"threshold of none":         {func(c *RootChange) error { c.SetThreshold(TargetsRole, 0); return c.Check() }, ErrLockout},
		"threshold of online":       {func(c *RootChange) error { c.SetThreshold(OnlineRole, 2); return c.Check() }, ErrLockout},
		"fewer than the threshold":  {func(c *RootChange) error { return errors.Join(c.RevokeKey(RootRole, idOf(t, holders[0])), c.Check()) }, ErrLockout},
		"no key is left":            {func(c *RootChange) error { return errors.Join(c.RevokeKey(OnlineRole, idOf(t, online)), c.Check()) }, ErrLockout},
		"online key as root key":    {func(c *RootChange) error { return errors.Join(c.AddKey(RootRole, online.PublicKey()), c.Check()) }, ErrLockout},
		"root key as online key":    {func(c *RootChange) error { return errors.Join(c.AddKey(OnlineRole, holders[0].PublicKey()), c.Check()) }, ErrLockout},
		"online key as targets key": {func(c *RootChange) error { return errors.Join(c.AddKey(TargetsRole, online.PublicKey()), c.Check()) }, ErrLockout},
		"a key again":               {func(c *RootChange) error { return c.AddKey(OnlineRole, online.PublicKey()) }, ErrLockout},
		"a key that is not there":   {func(c *RootChange) error { return c.RevokeKey(RootRole, idOf(t, online)) }, ErrNoKey},
		"too short an id":           {func(c *RootChange) error { return c.RevokeKey(RootRole, idOf(t, holders[0])[:5]) }, ErrNoKey},
		"an empty id":               {func(c *RootChange) error { return c.RevokeKey(RootRole, "") }, ErrNoKey},
	} {
		if err := tc.edit(f.begin(func(*RootChange) {})); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

// A file that travels is anybody's: what was changed on the way is found.
func TestRootChangeTampered(t *testing.T) {
	f := newFeedOf(t, 2, 2)
	evil, other := stranger(t)[0], newFeed(t)
	c := f.begin(func(*RootChange) {})
	if _, err := c.Sign(t.Context(), f.repo.keys.Root[0]); err != nil {
		t.Fatal(err)
	}
	good, err := c.Marshal()
	check(t, err)
	edit := func(change func(doc *rootChangeDocument, root *metadata.RootType)) []byte {
		var doc rootChangeDocument
		var root metadata.RootType
		check(t, json.Unmarshal(good, &doc))
		check(t, json.Unmarshal(doc.Root, &root))
		change(&doc, &root)
		var err error
		if string(doc.Root) != "null" {
			doc.Root, err = json.Marshal(root)
			check(t, err)
		}
		b, err := json.Marshal(doc)
		check(t, err)
		return b
	}
	for name, tc := range map[string]struct {
		file []byte
		want error
	}{
		"empty":                  {nil, ErrMalformed},
		"null":                   {[]byte("null"), ErrMalformed},
		"no document":            {[]byte("[]"), ErrMalformed},
		"too long":               {make([]byte, maxRootChange+1), ErrOversized},
		"cut off":                {good[:len(good)/2], ErrMalformed},
		"schema":                 {edit(func(d *rootChangeDocument, _ *metadata.RootType) { d.Schema = 2 }), ErrMalformed},
		"no root":                {edit(func(d *rootChangeDocument, _ *metadata.RootType) { d.Root = json.RawMessage("null") }), ErrMalformed},
		"no history":             {edit(func(d *rootChangeDocument, _ *metadata.RootType) { d.History = nil }), ErrMalformed},
		"null in history":        {edit(func(d *rootChangeDocument, _ *metadata.RootType) { d.History[0] = json.RawMessage("null") }), ErrMalformed},
		"history skips":          {edit(func(d *rootChangeDocument, _ *metadata.RootType) { d.History = append(d.History, d.History[0]) }), ErrBadSignature},
		"another feed's history": {edit(func(d *rootChangeDocument, _ *metadata.RootType) { d.History = []json.RawMessage{other.root} }), ErrRollback},
		"a later expiry":         {edit(func(_ *rootChangeDocument, r *metadata.RootType) { r.Expires = r.Expires.Add(1e18) }), ErrBadSignature},
		"a key slipped in":       {edit(func(_ *rootChangeDocument, r *metadata.RootType) { check(t, addKey(r, RootRole, evil.PublicKey())) }), ErrBadSignature},
		"a key under another name": {edit(func(d *rootChangeDocument, r *metadata.RootType) {
			k, err := metadata.KeyFromPublicKey(evil.PublicKey())
			check(t, err)
			d.Signatures, r.Keys[idOf(t, f.repo.keys.Targets[0])] = nil, k
		}), ErrMalformed},
		"a version skipped":   {edit(func(d *rootChangeDocument, r *metadata.RootType) { d.Signatures, r.Version = nil, r.Version+1 }), ErrRollback},
		"a threshold of none": {edit(func(d *rootChangeDocument, r *metadata.RootType) { d.Signatures, r.Roles["root"].Threshold = nil, 0 }), ErrLockout},
		"a role missing":      {edit(func(d *rootChangeDocument, r *metadata.RootType) { d.Signatures = nil; delete(r.Roles, "snapshot") }), ErrMalformed},
		"snapshot by another key": {edit(func(d *rootChangeDocument, r *metadata.RootType) {
			d.Signatures, r.Roles["snapshot"].KeyIDs = nil, r.Roles["targets"].KeyIDs
		}), ErrMalformed},
		"no consistent snapshots": {edit(func(d *rootChangeDocument, r *metadata.RootType) { d.Signatures, r.ConsistentSnapshot = nil, false }), ErrMalformed},
		"an unknown field": {edit(func(d *rootChangeDocument, r *metadata.RootType) {
			d.Signatures, r.UnrecognizedFields = nil, map[string]any{"x": true}
		}), ErrMalformed},
		"a broken signature": {edit(func(d *rootChangeDocument, _ *metadata.RootType) { d.Signatures[0].Signature[3] ^= 1 }), ErrBadSignature},
		"one signature under another's name": {edit(func(d *rootChangeDocument, _ *metadata.RootType) {
			d.Signatures[0].KeyID = idOf(t, f.repo.keys.Root[1])
		}), ErrBadSignature},
		"a stranger's signature": {edit(func(d *rootChangeDocument, _ *metadata.RootType) { d.Signatures[0].KeyID = idOf(t, evil) }), ErrBadSignature},
	} {
		if _, err := ParseRootChange(tc.file); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	lies := edit(func(d *rootChangeDocument, _ *metadata.RootType) {
		d.Changes, d.Missing = []string{"nothing at all"}, MissingSignatures{}
	})
	if c, err := ParseRootChange(lies); err != nil || strings.Contains(strings.Join(c.Summary(), ""), "nothing at all") || c.Missing().Before != 1 {
		t.Errorf("the file's own summary is believed: %v", err)
	}
}

func FuzzParseRootChange(f *testing.F) {
	f.Add([]byte(`{"schema":1,"app":"hello","root":{"_type":"root","roles":{"root":null}},"signatures":[{"keyid":"00","sig":"00"}],"history":[{}]}`))
	f.Add([]byte(`{"schema":1,"root":null,"history":[null]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseRootChange(b); err == nil && (c.Check() != nil || len(c.Summary()) == 0) {
			t.Errorf("accepted, and no good: %q", b)
		}
	})
}
