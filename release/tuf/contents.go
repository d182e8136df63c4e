package tuf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/moult-go/moult/release"
)

// FeedFile is a file of a feed.
type FeedFile struct {
	Path    string // slash-separated, below the feed's directory or URL
	Length  int64  // bytes
	SHA256  release.Digest
	Content []byte // as verified; nil for payloads, which were not read
}

// Contents is everything that a feed shows to its readers, by kind. Copied in the order of the fields, the last of which is the
// one file that changes under its name, a feed appears in another place at once or not at all.
type Contents struct {
	Payloads  []FeedFile
	Targets   []FeedFile // indexes, and the other small targets
	Metadata  []FeedFile // targets, delegated roles and snapshot
	Roots     []FeedFile // ascending
	Timestamp FeedFile
	Version   int64 // of the timestamp
	Snapshot  int64 // version of the snapshot
}

// Files returns the files in the order in which they are to be copied.
func (c *Contents) Files() []FeedFile {
	return slices.Concat(c.Payloads, c.Targets, c.Metadata, c.Roots, []FeedFile{c.Timestamp})
}

// ReadFunc reads a file of a feed, of at most limit bytes. What is not there is fs.ErrNotExist or ErrNotFound.
type ReadFunc func(ctx context.Context, path string, limit int64) ([]byte, error)

// maxRoots is go-tuf's own limit for the walk of one client.
const maxRoots = 256

// ReadContents follows a feed from its first root to the payloads, and verifies all but these: signatures, versions, lengths and
// digests. Dates are not looked at. root is the first root; nil takes the feed's own metadata/1.root.json, which then vouches for
// no more than that the feed is in agreement with itself. Other first roots are ErrOtherFeed.
func ReadContents(ctx context.Context, root []byte, read ReadFunc) (*Contents, error) {
	w := &walk{ctx: ctx, read: read, seen: make(map[string]bool)}
	if err := guard(func() error { return w.follow(root) }); err != nil {
		return nil, fmt.Errorf("read feed: %w", err)
	}
	return &w.Contents, nil
}

// walk is one ReadContents.
type walk struct {
	Contents
	ctx  context.Context
	read ReadFunc
	seen map[string]bool
	t    *trustedmetadata.TrustedMetadata
}

