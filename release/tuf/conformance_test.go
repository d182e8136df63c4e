package tuf

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// TestTUFClient holds testdata/tufclient, which is what the public suite for TUF clients runs, against the contract of that suite, and
// against what the suite tries: each attack twice over, by the command's exit code and by what it then trusts.
func TestTUFClient(t *testing.T) {
	if testing.Short() {
		t.Skip("runs hundreds of processes")
	}
	program := buildTUFClient(t)
	for _, group := range []map[string]func(*simulator){basicCases, expiryCases, rollbackCases, keyCases, artifactCases, delegationCases, rotationCases()} {
		for name, do := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				do(simulate(t, program))
			})
		}
	}
}

var basicCases = map[string]func(*simulator){
	"init and refresh": func(s *simulator) {
		if got := s.took(); len(got) != 0 {
			s.Errorf("init asked for %q", got)
		}
		s.trusts("root 1")
		s.refresh(0)
		s.asked("root 2", "timestamp", "snapshot 1", "targets 1")
		s.trusts("root 1", "timestamp 1", "snapshot 1", "targets 1")
		s.refresh(0)
		s.asked("root 2", "timestamp")
	},
	"download refreshes first": func(s *simulator) {
		s.download(1, "nothing of this name")
		s.asked("root 2", "timestamp", "snapshot 1", "targets 1")
		s.trusts("root 1", "timestamp 1", "snapshot 1", "targets 1")
	},
	"initial root without a version": func(s *simulator) {
		os.Remove(filepath.Join(s.dir, "metadata", "root.json"))
		s.init(bytes.Replace(s.published[rootRole][0], []byte(`"version":1`), []byte(`"vertigo":1`), 1), 1)
		s.refresh(1)
		s.asked()
	},
	"initial root that is not signed": func(s *simulator) {
		os.Remove(filepath.Join(s.dir, "metadata", "root.json"))
		s.init(signatures.ReplaceAll(s.published[rootRole][0], []byte(`"signatures":[{"keyid":"00","sig":"3045"}]`)), 1)
		s.refresh(1)
		s.asked()
	},
	"init again keeps the rest": func(s *simulator) {
		s.refresh(0)
		s.init(s.published[rootRole][0], 0)
		s.trusts("root 1", "timestamp 1", "snapshot 1", "targets 1")
	},
	"bytes are kept as they came": func(s *simulator) {
		s.root.Signed.UnrecognizedFields = map[string]any{"custom": "value"}
		s.root.Signed.Keys[s.keys[rootRole][0].id].UnrecognizedFields = map[string]any{"extra": map[string]any{"a": 1, "b": 2}}
		s.root.Signed.Roles[rootRole].UnrecognizedFields = map[string]any{"another": "value"}
		s.publish(rootRole)
		s.publishAll(targetsRole)
		spaced := func(role string) []byte { // spaces and order are no part of what is signed
			all := s.published[role]
			all[len(all)-1] = append([]byte(" \n\t"), append(all[len(all)-1], " \n"...)...)
			return all[len(all)-1]
		}
		want := map[string][]byte{}
		for _, role := range []string{rootRole, timestampRole, snapshotRole, targetsRole} {
			want[role] = spaced(role)
		}
		s.refresh(0)
		for role, b := range want {
			s.trustsBytes(role, b)
		}
	},
	"same timestamp version, other content": func(s *simulator) {
		s.refresh(0)
		before := s.published[timestampRole][0]
		s.timestamp.Signed.Meta["snapshot.json"].Version = 100
		s.publishAs(timestampRole, 1)
		s.refresh(0)
		s.trustsBytes(timestampRole, before)
	},
	"targets that the snapshot's digest does not fit": func(s *simulator) {
		s.refresh(0)
		s.hashes = true
		s.publishAll()
		s.publish(targetsRole)
		s.publish(targetsRole)
		s.snapshot.Signed.Meta["targets.json"] = described(3, s.published[targetsRole][1])
		s.publishAll()
		s.refresh(1)
		s.trusts("root 1", "timestamp 3", "snapshot 3", "targets 1")
	},
	"snapshot that the timestamp's digest does not fit": func(s *simulator) {
		s.refresh(0)
		s.hashes = true
		s.publish(snapshotRole, snapshotRole)
		s.timestamp.Signed.Meta["snapshot.json"] = described(3, s.published[snapshotRole][1])
		s.publish(timestampRole)
		s.refresh(1)
		s.trusts("root 1", "timestamp 2", "snapshot 1", "targets 1")
	},
	"targets of another version than the snapshot says": func(s *simulator) {
		s.snapshot.Signed.Meta["targets.json"].Version = 2
		s.publishAll()
		s.lie = answer("/2.targets.json", bytesOf(s.published[targetsRole][0]))
		s.refresh(1)
		s.trusts("root 1", "timestamp 2", "snapshot 2")
	},
	"snapshot of another version than the timestamp says": func(s *simulator) {
		s.timestamp.Signed.Meta["snapshot.json"].Version = 2
		s.publish(timestampRole)
		s.lie = answer("/2.snapshot.json", bytesOf(s.published[snapshotRole][0]))
		s.refresh(1)
		s.trusts("root 1", "timestamp 2")
	},
	"endless and null": func(s *simulator) {
		s.refresh(0)
		s.publish(timestampRole)
		s.lie = answer("/timestamp.json", endless)
		s.refresh(1)
		s.lie = nil
		s.timestamp.Signed.Meta["snapshot.json"] = nil
		s.publish(timestampRole)
		s.refresh(1)
		s.trusts("root 1", "timestamp 1", "snapshot 1", "targets 1")
	},
	"without consistent snapshots": func(s *simulator) {
		s.root.Signed.ConsistentSnapshot = false
		s.publish(rootRole)
		s.delegate(targetsRole, metadata.DelegatedRole{Name: "A", Paths: []string{"*"}})
		s.addArtifact("A", "file", "of A")
		s.addArtifact(targetsRole, "dir/file", "of targets")
		s.publishAll("A", targetsRole)
		s.download(0, "file", "dir/file")
		s.asked("root 2", "root 3", "timestamp", "snapshot", "targets", "A", "targets/file", "targets/dir/file")
		s.has("of A", "of targets")
	},
}

