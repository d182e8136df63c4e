package tuf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// UnfinishedRootFile lies in the key directory while a root is being published.
const UnfinishedRootFile = "root.next.json"

// ChangeRoot begins a change of the newest root, valid from now on as long as a first one. Publish it by PublishRoot.
func (r *Repository) ChangeRoot(ctx context.Context) (*RootChange, error) {
	var c *RootChange
	err := r.exclusively(ctx, func() error { // what was interrupted is finished first
		history, err := r.rootHistory()
		if err != nil {
			return err
		}
		c, err = newRootChange(r.feed.App, history, r.expiry(rootLife))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("change root: %w", err)
	}
	return c, nil
}

// rootHistory reads the published roots up to the newest one that is trusted.
func (r *Repository) rootHistory() ([]json.RawMessage, error) {
	var history []json.RawMessage
	for v := int64(1); v <= r.trusted.Root.Signed.Version; v++ {
		b, err := readCapped(r.metadataPath(versioned(v, metadata.ROOT)), maxMetadata)
		if err != nil {
			return nil, err
		}
		history = append(history, b)
	}
	newest, err := metadata.Root().FromBytes(history[len(history)-1])
	if err != nil {
		return nil, err
	}
	if same, err := sameRoot(newest, r.trusted.Root); err != nil || !same {
		return nil, errors.Join(fmt.Errorf("root %d is another one than the trusted root: %w", r.trusted.Root.Signed.Version, ErrRollback), err)
	}
	return history, nil
}

// PublishRoot publishes a change that enough root keys have signed, of those before and of those after it, and signs again what the old
// keys signed. Where keys of the old root and of the new one are at hand, they sign together, and the new root comes last: there is no
// moment in which a reader, of the old root or the new one, finds a signature that he cannot use. Where an old key is lost the
// new root comes first, and readers that come before the timestamp must come again.
//
// What was interrupted is finished by the next command that publishes from the same key directory.
func (r *Repository) PublishRoot(ctx context.Context, c *RootChange) error {
	err := r.exclusively(ctx, func() error {
		b, err := c.complete()
		if err != nil {
			return err
		}
		if c.app != r.feed.App {
			return fmt.Errorf("it is of application %.80q, this is the feed of %s: %w", c.app, r.feed.App, ErrMalformed)
		}
		if same, err := sameRoot(c.next, r.trusted.Root); err != nil || same {
			return err // done before
		}
		if same, err := sameRoot(c.before, r.trusted.Root); err != nil || !same {
			return errors.Join(fmt.Errorf("it goes on from another root than root %d, which is the newest: %w", r.trusted.Root.Signed.Version, ErrRollback), err)
		}
		return r.adoptRoot(ctx, c.next, b)
	})
	if err != nil {
		return fmt.Errorf("publish root %d: %w", c.Version(), err)
	}
	return nil
}

// adoptRoot publishes next, whose bytes are b, after r.trusted.Root.
func (r *Repository) adoptRoot(ctx context.Context, next *metadata.Metadata[metadata.RootType], b []byte) error {
	before := r.trusted.Root
	r.trusted.Root = next
	again := signsOtherwise(before, next)
	if again {
		// What would be missing later is missed before anything is written.
		for _, role := range []string{metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
			if _, err := r.signers(role); err != nil {
				return err
			}
		}
	}
	journal := filepath.Join(r.keyDir, UnfinishedRootFile)
	if err := r.writeFile(ctx, journal, b); err != nil {
		return err
	}
	together := again && r.alsoSignFor(before)
	if together {
		if err := r.publishTargets(ctx, nil); err != nil {
			return err
		}
	}
	r.outgoing = nil
	if err := r.writeFile(ctx, r.metadataPath(versioned(next.Signed.Version, metadata.ROOT)), b); err != nil {
		return err
	}
	if again && !together {
		if err := r.publishTargets(ctx, nil); err != nil {
			return err
		}
	}
	if err := r.writeFile(ctx, filepath.Join(r.keyDir, rootCopyFile), b); err != nil {
		return err
	}
	return removeFile(journal)
}

// signsOtherwise reports whether daily metadata are to be signed by other keys, or more of them, than before. Targets name the
// online keys for the brake, so a change of those concerns them too.
func signsOtherwise(a, b *metadata.Metadata[metadata.RootType]) bool {
	for _, role := range []string{metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
		x, y := a.Signed.Roles[role], b.Signed.Roles[role]
		if x.Threshold != y.Threshold || !slices.Equal(x.KeyIDs, y.KeyIDs) {
			return true
		}
	}
	return false
}

// alsoSignFor makes the keys of an outgoing root sign beside those of the trusted one, and reports whether enough of them are at hand.
func (r *Repository) alsoSignFor(before *metadata.Metadata[metadata.RootType]) bool {
	for _, role := range []string{metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
		trust := before.Signed.Roles[role]
		if _, err := trustedSigners(trust.KeyIDs, trust.Threshold, r.keys.signing(role)); err != nil {
			return false
		}
	}
	r.outgoing = before
	return true
}

// outgoingSigners adds to signers the keys that only the outgoing root trusts with a role.
func (r *Repository) outgoingSigners(role string, signers []Signer) ([]Signer, error) {
	if r.outgoing == nil {
		return signers, nil
	}
	trust := r.outgoing.Signed.Roles[role]
	old, err := trustedSigners(trust.KeyIDs, trust.Threshold, r.keys.signing(role))
	if err != nil {
		return nil, err
	}
	for _, s := range old {
		known := func(k Signer) bool { return k.PublicKey().Equal(s.PublicKey()) }
		if !slices.ContainsFunc(signers, known) {
			signers = append(signers, s)
		}
	}
	return signers, nil
}

// load reads and verifies what is published now. A root that was published half way is taken as if it were not there: what the old keys
// signed may not be signed by the new ones yet.
func (r *Repository) load() error {
	return guard(func() error {
		r.outgoing, r.unfinished = nil, nil
		next, err := r.readUnfinished()
		if err != nil {
			return err
		}
		if next != nil {
			if err := r.loadUpTo(next.Signed.Version - 1); err == nil {
				r.unfinished = next
				return nil
			}
		}
		return r.loadUpTo(math.MaxInt64)
	})
}

// readUnfinished returns the root that was being published from this key directory, nil if there is none. One that the feed has another
// root in the place of is none: somebody else was faster.
func (r *Repository) readUnfinished() (*metadata.Metadata[metadata.RootType], error) {
	if r.root != nil { // Inspect has no key directory
		return nil, nil
	}
	path := filepath.Join(r.keyDir, UnfinishedRootFile)
	b, err := readCapped(path, maxMetadata)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := wellFormed(metadata.ROOT, b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	next, err := metadata.Root().FromBytes(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	b, err = readCapped(r.metadataPath(versioned(next.Signed.Version, metadata.ROOT)), maxMetadata)
	if errors.Is(err, fs.ErrNotExist) {
		return next, nil
	}
	if err != nil {
		return nil, err
	}
	there, err := metadata.Root().FromBytes(b)
	if err != nil {
		return nil, err
	}
	if same, err := sameRoot(there, next); err != nil || !same {
		return nil, err
	}
	return next, nil
}

// finishRoot completes what was interrupted, if anything was.
func (r *Repository) finishRoot(ctx context.Context) error {
	journal := filepath.Join(r.keyDir, UnfinishedRootFile)
	if r.unfinished == nil {
		if r.root != nil {
			return nil
		}
		if _, err := os.Stat(journal); err != nil {
			return nil // the common case; another error shows when it is written
		}
		// Its root is published, and everything is signed by its keys; or it is another one's.
		b, err := r.trusted.Root.ToBytes(false)
		if err != nil {
			return err
		}
		if err := r.writeFile(ctx, filepath.Join(r.keyDir, rootCopyFile), b); err != nil {
			return err
		}
		return removeFile(journal)
	}
	b, err := r.unfinished.ToBytes(false)
	if err != nil {
		return err
	}
	next := r.unfinished
	if err := verifyNext(r.trusted.Root, next); err != nil {
		return fmt.Errorf("%s: %w", journal, err)
	}
	if err := r.adoptRoot(ctx, next, b); err != nil {
		return fmt.Errorf("finish root %d, whose publication was interrupted: %w", next.Signed.Version, err)
	}
	return r.load()
}

// verifyNext is what go-tuf does in UpdateRoot, which it refuses once there is a timestamp.
func verifyNext(before, next *metadata.Metadata[metadata.RootType]) error {
	return guard(func() error {
		if next.Signed.Version != before.Signed.Version+1 {
			return fmt.Errorf("root %d after %d: %w", next.Signed.Version, before.Signed.Version, ErrRollback)
		}
		return errors.Join(before.VerifyDelegate(metadata.ROOT, next), next.VerifyDelegate(metadata.ROOT, next))
	})
}

// sameRoot compares what was signed.
func sameRoot(a, b *metadata.Metadata[metadata.RootType]) (bool, error) {
	x, err := cjson.EncodeCanonical(a.Signed)
	if err != nil {
		return false, err
	}
	y, err := cjson.EncodeCanonical(b.Signed)
	return bytes.Equal(x, y), err
}
