package tuf

import (
	"fmt"
	"maps"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release"
)

// Placed is a release in the index that lists it.
type Placed struct {
	IndexName
	Release release.Release `json:"release"`
}

// Change is what an operation came to on releases that are published.
type Change struct {
	Releases []Placed // those concerned, as readers see them from now on; sorted by channel and platform
	Keys     []string // the roles whose keys signed; none if all was as asked for already
}

// Releases returns a version in a channel, or in every one if channel is "", as readers see it. ErrNoRelease says that there is
// none.
func (r *Repository) Releases(v release.Version, channel string) ([]Placed, error) {
	indexes, err := r.listing(v, channel)
	if err != nil {
		return nil, err
	}
	return r.placed(v, indexes), nil
}

// listing returns the indexes that list a version, by path and without the brake.
func (r *Repository) listing(v release.Version, channel string) (map[string]*release.Index, error) {
	if channel != "" {
		if err := r.checkChannel(channel); err != nil {
			return nil, err
		}
	}
	indexes, err := r.indexesByPath()
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(indexes, func(_ string, ix *release.Index) bool {
		_, err := ix.Find(v)
		return err != nil || channel != "" && ix.Channel != channel
	})
	if len(indexes) == 0 {
		return nil, release.ErrNoRelease
	}
	return indexes, nil
}

// placed returns a version in each of the indexes, as readers see it.
func (r *Repository) placed(v release.Version, indexes map[string]*release.Index) []Placed {
	var all []Placed
	for _, path := range slices.Sorted(maps.Keys(indexes)) {
		ix := r.shown(indexes[path])
		if rel, err := ix.Find(v); err == nil {
			all = append(all, Placed{IndexName{ix.Channel, ix.Platform}, rel})
		}
	}
	return all
}

// shown is a copy of ix with the brake applied.
func (r *Repository) shown(ix *release.Index) *release.Index {
	c := *ix
	c.Releases = slices.Clone(ix.Releases)
	r.brake.Apply(&c)
	return &c
}

// admit puts rel into ix, unless it is stopped there. Forced, what stopped it so far does not hold for it.
func (r *Repository) admit(ix *release.Index, rel release.Release, force bool) error {
	if err := r.checkStopped(ix, rel); err != nil {
		if !force {
			return err
		}
		rel.Halted, rel.Yanked = nil, nil
		rel.Resumed = max(rel.Resumed, r.lastEntry(rel.Version, ix.Channel))
	}
	ix.Put(rel)
	return nil
}

// checkStopped is ErrStopped if the entry of its version in ix is stopped, or rel would be in its place.
func (r *Repository) checkStopped(ix *release.Index, rel release.Release) error {
	next := *ix
	next.Releases = slices.Clone(ix.Releases)
	next.Put(rel)
	for _, shown := range []*release.Index{r.shown(ix), r.shown(&next)} {
		if is, err := shown.Find(rel.Version); err == nil && (is.Halted != nil || is.Yanked != nil) {
			return fmt.Errorf("%s: %w", release.IndexPath(ix.Channel, ix.Platform), ErrStopped)
		}
	}
	return nil
}

// lastEntry is the serial of the last entry of the brake that names a version in a channel.
func (r *Repository) lastEntry(v release.Version, channel string) int64 {
	last := int64(0)
	for _, e := range r.brake.Entries {
		if e.Version.Compare(v) == 0 && (e.Channel == "" || e.Channel == channel) {
			last = e.Serial
		}
	}
	return last
}

// canPublish returns an error unless the keys that sign an index are there.
func (r *Repository) canPublish() error {
	if _, err := r.signers(metadata.TARGETS); err != nil {
		return err
	}
	_, err := r.signers(metadata.SNAPSHOT)
	return err
}

// The keys of a Change.
var (
	byOnline  = []string{"online"}
	byTargets = []string{"targets", "online"}
)
