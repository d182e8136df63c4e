package release

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
)

// Artifact is the executable of a release, and the files that it can be made from. Length and SHA256 are those of the
// raw executable: its identity, whatever way it comes.
type Artifact struct {
	Length int64   `json:"length"` // bytes
	SHA256 Digest  `json:"sha256"`
	Module string  `json:"module,omitempty"` // main module path, as its build information says; "" if it tells none
	Full   Payload `json:"full"`
	Deltas []Delta `json:"deltas,omitempty"`
}

// Payload is a file of the feed.
type Payload struct {
	// Path is where it lies below the feed's targets, slash-separated; in the feed its last element is
	// prefixed with the digest (consistent snapshots).
	Path   string `json:"path"`
	Length int64  `json:"length"` // bytes, of the file
	SHA256 Digest `json:"sha256"` // of the file
	Format Format `json:"format,omitempty"`
}

// Delta is a payload that makes the artifact from another executable.
type Delta struct {
	From Digest `json:"from"` // of that executable
	Payload
}

// Format says how a payload becomes the executable.
type Format string

const (
	Raw      Format = ""         // it is the executable
	Zstd     Format = "zstd"     // one zstd stream (RFC 8878)
	Patch    Format = "delta"    // the container of package release/delta
	BSDiff40 Format = "bsdiff40" // Colin Percival's bsdiff 4, as minio/selfupdate reads it
)

// MaxDeltas is the most deltas that an artifact lists.
const MaxDeltas = 16

const (
	maxPath   = 512
	maxModule = 256
)

var (
	pathRule   = regexp.MustCompile(`^[a-zA-Z0-9_+~][a-zA-Z0-9._+~-]*(/[a-zA-Z0-9_+~][a-zA-Z0-9._+~-]*)*$`)
	formatRule = regexp.MustCompile(`^[a-z0-9-]{0,16}$`)
)

// Check returns an error unless a can be fetched and verified. A format that this version does not know is none: there may
// be another payload.
func (a Artifact) Check() error {
	switch {
	case a.Length <= 0:
		return fmt.Errorf("length %d", a.Length)
	case a.SHA256.IsZero():
		return errors.New("no sha256")
	case len(a.Module) > maxModule:
		return fmt.Errorf("module path of %d bytes", len(a.Module))
	case len(a.Deltas) > MaxDeltas:
		return fmt.Errorf("%d deltas, more than %d", len(a.Deltas), MaxDeltas)
	}
	if err := a.Full.Check(); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	if a.Full.Format == Raw && (a.Full.Length != a.Length || a.Full.SHA256 != a.SHA256) {
		return errors.New("its raw payload is another file")
	}
	for i, d := range a.Deltas {
		if err := d.Check(); err != nil {
			return fmt.Errorf("delta: %w", err)
		}
		if d.From.IsZero() || d.Format == Raw || slices.ContainsFunc(a.Deltas[:i], func(o Delta) bool { return o.From == d.From && o.Format == d.Format }) {
			return fmt.Errorf("delta %s: from nothing, of no format, or listed twice", d.Path)
		}
	}
	return nil
}

// Check returns an error unless p can be fetched and verified.
func (p Payload) Check() error {
	switch {
	case p.Length <= 0:
		return fmt.Errorf("length %d", p.Length)
	case p.SHA256.IsZero():
		return errors.New("no sha256")
	case len(p.Path) > maxPath || !pathRule.MatchString(p.Path):
		return fmt.Errorf("bad path %.200q", p.Path)
	case !formatRule.MatchString(string(p.Format)):
		return fmt.Errorf("bad format %.40q", p.Format)
	}
	return nil
}

// HashedPath is where a file of this path and digest lies below the feed's targets: the digest stands before the last
// element ("1.4.0/HEX.hello-linux-amd64"), so that no file is ever replaced by another one of the same name.
func HashedPath(p string, d Digest) string {
	dir, file := path.Split(p)
	return dir + d.String() + "." + file
}
