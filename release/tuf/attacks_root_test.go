package tuf

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// nextRoot is root 2, signed by these keys.
func (s *scene) nextRoot(change func(*metadata.RootType), keys ...Signer) []byte {
	s.t.Helper()
	return s.rootAfter(s.root, change, keys...)
}

func (s *scene) rootAfter(before []byte, change func(*metadata.RootType), keys ...Signer) []byte {
	s.t.Helper()
	m, err := metadata.Root().FromBytes(before)
	if err != nil {
		s.t.Fatal(err)
	}
	m.Signed.Version++
	if change != nil {
		change(&m.Signed)
	}
	return signedBy(s, m, keys...)
}

func signedBy(s *scene, m *metadata.Metadata[metadata.RootType], keys ...Signer) []byte {
	s.t.Helper()
	b, err := sign(s.t.Context(), m, keys)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *scene) add(r *metadata.RootType, role string, keys ...Signer) {
	for _, k := range keys {
		public, _ := s.public(k)
		if err := r.AddKey(public, role); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *scene) public(k Signer) (*metadata.Key, string) {
	s.t.Helper()
	public, err := metadata.KeyFromPublicKey(k.PublicKey())
	if err != nil {
		s.t.Fatal(err)
	}
	id, err := public.ID()
	if err != nil {
		s.t.Fatal(err)
	}
	return public, id
}

// only makes these the keys of a role.
func (s *scene) only(r *metadata.RootType, role string, keys ...Signer) {
	r.Roles[role].KeyIDs = nil
	s.add(r, role, keys...)
}

// resigned changes the signatures of a root.
func (s *scene) resigned(root []byte, change func([]metadata.Signature) []metadata.Signature) []byte {
	m, err := metadata.Root().FromBytes(root)
	if err != nil {
		s.t.Fatal(err)
	}
	m.Signatures = change(m.Signatures)
	b, err := m.ToBytes(false)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// rootAttacks are next roots. The embedded one asks for two of the keys a, b and c.
func rootAttacks(s *scene) (all []attack) {
	a, b, c := s.rootKey, stranger(s.t)[0], stranger(s.t)[0]
	embedded := s.rootAfter(s.root, func(r *metadata.RootType) {
		r.Version = 1
		s.add(r, metadata.ROOT, b, c)
		r.Roles[metadata.ROOT].Threshold = 2
	}, a, b)
	add := func(name string, root []byte, want ...error) {
		all = append(all, attack{name: "next root: " + name, root: embedded, lie: at("next root", bytesOf(root)), want: want})
	}
	next := func(change func(*metadata.RootType), keys ...Signer) []byte {
		return s.rootAfter(embedded, change, keys...)
	}
	theft := func(r *metadata.RootType) { // all roles to the thief
		for _, role := range slices.Collect(maps.Keys(r.Roles)) {
			r.Roles[role].Threshold = 1
			s.only(r, role, s.stranger)
		}
	}
	add("by nobody", next(nil), ErrBadSignature)
	add("below the threshold", next(nil, a), ErrBadSignature)
	add("below the threshold, which it lowers", next(func(r *metadata.RootType) { r.Roles[metadata.ROOT].Threshold = 1 }, a), ErrBadSignature)
	add("by one and a stranger", next(nil, a, s.stranger), ErrBadSignature)
	add("by the online and the targets key", next(nil, s.repo.keys.Online[0], s.repo.keys.Targets[0]), ErrBadSignature)
	add("theft, by the thief", next(theft, s.stranger), ErrBadSignature)
	add("theft, by one and the thief", next(theft, a, s.stranger), ErrBadSignature)
	add("theft, not signed by itself", next(theft, a, b), ErrBadSignature)
	add("one key signs twice", s.resigned(next(nil, a), func(x []metadata.Signature) []metadata.Signature { return append(x, x[0]) }), ErrMalformed)
	add("one key signs under two ids", s.resigned(next(nil, a, b), func(x []metadata.Signature) []metadata.Signature {
		x[1].Signature = x[0].Signature
		return x
	}), ErrBadSignature)
	_, id := s.public(a)
	double := next(func(r *metadata.RootType) {
		r.Keys["00"] = r.Keys[id]
		r.Roles[metadata.ROOT].KeyIDs = []string{id, "00"}
	}, a, b)
	add("one key with two ids, threshold 2", s.resigned(double, func(x []metadata.Signature) []metadata.Signature {
		return append(x, metadata.Signature{KeyID: "00", Signature: x[0].Signature})
	}), ErrBadSignature)
	add("threshold 0", next(func(r *metadata.RootType) { r.Roles[metadata.ROOT].Threshold = 0 }, a, b), ErrMalformed)
	add("threshold below 0", next(func(r *metadata.RootType) { r.Roles[metadata.ROOT].Threshold = -1 }, a, b), ErrMalformed)
	add("a version left out", next(func(r *metadata.RootType) { r.Version = 3 }, a, b), ErrRollback)
	add("the same version", next(func(r *metadata.RootType) { r.Version = 1 }, a, b), ErrRollback)
	add("version 0", next(func(r *metadata.RootType) { r.Version = 0 }, a, b), ErrRollback)
	add("version below 0", next(func(r *metadata.RootType) { r.Version = -1 }, a, b), ErrRollback)
	add("the embedded one", embedded, ErrRollback)
	add("null key", next(func(r *metadata.RootType) { r.Keys[id] = nil }, a, b), ErrMalformed)
	add("null role", next(func(r *metadata.RootType) { r.Roles[metadata.TIMESTAMP] = nil }, a, b), ErrMalformed)
	add("no role", next(func(r *metadata.RootType) { delete(r.Roles, metadata.SNAPSHOT) }, a, b), ErrMalformed)
	add("a key that is not there", next(func(r *metadata.RootType) { delete(r.Keys, id) }, a, b), ErrMalformed)
	add("a key of an unknown type", next(func(r *metadata.RootType) { r.Keys[id].Type = "post-quantum" }, a, b), ErrMalformed)
	add("a key that is too short", next(func(r *metadata.RootType) { r.Keys[id].Value.PublicKey = "00" }, a, b), ErrMalformed, ErrBadSignature)
	add("wrong specification", next(func(r *metadata.RootType) { r.SpecVersion = "2.0.0" }, a, b), ErrMalformed)

	// What the root's holders signed counts, also if it is a mistake. They mend it by the root after it.
	mended := func(bad []byte) lie {
		good := s.rootAfter(bad, func(r *metadata.RootType) {
			m, err := metadata.Root().FromBytes(embedded)
			if err != nil {
				s.t.Fatal(err)
			}
			r.Keys, r.Roles, r.Expires = m.Signed.Keys, m.Signed.Roles, time.Now().Add(time.Hour)
		}, a, b)
		return both(at("next root", bytesOf(bad)), answer("/3.root.json", bytesOf(good)))
	}
	mistake := func(name string, want error, change func(*metadata.RootType)) {
		root := next(change, a, b)
		add(name, root, want)
		all[len(all)-1].after = mended(root)
	}
	mistake("indefinite freeze", ErrExpired, func(r *metadata.RootType) { r.Expires = time.Now().Add(-time.Hour) })
	mistake("threshold 0 of the timestamp", ErrMalformed, func(r *metadata.RootType) { r.Roles[metadata.TIMESTAMP].Threshold = 0 })
	mistake("timestamp by a stranger", ErrBadSignature, func(r *metadata.RootType) { s.only(r, metadata.TIMESTAMP, s.stranger) })
	mistake("a timestamp key of an unknown type", ErrMalformed, func(r *metadata.RootType) {
		s.only(r, metadata.TIMESTAMP, s.stranger)
		r.Keys[r.Roles[metadata.TIMESTAMP].KeyIDs[0]].Type = "post-quantum"
	})
	return all
}

// mirrorAttacks serve true files in the wrong place.
func mirrorAttacks(s *scene) (all []attack) {
	other := newFeed(s.t)
	other.publish("7.0.0", "beta", "other")
	files := attack{name: "malicious mirror: another publisher's feed", lie: serving(other.repo.dir), want: []error{ErrBadSignature}}
	all = append(all, files)
	for kind, b := range map[string][]byte{
		"snapshot": s.reading("metadata/2.snapshot.json"),
		"targets":  s.reading("metadata/2.targets.json"),
	} {
		all = append(all, attack{name: "mix and match: older " + kind, lie: at(kind, bytesOf(b)), want: []error{ErrDigestMismatch, ErrOversized}})
	}
	all = append(all,
		attack{name: "mix and match: older payload", lie: at("payload", bytesOf(s.payloads["1.0.0"])), want: []error{ErrDigestMismatch, ErrTruncated, ErrOversized}},
		// Nothing goes back; that it does not go forward either is an alarm after some checks (TestRollback).
		attack{name: "rollback: older timestamp", lie: at("timestamp", bytesOf(s.old))},
		attack{name: "arbitrary installation: signature broken", lie: at("timestamp", bytesOf(s.timestampSignature(func(x *metadata.Signature) { x.Signature[0] ^= 1 }))), want: []error{ErrBadSignature}},
		attack{name: "arbitrary installation: signature short", lie: at("timestamp", bytesOf(s.timestampSignature(func(x *metadata.Signature) { x.Signature = x.Signature[:5] }))), want: []error{ErrBadSignature}},
		attack{name: "arbitrary installation: key id unknown", lie: at("timestamp", bytesOf(s.timestampSignature(func(x *metadata.Signature) { x.KeyID = "00" }))), want: []error{ErrBadSignature}},
	)
	return all
}

func serving(dir string) lie {
	files := http.FileServer(http.Dir(dir))
	return func(w http.ResponseWriter, r *http.Request) bool {
		files.ServeHTTP(w, r)
		return true
	}
}
