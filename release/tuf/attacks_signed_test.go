package tuf

import (
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release"
)

// forgery is a publication by somebody who holds keys. Roles that nothing changes stay as they are.
type forgery struct {
	version    int64  // default 9
	root       []byte // the next one
	targetsKey Signer // default: the true one; likewise
	onlineKey  Signer
	targets    func(*metadata.TargetsType)
	brake      func(*metadata.TargetsType)
	snapshot   func(*metadata.SnapshotType)
	timestamp  func(*metadata.TimestampType)
	files      map[string][]byte // targets, by path
}

func described(version int64, b []byte) *metadata.MetaFiles {
	d := sum(b)
	return &metadata.MetaFiles{Version: version, Length: int64(len(b)), Hashes: metadata.Hashes{"sha256": d[:]}}
}

func target(path string, b []byte) *metadata.TargetFiles {
	d := sum(b)
	return &metadata.TargetFiles{Length: int64(len(b)), Hashes: metadata.Hashes{"sha256": d[:]}, Path: path}
}

// forge signs the roles from targets to timestamp and serves them.
func (s *scene) forge(g forgery) lie {
	if g.version == 0 {
		g.version = 9
	}
	if g.targetsKey == nil {
		g.targetsKey = s.repo.keys.Targets[0]
	}
	if g.onlineKey == nil {
		g.onlineKey = s.repo.keys.Online[0]
	}
	serve := map[string][]byte{}
	if g.root != nil {
		serve["/metadata/2.root.json"] = g.root
	}
	for path, b := range g.files {
		serve["/targets/"+release.HashedPath(path, release.Digest(sum(b)))] = b
	}
	entries := map[string]*metadata.MetaFiles{}
	role := func(name string, k Signer, change func(*metadata.TargetsType)) {
		if change == nil {
			return
		}
		b := resign(s.t, s.files[map[string]string{"targets": "targets", brakeRole: "brake metadata"}[name]], []Signer{k}, func(m *metadata.TargetsType) {
			m.Version = g.version
			change(m)
		})
		serve["/metadata/"+versioned(g.version, name)] = b
		entries[name+".json"] = described(g.version, b)
	}
	role("targets", g.targetsKey, g.targets)
	role(brakeRole, g.onlineKey, g.brake)
	sn := resign(s.t, s.files["snapshot"], []Signer{g.onlineKey}, func(m *metadata.SnapshotType) {
		m.Version = g.version
		for name, e := range entries {
			m.Meta[name] = e
		}
		if g.snapshot != nil {
			g.snapshot(m)
		}
	})
	serve["/metadata/"+versioned(g.version, "snapshot")] = sn
	serve["/metadata/timestamp.json"] = resign(s.t, s.files["timestamp"], []Signer{g.onlineKey}, func(m *metadata.TimestampType) {
		m.Version = g.version
		m.Meta["snapshot.json"] = described(g.version, sn)
		if g.timestamp != nil {
			g.timestamp(m)
		}
	})
	return func(w http.ResponseWriter, r *http.Request) bool {
		b, ok := serve[r.URL.Path]
		if ok {
			bytesOf(b)(w, r)
		}
		return ok
	}
}

// rotated is how a publisher recovers whose online key was stolen: the next root names another one, and clients forget all that
// the old one signed, version numbers and entries included (TUF 5.3.11).
func (s *scene) rotated(version int64) lie {
	online := stranger(s.t)[0]
	public, id := s.public(online)
	root := s.nextRoot(func(r *metadata.RootType) {
		s.only(r, metadata.TIMESTAMP, online)
		s.only(r, metadata.SNAPSHOT, online)
	}, s.rootKey)
	return s.forge(forgery{version: version, root: root, onlineKey: online, brake: func(*metadata.TargetsType) {}, targets: func(m *metadata.TargetsType) {
		m.Delegations.Keys = map[string]*metadata.Key{id: public}
		m.Delegations.Roles[0].KeyIDs = []string{id}
	}})
}

// evilIndex offers 6.6.6.
func (s *scene) evilIndex(change func(*release.Index)) ([]byte, map[string][]byte) {
	payload := []byte("evil")
	full := release.Payload{Path: "1.1.0/hello-linux-amd64", Length: int64(len(payload)), SHA256: sum(payload)}
	ix := release.Index{Schema: 1, App: "hello", Channel: "beta", Platform: linux}
	ix.Put(release.Release{Version: release.MustParseVersion("6.6.6"), Artifact: release.Artifact{Length: full.Length, SHA256: full.SHA256, Full: full}})
	if change != nil {
		change(&ix)
	}
	b, err := ix.Marshal()
	if err != nil {
		s.t.Fatal(err)
	}
	return b, map[string][]byte{"beta/linux-amd64.json": b, full.Path: payload}
}

