package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// IndexSchema is the schema number this package writes, and the highest it reads.
const IndexSchema = 1

// MaxIndexSize is the largest index, in bytes, that ParseIndex accepts.
const MaxIndexSize = 1 << 20

// Index lists the releases of one channel for one platform, newest first. It is the one thing that a
// running server needs to choose an update; in a feed it is a TUF target, so its bytes are trusted
// before they are parsed.
type Index struct {
	Schema   int       `json:"schema"`
	App      string    `json:"app"`
	Channel  string    `json:"channel"`
	Platform Platform  `json:"platform"`
	Releases []Release `json:"releases"`
}

// Release is one version for one platform, and what its publisher says of who may take it.
type Release struct {
	Version   Version   `json:"version"`
	Published time.Time `json:"published"`
	Notes     string    `json:"notes,omitempty"`
	// Minimum is the oldest version that may take this one directly; what is older takes a release in between
	// first. The zero Version is no such demand.
	Minimum Version `json:"minimum,omitzero"`
	// Critical releases do not wait for the host's share of the rollout.
	Critical bool     `json:"critical,omitempty"`
	Rollout  *Rollout `json:"rollout,omitempty"` // nil: for everybody at once
	// Halted and Yanked are set where a publisher has stopped the release: by the targets key in the index itself,
	// or by the online key through the brake (Brake.Apply).
	Halted *Stop `json:"halted,omitempty"`
	Yanked *Stop `json:"yanked,omitempty"`
	// Resumed is the serial of the last brake entry that no longer holds for this release.
	Resumed  int64    `json:"resumed,omitempty"`
	Artifact Artifact `json:"artifact"`
}

// ErrNoRelease says that an index holds no release that was asked for.
var ErrNoRelease = errors.New("no such release")

var nameRule = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$`)

// CheckName returns an error unless s may name an application or a channel: it becomes part of file names.
func CheckName(kind, s string) error {
	if !nameRule.MatchString(s) {
		return fmt.Errorf("%s name %.80q: want 1 to 64 letters, digits, dots, underscores or dashes, a letter or digit first", kind, s)
	}
	return nil
}

// IndexPath is the target path of the index of a channel and platform: "stable/linux-amd64.json".
func IndexPath(channel string, p Platform) string { return channel + "/" + p.FileName() + ".json" }

// ParseIndex reads and checks an index. Unknown fields are ignored, so that newer publishers may add some;
// a higher schema number is an error.
func ParseIndex(b []byte) (*Index, error) {
	if len(b) > MaxIndexSize {
		return nil, fmt.Errorf("parse index: %d bytes, more than %d", len(b), MaxIndexSize)
	}
	var ix Index
	if err := json.Unmarshal(b, &ix); err != nil {
		return nil, fmt.Errorf("parse index: %w", err)
	}
	if err := ix.check(); err != nil {
		return nil, fmt.Errorf("parse index: %w", err)
	}
	return &ix, nil
}

func (ix *Index) check() error {
	if ix.Schema < 1 || ix.Schema > IndexSchema {
		return fmt.Errorf("schema %d, this version reads up to %d", ix.Schema, IndexSchema)
	}
	if err := CheckName("application", ix.App); err != nil {
		return err
	}
	if err := CheckName("channel", ix.Channel); err != nil {
		return err
	}
	if p, err := ParsePlatform(ix.Platform.String()); err != nil || p != ix.Platform {
		return fmt.Errorf("platform %q: not of the form os/arch[/variant]", ix.Platform)
	}
	for i, r := range ix.Releases {
		if r.Version.IsZero() {
			return errors.New("a release without a version")
		}
		if slices.ContainsFunc(ix.Releases[:i], func(o Release) bool { return o.Version.Compare(r.Version) == 0 }) {
			return fmt.Errorf("release %s: listed twice", r.Version)
		}
		if err := r.check(); err != nil {
			return fmt.Errorf("release %s: %w", r.Version, err)
		}
	}
	return nil
}

func (r Release) check() error {
	if r.Rollout != nil {
		if err := r.Rollout.Check(); err != nil {
			return err
		}
	}
	if r.Resumed < 0 {
		return fmt.Errorf("resumed %d", r.Resumed)
	}
	return r.Artifact.Check()
}

// Marshal writes the index as the publisher signs it, releases sorted newest first.
func (ix *Index) Marshal() ([]byte, error) {
	slices.SortStableFunc(ix.Releases, func(a, b Release) int { return b.Version.Compare(a.Version) })
	if err := ix.check(); err != nil {
		return nil, fmt.Errorf("write index: %w", err)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetIndent("", "  ")
	if err := enc.Encode(ix); err != nil {
		return nil, fmt.Errorf("write index: %w", err)
	}
	return buf.Bytes(), nil
}

// Find returns the release of exactly this version, or ErrNoRelease.
func (ix *Index) Find(v Version) (Release, error) {
	for _, r := range ix.Releases {
		if r.Version.Compare(v) == 0 {
			return r, nil
		}
	}
	return Release{}, fmt.Errorf("version %s in %s: %w", v, IndexPath(ix.Channel, ix.Platform), ErrNoRelease)
}

// Latest returns the newest release, or ErrNoRelease if there is none.
func (ix *Index) Latest() (Release, error) {
	if len(ix.Releases) == 0 {
		return Release{}, fmt.Errorf("%s: %w", IndexPath(ix.Channel, ix.Platform), ErrNoRelease)
	}
	return slices.MaxFunc(ix.Releases, func(a, b Release) int { return a.Version.Compare(b.Version) }), nil
}

// Put adds r, in place of a release of the same version.
func (ix *Index) Put(r Release) {
	ix.Releases = slices.DeleteFunc(ix.Releases, func(o Release) bool { return o.Version.Compare(r.Version) == 0 })
	ix.Releases = append(ix.Releases, r)
}