func (w *walk) follow(root []byte) error {
	if err := w.roots(root); err != nil {
		return err
	}
	w.t.RefTime = time.Time{} // nothing is expired at the beginning of time
	var err error
	w.Timestamp, err = w.metadata("timestamp.json", drop(w.t.UpdateTimestamp))
	if err != nil {
		return err
	}
	w.Version, w.Snapshot = w.t.Timestamp.Signed.Version, w.t.Timestamp.Signed.Meta["snapshot.json"].Version
	snapshot, err := w.metadata(versioned(w.Snapshot, metadata.SNAPSHOT), func(b []byte) error {
		_, err := w.t.UpdateSnapshot(b, false)
		return err
	})
	if err != nil {
		return err
	}
	if err := w.role(metadata.TARGETS, drop(w.t.UpdateTargets)); err != nil {
		return err
	}
	if d := w.t.Targets[metadata.TARGETS].Signed.Delegations; d != nil {
		for _, r := range d.Roles {
			err := w.role(r.Name, func(b []byte) error {
				_, err := w.t.UpdateDelegatedTargets(b, r.Name, metadata.TARGETS)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	w.Metadata = append(w.Metadata, snapshot)
	return nil
}

// roots walks from the first root to the newest.
func (w *walk) roots(first []byte) error {
	b, err := w.read(w.ctx, metadataDir+"/1.root.json", maxMetadata)
	if err != nil {
		return fmt.Errorf("1.root.json: %w", err)
	}
	if first != nil && !bytes.Equal(first, b) {
		return fmt.Errorf("1.root.json: %w", ErrOtherFeed)
	}
	err = malformedIfUnknown(guard(func() (err error) {
		w.t, err = trustedmetadata.New(b)
		return err
	}))
	if err != nil {
		return fmt.Errorf("1.root.json: %w", err)
	}
	w.Roots = append(w.Roots, feedFile(metadataDir+"/1.root.json", b))
	for range maxRoots {
		f, err := w.metadata(versioned(w.t.Root.Signed.Version+1, metadata.ROOT), drop(w.t.UpdateRoot))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		w.Roots = append(w.Roots, f)
	}
	return fmt.Errorf("more than %d roots: %w", maxRoots, ErrOversized)
}

// metadata reads a file and gives it to its verifier.
func (w *walk) metadata(name string, use func([]byte) error) (FeedFile, error) {
	b, err := w.read(w.ctx, metadataDir+"/"+name, maxMetadata)
	if err == nil {
		err = malformedIfUnknown(guard(func() error { return use(b) }))
	}
	if err != nil {
		return FeedFile{}, fmt.Errorf("%s: %w", name, err)
	}
	return feedFile(metadataDir+"/"+name, b), nil
}

// role reads the metadata of targets, or of a role that they delegate to, and what it lists. A role that the snapshot does not
// know was not published yet.
func (w *walk) role(name string, use func([]byte) error) error {
	meta := w.t.Snapshot.Signed.Meta[name+".json"]
	if meta == nil {
		return nil
	}
	f, err := w.metadata(versioned(meta.Version, name), use)
	if err != nil {
		return err
	}
	w.Metadata = append(w.Metadata, f)
	listed := w.t.Targets[name].Signed.Targets
	for _, p := range slices.Sorted(maps.Keys(listed)) {
		if name != metadata.TARGETS && p != release.BrakePath {
			continue // the online key vouches for nothing else: readers do not look at it
		}
		if err := w.target(p, listed[p]); err != nil {
			return fmt.Errorf("target %s: %w", p, err)
		}
	}
	return nil
}

func (w *walk) target(p string, t *metadata.TargetFiles) error {
	if t == nil || t.Length < 0 {
		return ErrMalformed
	}
	d, err := targetDigest(t)
	if err != nil {
		return err
	}
	f, err := w.file(p, t.Length, d)
	if err != nil || w.seen[f.Path] {
		return err
	}
	w.seen[f.Path] = true
	if t.Length > maxMetadata {
		w.Payloads = append(w.Payloads, f)
		return nil
	}
	if f.Content, err = w.read(w.ctx, f.Path, t.Length); err != nil {
		return err
	}
	if sha256.Sum256(f.Content) != d {
		return ErrDigestMismatch
	}
	w.Targets = append(w.Targets, f)
	if _, ok := parseIndexPath(p); !ok {
		return nil
	}
	ix, err := release.ParseIndex(f.Content)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return w.payloads(ix)
}

func (w *walk) payloads(ix *release.Index) error {
	for _, r := range ix.Releases {
		all := []release.Payload{r.Artifact.Full}
		for _, d := range r.Artifact.Deltas {
			all = append(all, d.Payload)
		}
		for _, p := range all {
			f, err := w.file(p.Path, p.Length, p.SHA256)
			if err != nil {
				return err
			}
			if !w.seen[f.Path] {
				w.seen[f.Path] = true
				w.Payloads = append(w.Payloads, f)
			}
		}
	}
	return nil
}

// file names a file below targets. Names come from others: one that leads out of the feed is refused.
func (w *walk) file(p string, length int64, d release.Digest) (FeedFile, error) {
	name := targetsDir + "/" + release.HashedPath(p, d)
	if !fs.ValidPath(name) || path.Clean(name) != name {
		return FeedFile{}, fmt.Errorf("bad path %.200q: %w", p, ErrMalformed)
	}
	return FeedFile{Path: name, Length: length, SHA256: d}, nil
}

func feedFile(path string, b []byte) FeedFile {
	return FeedFile{Path: path, Length: int64(len(b)), SHA256: sha256.Sum256(b), Content: b}
}