// signedAttacks are those by somebody who holds the online key, or the targets key, or a key that nobody trusts.
func signedAttacks(s *scene) (all []attack) {
	honest := s.rotated(4)
	add := func(name string, want error, g forgery) {
		a := attack{name: name, lie: s.forge(g), after: honest}
		if want != nil {
			a.want = []error{want}
		}
		all = append(all, a)
	}
	evil, files := s.evilIndex(nil)
	offer := func(m *metadata.TargetsType) {
		m.Targets["beta/linux-amd64.json"] = target("beta/linux-amd64.json", evil)
	}
	past := time.Now().Add(-time.Hour)
	online := s.repo.keys.Online[0]

	add("arbitrary installation: all signed by a stranger", ErrBadSignature, forgery{targets: offer, files: files, targetsKey: s.stranger, onlineKey: s.stranger})
	add("arbitrary installation: targets by a stranger", ErrBadSignature, forgery{targets: offer, files: files, targetsKey: s.stranger})
	add("key compromise: online key signs targets", ErrBadSignature, forgery{targets: offer, files: files, targetsKey: online})
	add("key compromise: online key offers through the brake", nil, forgery{files: files, brake: func(m *metadata.TargetsType) {
		m.Targets["beta/linux-amd64.json"] = target("beta/linux-amd64.json", evil)
	}})
	add("key compromise: targets key without the online one", ErrBadSignature, forgery{targets: offer, files: files, onlineKey: s.stranger})
	add("key compromise: targets key signs snapshot and timestamp", ErrBadSignature, forgery{targets: offer, files: files, onlineKey: s.repo.keys.Targets[0]})
	ta := resign(s.t, s.files["targets"], s.repo.keys.Targets, func(m *metadata.TargetsType) { offer(m) })
	all = append(all, attack{name: "key compromise: targets key, same version", lie: at("targets", bytesOf(ta)), want: []error{ErrDigestMismatch, ErrOversized, ErrMalformed}})

	add("indefinite freeze: timestamp", ErrExpired, forgery{timestamp: func(m *metadata.TimestampType) { m.Expires = past }})
	add("indefinite freeze: snapshot", ErrExpired, forgery{snapshot: func(m *metadata.SnapshotType) { m.Expires = past }})
	add("indefinite freeze: targets", ErrExpired, forgery{targets: func(m *metadata.TargetsType) { m.Expires = past }})
	add("indefinite freeze: brake", ErrExpired, forgery{brake: func(m *metadata.TargetsType) { m.Expires = past }})
	add("indefinite freeze: no date", ErrExpired, forgery{timestamp: func(m *metadata.TimestampType) { m.Expires = time.Time{} }})

	// A client that knows nothing cannot tell: the targets key did sign it. One that has seen more is asked in TestRollbackOfTargets.
	add("rollback: targets", nil, forgery{snapshot: func(m *metadata.SnapshotType) {
		m.Meta["targets.json"] = described(2, s.reading("metadata/2.targets.json"))
	}})
	add("mix and match: version of the snapshot", ErrRollback, forgery{snapshot: func(m *metadata.SnapshotType) { m.Version = 8 }})
	add("mix and match: version of the targets", ErrRollback, forgery{targets: func(m *metadata.TargetsType) { m.Version = 8 }})

	add("extraneous dependencies: in the snapshot", nil, forgery{snapshot: func(m *metadata.SnapshotType) {
		m.Meta["evil.json"] = described(1, []byte("evil"))
		m.Meta["../../root.json"] = described(1, []byte("evil"))
	}})
	add("extraneous dependencies: in the timestamp", nil, forgery{timestamp: func(m *metadata.TimestampType) {
		m.Meta["evil.json"] = described(1, []byte("evil"))
		m.UnrecognizedFields = map[string]any{"install": "http://example.com/evil"}
	}})
	add("extraneous dependencies: a delegation", nil, forgery{targets: func(m *metadata.TargetsType) {
		d := *m.Delegations
		id := d.Roles[0].KeyIDs
		d.Roles = append(d.Roles[:1:1], metadata.DelegatedRole{Name: "evil", KeyIDs: id, Threshold: 1, Paths: []string{"*/*"}})
		m.Delegations = &d
	}})
	for name, length := range map[string]int64{"huge": math.MaxInt64, "negative": -1} {
		add("endless data: "+name+" length of the snapshot", nil, forgery{timestamp: func(m *metadata.TimestampType) { m.Meta["snapshot.json"].Length = length }})
		all[len(all)-1].lie, all[len(all)-1].want = both(at("snapshot", endless), all[len(all)-1].lie), []error{ErrOversized}
		add("endless data: "+name+" length of the targets", nil, forgery{targets: offer, snapshot: func(m *metadata.SnapshotType) { m.Meta["targets.json"].Length = length }})
		all[len(all)-1].lie, all[len(all)-1].want = both(at("targets", endless), all[len(all)-1].lie), []error{ErrOversized}
		add("endless data: "+name+" length of the index", ErrOversized, forgery{files: files, targets: func(m *metadata.TargetsType) {
			offer(m)
			m.Targets["beta/linux-amd64.json"].Length = length
		}})
	}
	all = append(all, nullAttacks(s, honest)...)
	return append(all, softwareAttacks(s, honest)...)
}

