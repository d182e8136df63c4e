package tuf

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/moult-go/moult/release"
)

// DefaultDeltas is how many releases deltas start from, unless a request says otherwise.
const DefaultDeltas = 4

// bases returns the releases of an index that deltas to a version start from: the n newest of those before it, and the newest that is
// of an earlier minor version. Releases that were stopped count too: those who run one need the way out most.
func bases(ix *release.Index, v release.Version, n int) []release.Release {
	if n == 0 {
		n = DefaultDeltas
	}
	if n < 0 {
		return nil
	}
	before := slices.DeleteFunc(slices.Clone(ix.Releases), func(o release.Release) bool { return o.Version.Compare(v) >= 0 })
	slices.SortFunc(before, func(a, b release.Release) int { return b.Version.Compare(a.Version) })
	last := before[:min(n, len(before), release.MaxDeltas-1)]
	for _, o := range before[len(last):] {
		if !o.Version.SameMinor(v) && !slices.ContainsFunc(last, func(l release.Release) bool { return !l.Version.SameMinor(v) }) {
			return append(slices.Clone(last), o)
		}
	}
	return last
}

// readArtifact returns an executable of the repository, from its payload, both held against their signed digests.
func (r *Repository) readArtifact(a release.Artifact) ([]byte, error) {
	if a.Length > maxExecutable {
		return nil, fmt.Errorf("%d bytes: %w", a.Length, ErrOversized)
	}
	file, err := readCapped(r.targetPath(a.Full.Path, a.Full.SHA256), a.Full.Length)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(file) != a.Full.SHA256 {
		return nil, fmt.Errorf("%s: %w", a.Full.Path, ErrDigestMismatch)
	}
	var b bytes.Buffer
	b.Grow(int(a.Length))
	if err := release.Decode(&b, bytes.NewReader(file), a.Decoding()); err != nil {
		return nil, fmt.Errorf("%s: %w", a.Full.Path, err)
	}
	return b.Bytes(), nil
}
