package tuf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release"
)

// What we write below metadata and targets, in the end or on the way there. Whatever else lies there is not ours to remove.
var (
	metadataRule = regexp.MustCompile(`^[0-9]+\.[a-z][a-z0-9_-]*\.json$`)
	rootRule     = regexp.MustCompile(`^[0-9]+\.root\.json$`)
	targetRule   = regexp.MustCompile(`^[0-9a-f]{64}\..`)
)

// sweep removes the files that no reader has begun with for the grace period. When a publication ceased to be the newest is when the
// next one's snapshot was written; so nothing has to be noted down, and a copy of the feed with new times only waits longer.
func (r *Repository) sweep(ctx context.Context, p *Pruned, q PruneRequest) error {
	end := r.now().Add(-q.Grace)
	if q.Grace < 0 {
		end = r.now().AddDate(1, 0, 0) // whatever the clocks say
	}
	needed, err := r.needed(time.Time{})
	if err != nil {
		return err
	}
	recent, err := r.needed(end)
	if err != nil {
		return err
	}
	var gone []PrunedFile
	err = fs.WalkDir(os.DirFS(r.dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() && (name == "." || name == metadataDir || strings.HasPrefix(name+"/", targetsDir+"/")) {
			return err
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		if !e.Type().IsRegular() || !ours(name) || needed[name] {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if f := (PrunedFile{name, info.Size()}); recent[name] || info.ModTime().After(end) {
			p.Waiting = append(p.Waiting, f)
		} else {
			gone = append(gone, f)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// What leads to others goes first: a reader that is late misses the beginning and not the end.
	slices.SortStableFunc(gone, func(a, b PrunedFile) int { return cmp.Compare(rank(a.Path), rank(b.Path)) })
	for _, f := range gone {
		if err := r.remove(ctx, f.Path, q.DryRun); err != nil {
			return err
		}
		p.Files = append(p.Files, f)
	}
	return nil
}

func ours(name string) bool {
	dir, base := path.Split(name)
	switch {
	case strings.HasPrefix(base, strings.TrimSuffix(tempPattern, "*")):
		return dir != ""
	case dir == metadataDir+"/":
		return metadataRule.MatchString(base)
	}
	return strings.HasPrefix(dir, targetsDir+"/") && targetRule.MatchString(base)
}

func rank(name string) int {
	switch {
	case strings.HasSuffix(name, ".snapshot.json"):
		return 0
	case strings.HasPrefix(name, metadataDir+"/"):
		return 1
	case strings.HasSuffix(name, ".json"):
		return 2
	}
	return 3
}

func (r *Repository) remove(ctx context.Context, name string, dry bool) error {
	if err := ctx.Err(); err != nil || dry {
		return err
	}
	file := filepath.Join(r.dir, filepath.FromSlash(name))
	if r.beforeWrite != nil {
		if err := r.beforeWrite(file); err != nil {
			return err
		}
	}
	if err := os.Remove(file); err != nil {
		return err
	}
	if dir := filepath.Dir(file); path.Dir(name) != metadataDir && path.Dir(name) != targetsDir {
		os.Remove(dir) // if it is empty; if not, or on any other error, it stays
	}
	return nil
}

// needed names the files that a reader can come to who began with the publication of now, or with one that was the newest after
// since; the zero time is now. Roots are always among them, and the metadata of the last publication but one.
func (r *Repository) needed(since time.Time) (map[string]bool, error) {
	n := &need{r: r, files: map[string]bool{metadataDir + "/timestamp.json": true}}
	entries, err := os.ReadDir(filepath.Join(r.dir, metadataDir))
	if err != nil {
		return nil, err
	}
	type snapshot struct {
		version int64
		written time.Time
	}
	var all []snapshot
	for _, e := range entries {
		if rootRule.MatchString(e.Name()) {
			n.files[metadataDir+"/"+e.Name()] = true
		}
		if number, ok := strings.CutSuffix(e.Name(), ".snapshot.json"); ok {
			v, err1 := strconv.ParseInt(number, 10, 64)
			info, err2 := e.Info()
			if err1 == nil && err2 == nil {
				all = append(all, snapshot{v, info.ModTime()})
			}
		}
	}
	slices.SortFunc(all, func(a, b snapshot) int { return cmp.Compare(b.version, a.version) })
	now := r.trusted.Snapshot.Signed.Version
	if err := n.publication(now, true); err != nil {
		return nil, err
	}
	var ended time.Time // when the one at hand ceased to be the newest
	previous := true
	for _, s := range all {
		if s.version < now {
			if wanted := !since.IsZero() && ended.After(since); wanted || previous {
				n.publication(s.version, wanted) // what is broken of it, or gone already, nobody needs
			}
			previous = false
		}
		if s.version <= now {
			ended = s.written
		}
	}
	return n.files, nil
}

// need collects the files of publications.
type need struct {
	r     *Repository
	files map[string]bool
}

// publication adds the metadata that a snapshot leads to, and its targets if they are wanted.
func (n *need) publication(version int64, targets bool) error {
	return guard(func() error {
		b, err := n.metadata(versioned(version, metadata.SNAPSHOT))
		if err != nil {
			return err
		}
		m, err := metadata.Snapshot().FromBytes(b)
		if err != nil {
			return err
		}
		var errs []error // of one file: what the others lead to is needed all the same
		for name, meta := range m.Signed.Meta {
			b, err := n.metadata(fmt.Sprintf("%d.%s", meta.Version, name))
			if err == nil && targets {
				err = n.targets(b)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
		return errors.Join(errs...)
	})
}

func (n *need) metadata(name string) ([]byte, error) {
	n.files[metadataDir+"/"+name] = true
	return readCapped(n.r.metadataPath(name), maxMetadata)
}

func (n *need) targets(b []byte) error {
	m, err := metadata.Targets().FromBytes(b)
	if err != nil {
		return err
	}
	var errs []error
	for p, t := range m.Signed.Targets {
		if err := n.target(p, t); err != nil {
			errs = append(errs, fmt.Errorf("target %s: %w", p, err))
		}
	}
	return errors.Join(errs...)
}

func (n *need) target(p string, t *metadata.TargetFiles) error {
	d, err := targetDigest(t)
	if err != nil {
		return err
	}
	n.files[targetsDir+"/"+release.HashedPath(p, d)] = true
	if _, ok := parseIndexPath(p); !ok {
		return nil
	}
	b, err := readCapped(n.r.targetPath(p, d), t.Length)
	if err != nil {
		return err
	}
	ix, err := release.ParseIndex(b)
	if err != nil {
		return err
	}
	for _, rel := range ix.Releases {
		n.payload(rel.Artifact.Full)
		for _, d := range rel.Artifact.Deltas {
			n.payload(d.Payload)
		}
	}
	return nil
}

func (n *need) payload(p release.Payload) {
	n.files[targetsDir+"/"+release.HashedPath(p.Path, p.SHA256)] = true
}