func both(a, b lie) lie {
	return func(w http.ResponseWriter, r *http.Request) bool { return a(w, r) || b(w, r) }
}

// nullAttacks are signed, and of a form that is not to be: what makes go-tuf panic, among others.
func nullAttacks(s *scene, honest lie) (all []attack) {
	add := func(name string, g forgery) {
		all = append(all, attack{name: name, lie: s.forge(g), want: []error{ErrMalformed}, after: honest})
	}
	add("signed null: snapshot in the timestamp", forgery{timestamp: func(m *metadata.TimestampType) { m.Meta["snapshot.json"] = nil }})
	add("signed null: no snapshot in the timestamp", forgery{timestamp: func(m *metadata.TimestampType) { clear(m.Meta) }})
	add("signed null: no entries at all", forgery{timestamp: func(m *metadata.TimestampType) { m.Meta = nil }})
	add("signed null: targets in the snapshot", forgery{snapshot: func(m *metadata.SnapshotType) { m.Meta["targets.json"] = nil }})
	add("signed null: brake in the snapshot", forgery{snapshot: func(m *metadata.SnapshotType) { m.Meta["brake.json"] = nil }})
	add("signed null: no targets in the snapshot", forgery{snapshot: func(m *metadata.SnapshotType) { clear(m.Meta) }})
	add("signed null: something else in the snapshot", forgery{snapshot: func(m *metadata.SnapshotType) { m.Meta["else.json"] = nil }})
	add("signed null: a target", forgery{targets: func(m *metadata.TargetsType) { m.Targets["beta/linux-amd64.json"] = nil }})
	add("signed null: a delegated key", forgery{targets: func(m *metadata.TargetsType) {
		for id := range m.Delegations.Keys {
			m.Delegations.Keys[id] = nil
		}
	}})
	add("signed null: brake", forgery{brake: func(m *metadata.TargetsType) { m.Targets[release.BrakePath] = nil }})
	add("signed: an index without sha256", forgery{targets: func(m *metadata.TargetsType) { m.Targets["beta/linux-amd64.json"].Hashes = nil }})
	add("signed: an index with a short sha256", forgery{targets: func(m *metadata.TargetsType) {
		m.Targets["beta/linux-amd64.json"].Hashes = metadata.Hashes{"sha256": []byte{1}}
	}})
	for _, v := range []string{"2.0.0", "0.9", "", "1", strings.Repeat("1", 500)} {
		name := "wrong specification " + v[:min(len(v), 5)] + ": "
		add(name+"timestamp", forgery{timestamp: func(m *metadata.TimestampType) { m.SpecVersion = v }})
		add(name+"snapshot", forgery{snapshot: func(m *metadata.SnapshotType) { m.SpecVersion = v }})
		add(name+"targets", forgery{targets: func(m *metadata.TargetsType) { m.SpecVersion = v }})
		add(name+"brake", forgery{brake: func(m *metadata.TargetsType) { m.SpecVersion = v }})
	}
	return all
}

// softwareAttacks are indexes that the targets key did sign, for something else.
func softwareAttacks(s *scene, honest lie) (all []attack) {
	for name, change := range map[string]func(*release.Index){
		"another application": func(ix *release.Index) { ix.App = "other" },
		"another channel":     func(ix *release.Index) { ix.Channel = "stable" },
		"another platform":    func(ix *release.Index) { ix.Platform.OS = "darwin" },
		"another variant":     func(ix *release.Index) { ix.Platform.Variant = "v3" },
	} {
		b, files := s.evilIndex(change)
		all = append(all, attack{name: "wrong software: " + name, want: []error{ErrMalformed}, after: honest, lie: s.forge(forgery{
			files: files, targets: func(m *metadata.TargetsType) { m.Targets["beta/linux-amd64.json"] = target("beta/linux-amd64.json", b) },
		})})
	}
	for name, b := range map[string]string{"schema of the future": `{"schema":99,"app":"hello"}`, "no schema": `{"app":"hello"}`, "a list": `[]`, "a name up the tree": `{"schema":1,"app":"../hello"}`} {
		all = append(all, attack{name: "wrong index: " + name, want: []error{ErrMalformed}, after: honest, lie: s.forge(forgery{
			files: map[string][]byte{"beta/linux-amd64.json": []byte(b)},
			targets: func(m *metadata.TargetsType) {
				m.Targets["beta/linux-amd64.json"] = target("beta/linux-amd64.json", []byte(b))
			},
		})})
	}
	return all
}
