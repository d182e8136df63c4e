package tuf

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release"
)

// withOnlineKey publishes what a holder of the online key alone can sign: other metadata of the brake's role.
func (f *feed) withOnlineKey(change func(*metadata.TargetsType)) {
	f.t.Helper()
	r := f.repo
	m := r.trusted.Targets[brakeRole]
	change(&m.Signed)
	m.Signed.Version++
	meta, err := signAndWrite(f.t.Context(), r, m, brakeRole, versioned(m.Signed.Version, brakeRole), m.Signed.Version)
	if err != nil {
		f.t.Fatal(err)
	}
	r.trusted.Snapshot.Signed.Meta["brake.json"] = meta
	if err := r.publishSnapshot(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// plant writes a target file that nothing vouches for yet, and returns how one would.
func (f *feed) plant(path string, b []byte) *metadata.TargetFiles {
	f.t.Helper()
	d := sum(b)
	if err := replaceFile(f.repo.targetPath(path, d), b); err != nil {
		f.t.Fatal(err)
	}
	return &metadata.TargetFiles{Length: int64(len(b)), Hashes: metadata.Hashes{"sha256": d[:]}, Path: path}
}

// The heart of the brake: it can only stop, never offer. A thief of the online key lists an index of his own, in the place of a true one and
// beside it, and delegates to himself.
func TestTheBrakeOffersNothing(t *testing.T) {
	f := newFeed(t)
	rel := f.publish("1.0.0", "beta", "one")
	rel.Version = release.MustParseVersion("6.6.6")
	for _, channel := range []string{"beta", "stable"} {
		evil := release.Index{Schema: 1, App: "hello", Channel: channel, Platform: linux}
		evil.Put(rel)
		b, err := evil.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		path := release.IndexPath(channel, linux)
		planted := f.plant(path, b)
		f.withOnlineKey(func(m *metadata.TargetsType) {
			m.Targets[path] = planted
			m.Targets[feedTarget] = planted
			d := f.repo.trusted.Targets[metadata.TARGETS].Signed.Delegations
			m.Delegations = &metadata.Delegations{Keys: d.Keys, Roles: []metadata.DelegatedRole{
				{Name: "timestamp", KeyIDs: d.Roles[0].KeyIDs, Threshold: 1, Paths: []string{"*", "*/*"}},
			}}
		})
	}
	c := f.client(t.TempDir())
	wantNewest(t, c, "beta", "1.0.0")
	if got, err := newest(c, "stable"); !errors.Is(err, ErrNoIndex) {
		t.Errorf("the brake offers %q, %v", got, err)
	}
	if names := c.Indexes(); len(names) != 1 {
		t.Errorf("the feed lists %v", names)
	}
	if all, err := ReadContents(t.Context(), f.root, readDir(f.repo.dir)); err != nil || len(all.Targets) != 3 { // an index, settings, the brake
		t.Errorf("who copies the feed takes %v, %v", all, err)
	}
	r, err := Open(f.repo.dir, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if all, err := r.Indexes(); err != nil || len(all) != 1 || len(all[0].Releases) != 1 || r.App() != "hello" {
		t.Errorf("the publisher sees %v, %v", all, err)
	}
}

// Targets that delegate a brake have one: whoever stands between feed and host cannot leave it away, nor give another.
func TestADelegatedBrakeMustBeThere(t *testing.T) {
	for name, tc := range map[string]struct {
		want   error
		damage func(f *feed)
	}{
		"no metadata": {ErrNotFound, func(f *feed) { f.setLie(answer("/1.brake.json", http.NotFound)) }},
		"html":        {ErrHTML, func(f *feed) { f.setLie(answer("brake.json", html)) }},
		"no target": {ErrNotFound, func(f *feed) {
			f.setLie(func(w http.ResponseWriter, r *http.Request) bool {
				return strings.HasPrefix(r.URL.Path, "/targets/") && answer(".brake.json", http.NotFound)(w, r)
			})
		}},
		"endless":          {ErrOversized, func(f *feed) { f.setLie(answer("brake.json", endless)) }},
		"null metadata":    {ErrMalformed, func(f *feed) { f.setLie(answer("/1.brake.json", bytesOf([]byte("null")))) }},
		"not in the role":  {ErrMalformed, func(f *feed) { f.withOnlineKey(func(m *metadata.TargetsType) { clear(m.Targets) }) }},
		"null in the role": {ErrMalformed, func(f *feed) { f.withOnlineKey(func(m *metadata.TargetsType) { m.Targets["brake.json"] = nil }) }},
		"expired": {ErrExpired, func(f *feed) {
			f.withOnlineKey(func(m *metadata.TargetsType) { m.Expires = time.Now().Add(-time.Hour) })
		}},
		"oversized target": {ErrOversized, func(f *feed) {
			f.withOnlineKey(func(m *metadata.TargetsType) { m.Targets["brake.json"].Length = 1 << 30 })
		}},
		"of another kind":   {ErrMalformed, func(f *feed) { f.putBrake("[]") }},
		"of another app":    {ErrMalformed, func(f *feed) { f.putBrake(`{"schema":1,"app":"other"}`) }},
		"of another schema": {ErrMalformed, func(f *feed) { f.putBrake(`{"schema":2,"app":"hello"}`) }},
		"not in the snapshot": {ErrMalformed, func(f *feed) {
			delete(f.repo.trusted.Snapshot.Signed.Meta, "brake.json")
			if err := f.repo.publishSnapshot(f.t.Context()); err != nil {
				f.t.Fatal(err)
			}
		}},
		"signed by nobody": {ErrBadSignature, func(f *feed) {
			named := f.repo.trusted.Targets[metadata.TARGETS].Signed.Delegations
			k, err := metadata.KeyFromPublicKey(stranger(f.t)[0].PublicKey())
			if err != nil {
				f.t.Fatal(err)
			}
			id, err := k.ID()
			if err != nil {
				f.t.Fatal(err)
			}
			*named = metadata.Delegations{Keys: map[string]*metadata.Key{id: k}, Roles: []metadata.DelegatedRole{
				{Name: brakeRole, KeyIDs: []string{id}, Threshold: 1, Terminating: true, Paths: []string{release.BrakePath}},
			}}
			f.putTargets()
		}},
		"delegated for other files": {ErrMalformed, func(f *feed) {
			f.repo.trusted.Targets[metadata.TARGETS].Signed.Delegations.Roles[0].Paths = []string{"stable/*"}
			f.putTargets()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFeed(t)
			f.publish("1.0.0", "beta", "one")
			tc.damage(f)
			if got, err := newest(f.client(t.TempDir()), "beta"); !errors.Is(err, tc.want) {
				t.Errorf("newest = %q, %v; want %v", got, err, tc.want)
			}
		})
	}
}

// putBrake publishes any text as the brake.
func (f *feed) putBrake(text string) {
	f.t.Helper()
	planted := f.plant(release.BrakePath, []byte(text))
	f.withOnlineKey(func(m *metadata.TargetsType) { m.Targets[release.BrakePath] = planted })
}

// putTargets publishes targets as they stand, with no look at what they delegate.
func (f *feed) putTargets() {
	f.t.Helper()
	r := f.repo
	m := r.trusted.Targets[metadata.TARGETS]
	m.Signed.Version++
	meta, err := signAndWrite(f.t.Context(), r, m, metadata.TARGETS, versioned(m.Signed.Version, metadata.TARGETS), m.Signed.Version)
	if err != nil {
		f.t.Fatal(err)
	}
	r.trusted.Snapshot.Signed.Meta["targets.json"] = meta
	if err := r.publishSnapshot(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// A feed that was made before there were brakes works, and gets its brake with the next publication.
func TestFeedWithoutABrake(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	f.repo.trusted.Targets[metadata.TARGETS].Signed.Delegations = nil
	delete(f.repo.trusted.Snapshot.Signed.Meta, "brake.json")
	f.putTargets()
	dir := t.TempDir()
	old := f.client(dir)
	wantNewest(t, old, "beta", "1.0.0")
	r, err := Open(f.repo.dir, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Expiries()); n != 4 {
		t.Errorf("a feed without a brake has %d roles", n)
	}
	f.publish("1.1.0", "beta", "two")
	wantNewest(t, old, "beta", "1.1.0")
	wantNewest(t, f.client(dir), "beta", "1.1.0")
	if e := f.client(dir).Expiries(); e != nil {
		t.Errorf("before a refresh: %v", e)
	}
	if e := old.Expiries(); len(e) != 5 || e[4].Role != brakeRole {
		t.Errorf("after the publication: %v", e)
	}
}

// When the root has exchanged the online key, the next publication hands the brake to the new one.
func TestTheBrakeFollowsTheOnlineKey(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	c := f.client(t.TempDir())
	wantNewest(t, c, "beta", "1.0.0")
	f.rotate()
	wantNewest(t, c, "beta", "1.0.0")
	if _, err := f.repo.signers(brakeRole); !errors.Is(err, ErrNoKey) {
		t.Errorf("the new key may sign the brake before targets name it: %v", err)
	}
	f.publish("1.1.0", "beta", "two")
	wantNewest(t, c, "beta", "1.1.0")
	wantNewest(t, f.client(t.TempDir()), "beta", "1.1.0")
	if _, err := f.repo.signers(brakeRole); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(f.repo.metadataPath("2.brake.json")); err != nil {
		t.Errorf("the brake was not signed again: %v", err)
	}
}