const day = 24 * time.Hour

var expiryCases = map[string]func(*simulator){
	"root expired, and mended": func(s *simulator) {
		s.refresh(0)
		s.root.Signed.Expires = time.Now().Add(-day)
		s.publish(rootRole)
		s.publishAll(targetsRole)
		s.refresh(1)
		s.trusts("root 2", "timestamp 1", "snapshot 1", "targets 1")
		s.root.Signed.Expires = soon
		s.publish(rootRole)
		s.refresh(0)
		s.trusts("root 3", "timestamp 2", "snapshot 2", "targets 2")
	},
	"an expired root on the way": func(s *simulator) {
		s.root.Signed.Expires = time.Now().Add(-day)
		s.publish(rootRole)
		s.root.Signed.Expires = soon
		s.publish(rootRole)
		s.refresh(0)
		s.trusts("root 3", "timestamp 1", "snapshot 1", "targets 1")
	},
	"timestamp expired": func(s *simulator) {
		s.refresh(0)
		s.timestamp.Signed.Expires = time.Now().Add(-5 * day)
		s.publish(timestampRole)
		s.refresh(1)
		s.trusts("root 1", "timestamp 1", "snapshot 1", "targets 1")
	},
	"snapshot expired": func(s *simulator) {
		s.refresh(0)
		s.snapshot.Signed.Expires = time.Now().Add(-5 * day)
		s.publishAll()
		s.refresh(1)
		s.trusts("root 1", "timestamp 2", "snapshot 1", "targets 1")
	},
	"targets expired": func(s *simulator) {
		s.refresh(0)
		s.targets[targetsRole].Signed.Expires = time.Now().Add(-5 * day)
		s.publishAll(targetsRole)
		s.refresh(1)
		s.trusts("root 1", "timestamp 2", "snapshot 2", "targets 1")
	},
	"what is kept expired, and the repository went on": func(s *simulator) {
		s.timestamp.Signed.Expires = time.Now().Add(7 * day)
		s.publish(timestampRole)
		s.refresh(0)
		s.timestamp.Signed.Expires = time.Now().Add(21 * day)
		s.publishAll(targetsRole)
		s.later(18 * day)
		s.refresh(0)
		s.trusts("root 1", "timestamp 3", "snapshot 2", "targets 2")
		s.later(22 * day)
		s.refresh(1)
	},
	"delegated role expired": func(s *simulator) {
		s.delegate(targetsRole, metadata.DelegatedRole{Name: "A", Paths: []string{"a/*"}}).Signed.Expires = time.Now().Add(-day)
		s.addArtifact("A", "a/file", "old")
		s.publishAll("A", targetsRole)
		s.refresh(0)
		s.download(1, "a/file")
		s.has()
		s.trusts("root 1", "timestamp 2", "snapshot 2", "targets 2")
	},
	"delegated role that expires where it is kept": func(s *simulator) {
		a := s.delegate(targetsRole, metadata.DelegatedRole{Name: "A", Paths: []string{"a/*"}})
		a.Signed.Expires = time.Now().Add(7 * day)
		s.addArtifact("A", "a/one", "one")
		s.addArtifact("A", "a/two", "two")
		s.publishAll("A", targetsRole)
		s.download(0, "a/one")
		s.later(18 * day)
		s.download(1, "a/two")
		s.has("one")
		a.Signed.Expires = time.Now().Add(21 * day)
		s.publishAll("A")
		s.download(0, "a/two")
		s.has("one", "two")
	},
}

