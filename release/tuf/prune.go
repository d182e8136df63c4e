package tuf

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/moult-go/moult/release"
)

// DefaultGrace is how long files stay that no reader begins with any more.
const DefaultGrace = 24 * time.Hour

// PruneRequest says what a feed may lose.
type PruneRequest struct {
	// Keep is how many of the newest releases of each index stay; 0 for no such rule. OlderThan spares those published more recently. Of
	// both rules, a release goes that both let go; with neither, none does.
	Keep      int
	OlderThan time.Duration
	// Grace is how long a file stays that nothing refers to: somebody may be in the middle of a check, or read an old copy of the
	// timestamp. Default DefaultGrace; none if negative.
	Grace  time.Duration
	DryRun bool // say what would go, and change nothing
}

// Pruned is what a feed lost.
type Pruned struct {
	Releases []PrunedRelease
	Deltas   int          // that lead from an executable which no release is any more
	Files    []PrunedFile // removed
	Waiting  []PrunedFile // that nothing refers to, for less than the grace period
}

// PrunedRelease is a release that an index lists no more.
type PrunedRelease struct {
	Channel  string           `json:"channel"`
	Platform release.Platform `json:"platform"`
	Version  release.Version  `json:"version"`
}

// PrunedFile is a file of the feed.
type PrunedFile struct {
	Path   string `json:"path"` // slash-separated, below the feed's directory
	Length int64  `json:"length"`
}

// Prune drops old releases from the indexes, deltas that start from none that is left, and then the files that nothing has referred to
// for the grace period. Never dropped are the newest release of an index, one that another index keeps, and the stepping stone that
// the minimum version of a kept one asks for. Roots stay, and so does the metadata of the publication before this one. Only what an index
// loses needs a key, the targets key. Killed at any moment, it can be run again.
func (r *Repository) Prune(ctx context.Context, q PruneRequest) (*Pruned, error) {
	if q.Grace == 0 {
		q.Grace = DefaultGrace
	}
	var p *Pruned
	err := r.exclusively(ctx, func() (err error) {
		p, err = r.prune(ctx, q)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("prune feed %s: %w", r.dir, err)
	}
	return p, nil
}

func (r *Repository) prune(ctx context.Context, q PruneRequest) (*Pruned, error) {
	indexes, err := r.indexesByPath()
	if err != nil {
		return nil, err
	}
	p := &Pruned{}
	changed := p.drop(indexes, r.keepers(indexes, q))
	if len(changed) > 0 && !q.DryRun {
		if err := r.canPublish(); err != nil {
			return nil, err
		}
		if err := r.publishIndexes(ctx, changed); err != nil {
			return nil, err
		}
	}
	return p, r.sweep(ctx, p, q)
}

// drop takes from the indexes whatever is not kept, and returns those that changed.
func (p *Pruned) drop(indexes map[string]*release.Index, keep map[string]map[string]bool) map[string]*release.Index {
	changed := make(map[string]*release.Index)
	left := make(map[release.Digest]bool)
	for _, path := range slices.Sorted(maps.Keys(indexes)) {
		ix := indexes[path]
		ix.Releases = slices.DeleteFunc(ix.Releases, func(rel release.Release) bool {
			if keep[path][rel.Version.String()] {
				left[rel.Artifact.SHA256] = true
				return false
			}
			changed[path] = ix
			p.Releases = append(p.Releases, PrunedRelease{ix.Channel, ix.Platform, rel.Version})
			return true
		})
	}
	for path, ix := range indexes {
		for i := range ix.Releases {
			a := &ix.Releases[i].Artifact
			n := len(a.Deltas)
			a.Deltas = slices.DeleteFunc(slices.Clone(a.Deltas), func(d release.Delta) bool { return !left[d.From] })
			if len(a.Deltas) < n {
				p.Deltas += n - len(a.Deltas)
				changed[path] = ix
			}
		}
	}
	return changed
}

// keepers names the versions that each index keeps, by its path.
func (r *Repository) keepers(indexes map[string]*release.Index, q PruneRequest) map[string]map[string]bool {
	keep := make(map[string]map[string]bool)
	for path, ix := range indexes {
		keep[path] = make(map[string]bool)
		for _, rel := range r.wanted(r.shown(ix), q) {
			keep[path][rel.Version.String()] = true
		}
	}
	for more := true; more; { // until nothing that is kept asks for another
		more = false
		for path, ix := range indexes {
			shown := r.shown(ix)
			for _, rel := range shown.Releases {
				v := rel.Version.String()
				if !keep[path][v] {
					if !keptElsewhere(indexes, keep, ix, v) {
						continue
					}
					keep[path][v], more = true, true
				}
				if stone, ok := steppingStone(shown, rel); ok && !keep[path][stone] {
					keep[path][stone], more = true, true
				}
			}
		}
	}
	return keep
}

// wanted are the releases of an index that the request itself lets stay.
func (r *Repository) wanted(ix *release.Index, q PruneRequest) []release.Release {
	all := slices.SortedFunc(slices.Values(ix.Releases), func(a, b release.Release) int { return b.Version.Compare(a.Version) })
	open := slices.IndexFunc(all, takeable) // what hosts take, should those above be stopped
	var list []release.Release
	for i, rel := range all {
		byNumber := q.Keep > 0 && i >= q.Keep
		byAge := q.OlderThan > 0 && rel.Published.Before(r.now().Add(-q.OlderThan))
		goes := (byNumber || q.Keep <= 0) && (byAge || q.OlderThan <= 0) && (byNumber || byAge)
		if !goes || i == 0 || i == open {
			list = append(list, rel)
		}
	}
	return list
}

func takeable(r release.Release) bool { return r.Halted == nil && r.Yanked == nil }

func keptElsewhere(indexes map[string]*release.Index, keep map[string]map[string]bool, ix *release.Index, version string) bool {
	for path, other := range indexes {
		if other != ix && other.Platform == ix.Platform && keep[path][version] {
			return true
		}
	}
	return false
}

// steppingStone is the version that hosts which are too old for rel take first: the newest that is not below its minimum and
// may be taken from further back.
func steppingStone(ix *release.Index, rel release.Release) (version string, ok bool) {
	var best release.Version
	for _, s := range ix.Releases {
		between := s.Version.Compare(rel.Version) < 0 && s.Version.Compare(rel.Minimum) >= 0 && s.Minimum.Compare(rel.Minimum) < 0
		if !rel.Minimum.IsZero() && between && takeable(s) && s.Version.Compare(best) > 0 {
			best = s.Version
		}
	}
	return best.String(), !best.IsZero()
}
