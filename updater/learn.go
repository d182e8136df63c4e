package updater

import (
	"path"
	"slices"
	"time"

	"github.com/moult-go/moult/release"
)

// Publishers sign an archive, and what is in it is known only when it was unpacked here. So that a build counts by the digest of its
// executable all the same, and is not downloaded again only to learn that it is in quarantine or installed, it is written down.

// unpacked is what an archive held.
type unpacked struct {
	Archive release.Digest `json:"archive"`
	Digest  release.Digest `json:"digest"` // of the executable
	Length  int64          `json:"length"` // of it, bytes
}

// mostArchives is how many archives are remembered.
const mostArchives = 32

func (s *state) remember(a unpacked) {
	s.Archives = slices.DeleteFunc(s.Archives, func(o unpacked) bool { return o.Archive == a.Archive })
	s.Archives = append(s.Archives, a)
	s.Archives = s.Archives[max(0, len(s.Archives)-mostArchives):]
}

// known returns the offers with what was learned of them before.
func (s *state) known(offered []Candidate) []Candidate {
	offered = slices.Clone(offered)
	for i := range offered {
		c := &offered[i]
		if !c.isLearned() {
			continue
		}
		if at := slices.IndexFunc(s.Archives, func(a unpacked) bool { return a.Archive == c.Full.SHA256 }); at >= 0 {
			c.Length, c.Digest = s.Archives[at].Length, s.Archives[at].Digest
		}
	}
	return offered
}

// learn takes note of what an archive held, gives the staged version the name by which it counts from now on, and stops where policy
// would not have begun, had it known.
func (u *Updater) learn(r Request, t *trial, c Candidate) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.state.remember(unpacked{Archive: c.Full.SHA256, Digest: c.Digest, Length: c.Length})
	from := keptDir(t.build)
	t.build.Digest = c.Digest
	t.path = u.versionFile(t.build)
	t.rec.Digest, t.rec.Staged = c.Digest, u.keptFile(t.build)
	u.log.Info("unpacked", "version", t.build.Version, "digest", c.Digest, "bytes", c.Length)
	if q := u.state.quarantined(c.Digest); q != nil && !r.Force {
		return fail(Policy, "quarantined", "version %s holds the build that is in quarantine since %s: %s",
			t.build.Version, q.Since.UTC().Format(time.RFC3339), q.Reason)
	}
	if c.Digest == t.rec.FromDigest {
		return fail(Policy, "same-version", "version %s holds the executable that is installed already, as version %s", t.build.Version, t.rec.From)
	}
	if err := u.moveStaged(from, keptDir(t.build)); err != nil {
		return diskError(err, "stage version %s", t.build.Version)
	}
	u.step("learned")
	return nil
}

// moveStaged gives a staged version's directory another name, durably.
func (u *Updater) moveStaged(from, to string) error {
	if err := u.root.RemoveAll(to); err != nil {
		return err
	}
	if err := u.root.Rename(from, to); err != nil {
		return err
	}
	return syncDir(u.root, path.Dir(to))
}