var rollbackCases = map[string]func(*simulator){
	"timestamp goes back": func(s *simulator) {
		s.publish(timestampRole)
		s.refresh(0)
		s.publishAs(timestampRole, 1)
		s.refresh(1)
		s.trusts("root 1", "timestamp 2", "snapshot 1", "targets 1")
	},
	"snapshot goes back, unannounced": func(s *simulator) {
		s.publishAll()
		s.refresh(0)
		s.publishAs(snapshotRole, 1)
		s.refresh(0)
		s.trusts("root 1", "timestamp 2", "snapshot 2", "targets 1")
	},
	"snapshot goes back":              snapshotGoesBack,
	"snapshot goes back, with digest": withDigests(snapshotGoesBack),
	"targets go back":                 targetsGoBack,
	"targets go back, with digest":    withDigests(targetsGoBack),
	"an entry leaves the snapshot": func(s *simulator) {
		s.delegate(targetsRole, metadata.DelegatedRole{Name: "A", Paths: []string{"*"}})
		s.publishAll("A", targetsRole)
		s.refresh(0)
		delete(s.snapshot.Signed.Meta, "A.json")
		s.publishAll()
		s.refresh(1)
	},
	"timestamp fast-forward": func(s *simulator) {
		s.publishAs(timestampRole, 100)
		s.refresh(0)
		s.rotate(timestampRole)
		s.publish(rootRole)
		s.publishAs(timestampRole, 1)
		s.refresh(0)
		s.trusts("root 2", "timestamp 1", "snapshot 1", "targets 1")
	},
	"snapshot fast-forward": func(s *simulator) {
		s.publishAs(snapshotRole, 99999)
		s.publish(timestampRole)
		s.refresh(0)
		s.rotate(snapshotRole)
		s.rotate(timestampRole)
		s.publish(rootRole)
		s.published[snapshotRole] = nil
		s.publishAs(snapshotRole, 1)
		s.publish(timestampRole)
		s.refresh(0)
		s.trusts("root 2", "timestamp 3", "snapshot 1", "targets 1")
	},
	"targets fast-forward": func(s *simulator) {
		s.publishAs(targetsRole, 100)
		s.publishAll()
		s.refresh(0)
		s.rotate(snapshotRole)
		s.publish(rootRole)
		s.published[targetsRole] = nil
		s.publishAs(targetsRole, 1)
		s.publishAll()
		s.refresh(0)
		s.trusts("root 2", "timestamp 3", "snapshot 3", "targets 1")
	},
	"control: fast-forward and no new key": func(s *simulator) {
		s.publishAs(timestampRole, 100)
		s.refresh(0)
		s.publishAs(timestampRole, 2)
		s.refresh(1)
	},
}

func withDigests(do func(*simulator)) func(*simulator) {
	return func(s *simulator) {
		s.hashes = true
		do(s)
	}
}

func snapshotGoesBack(s *simulator) {
	s.publishAll()
	s.refresh(0)
	s.publishAs(snapshotRole, 1)
	s.publish(timestampRole)
	s.took()
	s.refresh(1)
	s.asked("root 2", "timestamp")
	s.trusts("root 1", "timestamp 2", "snapshot 2", "targets 1")
}

func targetsGoBack(s *simulator) {
	s.publishAll(targetsRole)
	s.refresh(0)
	s.publishAs(targetsRole, 1)
	s.publishAll()
	s.refresh(1)
	s.trusts("root 1", "timestamp 3", "snapshot 2", "targets 2")
}

var artifactCases = map[string]func(*simulator){
	"is not fetched again": func(s *simulator) {
		s.addArtifact(targetsRole, "path/to/file.txt", "content")
		s.publishAll(targetsRole)
		s.refresh(0)
		s.has()
		s.download(0, "path/to/file.txt")
		s.has("content")
		s.took()
		s.download(0, "path/to/file.txt")
		s.asked("root 2", "timestamp")
		s.addArtifact(targetsRole, "path/to/file.txt", "other content")
		s.publishAll(targetsRole)
		s.download(0, "path/to/file.txt")
		s.has("other content")
	},
	"several, and an empty one": func(s *simulator) {
		for _, p := range []string{"one", "two", "a b", "né/ü%2F?"} {
			s.addArtifact(targetsRole, p, "content of "+p)
		}
		s.addArtifact(targetsRole, "empty", "")
		s.publishAll(targetsRole)
		s.download(0, "one", "two", "empty")
		s.has("content of one", "content of two", "")
	},
	"other bytes": func(s *simulator) {
		s.addArtifact(targetsRole, "one", "content of one")
		s.addArtifact(targetsRole, "two", "content of two")
		s.publishAll(targetsRole)
		s.download(0, "one")
		for name, evil := range map[string]string{"longer": "malicious content", "shorter": "evil", "as long": "CONTENT OF TWO", "nothing": ""} {
			s.lie = answer("two", bytesOf([]byte(evil)))
			s.download(1, "two")
			s.has("content of one")
			s.Log(name)
		}
		s.lie = answer("two", endless)
		s.download(1, "two")
		s.has("content of one")
	},
	"changed by turns": func(s *simulator) {
		for i := range 3 {
			good := fmt.Sprintf("content %d", i)
			s.addArtifact(targetsRole, "file", good)
			s.publishAll(targetsRole)
			s.download(0, "file")
			s.lie = answer(".file", bytesOf([]byte("malicious")))
			s.publishAll(targetsRole)
			s.download(0, "file") // it has it
			s.has(good)
			s.lie = nil
		}
	},
}
