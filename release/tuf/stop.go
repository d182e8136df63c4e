package tuf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/moult-go/moult/release"
)

// StopRequest names a release to stop.
type StopRequest struct {
	Version release.Version
	Channel string // "" for every channel
	Reason  string // for people
	DryRun  bool   // say what would be, and publish nothing
}

// Halt stops a release for all hosts that do not have it yet, until it is resumed. The online key is enough.
func (r *Repository) Halt(ctx context.Context, q StopRequest) (Change, error) {
	return r.stop(ctx, release.Halt, q)
}

// Yank withdraws a release. The online key is enough; if the targets key is there, the index says so as well.
func (r *Repository) Yank(ctx context.Context, q StopRequest) (Change, error) {
	return r.stop(ctx, release.Yank, q)
}

func (r *Repository) stop(ctx context.Context, action release.BrakeAction, q StopRequest) (Change, error) {
	var c Change
	err := r.exclusively(ctx, func() (err error) {
		c, err = r.brakeOn(ctx, action, q)
		return err
	})
	if err != nil {
		return Change{}, fmt.Errorf("%s %s: %w", action, q.Version, err)
	}
	return c, nil
}

func (r *Repository) brakeOn(ctx context.Context, action release.BrakeAction, q StopRequest) (Change, error) {
	indexes, err := r.listing(q.Version, q.Channel)
	if err != nil {
		return Change{}, err
	}
	if now := r.placed(q.Version, indexes); allStopped(action, now) {
		return Change{Releases: now}, nil
	}
	withTargets := r.canPublish() == nil
	_, online := r.signers(brakeRole)
	if online != nil && !withTargets {
		return Change{}, online
	}
	serial, err := r.nextSerial(q.Version)
	if err != nil {
		return Change{}, err
	}
	stop := release.Stop{Reason: q.Reason, Since: r.instant()}
	r.brake.Entries = append(r.brake.Entries, release.BrakeEntry{Serial: serial, Channel: q.Channel, Version: q.Version, Action: action, Stop: stop})
	slices.SortFunc(r.brake.Entries, func(a, b release.BrakeEntry) int { return cmp.Compare(a.Serial, b.Serial) })

	marked := make(map[string]*release.Index)
	if action == release.Yank && withTargets {
		marked = indexes
		change(indexes, q.Version, func(_ *release.Index, rel *release.Release) { rel.Yanked = &stop })
	}
	done := Change{Releases: r.placed(q.Version, indexes), Keys: byOnline}
	if !allStopped(action, done.Releases) {
		return Change{}, errors.New("its entry in the brake would not hold")
	}
	publish := r.publishBrake
	if len(marked) > 0 || online != nil {
		done.Keys = byTargets
		publish = func(ctx context.Context) error { return r.publishIndexes(ctx, marked) }
	}
	if q.DryRun {
		return done, nil
	}
	return done, publish(ctx)
}

func allStopped(action release.BrakeAction, all []Placed) bool {
	return !slices.ContainsFunc(all, func(p Placed) bool {
		return p.Release.Yanked == nil && (action == release.Yank || p.Release.Halted == nil)
	})
}

// change lets f change a version in each of the indexes.
func change(indexes map[string]*release.Index, v release.Version, f func(*release.Index, *release.Release)) {
	for _, ix := range indexes {
		for i := range ix.Releases {
			if ix.Releases[i].Version.Compare(v) == 0 {
				f(ix, &ix.Releases[i])
			}
		}
	}
}

// nextSerial is one more than any serial before, in the brake or resumed. A thief of the online key may have used the highest one, so
// that there is none above: then it is one that counts for v, whose own serials he spared.
func (r *Repository) nextSerial(v release.Version) (int64, error) {
	indexes, err := r.indexesByPath()
	if err != nil {
		return 0, err
	}
	var all, own int64
	used := make(map[int64]bool)
	see := func(serial int64, of release.Version) {
		all = max(all, serial)
		if of.Compare(v) == 0 {
			own = max(own, serial)
		}
	}
	for _, e := range r.brake.Entries {
		used[e.Serial] = true
		see(e.Serial, e.Version)
	}
	for _, ix := range indexes {
		for _, rel := range ix.Releases {
			see(rel.Resumed, rel.Version)
		}
	}
	if all < math.MaxInt64 {
		return all + 1, nil
	}
	for serial := own; serial < math.MaxInt64; {
		if serial++; !used[serial] {
			return serial, nil
		}
	}
	return 0, errors.New("somebody has used up its numbers in the brake: exchange the online key, and publish a newer version")
}

// compactAbove is the number of entries above which a publication drops those from the brake that hold for nothing any more.
const compactAbove = 64

// compactBrake drops entries for versions that no index lists, or that are resumed wherever they are listed. The last one
// stays: its serial must not be given again.
func (r *Repository) compactBrake(indexes map[string]*release.Index) {
	if len(r.brake.Entries) <= compactAbove {
		return
	}
	last := r.brake.Entries[len(r.brake.Entries)-1].Serial
	r.brake.Entries = slices.DeleteFunc(r.brake.Entries, func(e release.BrakeEntry) bool {
		if e.Serial == last {
			return false
		}
		for _, ix := range indexes {
			rel, err := ix.Find(e.Version)
			if err == nil && e.Serial > rel.Resumed && (e.Channel == "" || e.Channel == ix.Channel) {
				return false
			}
		}
		return true
	})
}
