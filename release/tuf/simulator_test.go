package tuf

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// simulator is a TUF repository in memory that a test may spoil at will, and a client of it: testdata/tufclient, run as a
// process. Metadata is changed in place and seen by the client when it is published.
type simulator struct {
	*testing.T
	root      *metadata.Metadata[metadata.RootType]
	timestamp *metadata.Metadata[metadata.TimestampType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	targets   map[string]*metadata.Metadata[metadata.TargetsType] // and delegated roles
	keys      map[string][]simKey                                 // that sign a role
	published map[string][][]byte                                 // each role's versions, as signed
	artifacts map[string][]byte
	hashes    bool // timestamp and snapshot name digests and lengths

	lie lie // answers instead

	mu       sync.Mutex
	requests []string // "role version", and paths of artifacts

	program, dir, url, now string
}

type simKey struct {
	*metadata.Key
	id   string
	sign func([]byte) ([]byte, error)
}

// newSimKey makes a key of the kind: ed25519, ecdsa or rsa.
func newSimKey(t *testing.T, kind string) simKey {
	t.Helper()
	var k simKey
	var public crypto.PublicKey
	var err error
	switch kind {
	case "ed25519":
		var private ed25519.PrivateKey
		public, private, err = ed25519.GenerateKey(nil)
		k.sign = func(b []byte) ([]byte, error) { return ed25519.Sign(private, b), nil }
	case "ecdsa":
		var private *ecdsa.PrivateKey
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		public = private.Public()
		k.sign = func(b []byte) ([]byte, error) {
			d := sha256.Sum256(b)
			return ecdsa.SignASN1(rand.Reader, private, d[:])
		}
	case "rsa":
		var private *rsa.PrivateKey
		private, err = rsa.GenerateKey(rand.Reader, 2048)
		public = private.Public()
		k.sign = func(b []byte) ([]byte, error) {
			d := sha256.Sum256(b)
			return rsa.SignPSS(rand.Reader, private, crypto.SHA256, d[:], nil)
		}
	}
	if err == nil {
		k.Key, err = metadata.KeyFromPublicKey(public)
	}
	if err == nil {
		k.id, err = k.ID()
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const timestampRole, snapshotRole, targetsRole, rootRole = metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS, metadata.ROOT

var soon = time.Now().UTC().Truncate(time.Second).Add(30 * 24 * time.Hour)

// buildTUFClient builds the command once for all its tests.
func buildTUFClient(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "tufclient")
	for _, do := range []string{"vet", "build -o " + program} {
		args := append(strings.Fields(do), "github.com/moult-go/moult/testdata/tufclient")
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	// date is what the suite's faketime moves; here it is a script of ours.
	if err := os.WriteFile(filepath.Join(filepath.Dir(program), "date"), []byte("#!/bin/sh\necho $NOW\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

// simulate makes a repository with one key for each role, version 1 of each, and a client that trusts its root.
func simulate(t *testing.T, program string) *simulator {
	s := &simulator{T: t, program: program, dir: t.TempDir(), published: map[string][][]byte{}, artifacts: map[string][]byte{}, keys: map[string][]simKey{}}
	s.root, s.timestamp, s.snapshot = metadata.Root(soon), metadata.Timestamp(soon), metadata.Snapshot(soon)
	s.targets = map[string]*metadata.Metadata[metadata.TargetsType]{targetsRole: metadata.Targets(soon)}
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		s.addKey(role, newSimKey(t, "ed25519"))
	}
	s.publish(targetsRole, snapshotRole, timestampRole, rootRole)
	srv := httptest.NewServer(http.StripPrefix("/repo/", s))
	t.Cleanup(srv.Close)
	s.url, s.now = srv.URL+"/repo", strconv.FormatInt(time.Now().Unix(), 10)
	for _, d := range []string{"metadata", "artifacts"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.init(s.published[rootRole][0], 0)
	return s
}

// addKey lets a top-level role be signed by one key more.
func (s *simulator) addKey(role string, keys ...simKey) {
	s.Helper()
	for _, k := range keys {
		if err := s.root.Signed.AddKey(k.Key, role); err != nil {
			s.Fatal(err)
		}
		s.keys[role] = append(s.keys[role], k)
	}
}

// rotate gives a top-level role another key.
func (s *simulator) rotate(role string) {
	s.root.Signed.Roles[role].KeyIDs, s.keys[role] = nil, nil
	s.addKey(role, newSimKey(s.T, "ed25519"))
}

// delegate lets from delegate to a role that nobody has published yet, or that has another delegator too.
func (s *simulator) delegate(from string, r metadata.DelegatedRole) *metadata.Metadata[metadata.TargetsType] {
	s.Helper()
	if s.targets[r.Name] == nil {
		s.targets[r.Name] = metadata.Targets(soon)
		s.keys[r.Name] = []simKey{newSimKey(s.T, "ed25519")}
	}
	if r.Threshold == 0 {
		r.Threshold = 1
	}
	d := &s.targets[from].Signed
	if d.Delegations == nil {
		d.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{}}
	}
	for _, k := range s.keys[r.Name] {
		d.Delegations.Keys[k.id] = k.Key
		r.KeyIDs = append(r.KeyIDs, k.id)
	}
	d.Delegations.Roles = append(d.Delegations.Roles, r)
	return s.targets[r.Name]
}

func (s *simulator) addArtifact(role, path, content string) {
	s.targets[role].Signed.Targets[path] = target(path, []byte(content))
	s.artifacts[path] = []byte(content)
}

// publish signs the next version of roles. What describes them in snapshot and timestamp is changed, and not published.
func (s *simulator) publish(roles ...string) {
	s.Helper()
	for _, role := range roles {
		next := int64(1)
		if len(s.published[role]) > 0 {
			next = s.version(role) + 1
		}
		s.publishAs(role, next)
	}
}

// publishAll is publish of a role and of what leads to it.
func (s *simulator) publishAll(roles ...string) {
	s.publish(append(roles, snapshotRole, timestampRole)...)
}

// version is that of the metadata in its present form.
func (s *simulator) version(role string) int64 {
	switch role {
	case rootRole:
		return s.root.Signed.Version
	case timestampRole:
		return s.timestamp.Signed.Version
	case snapshotRole:
		return s.snapshot.Signed.Version
	}
	return s.targets[role].Signed.Version
}

func (s *simulator) publishAs(role string, version int64) {
	s.Helper()
	var b []byte
	switch role {
	case rootRole:
		s.root.Signed.Version = version
		b = simSign(s, role, s.root)
	case timestampRole:
		s.timestamp.Signed.Version = version
		b = simSign(s, role, s.timestamp)
	case snapshotRole:
		s.snapshot.Signed.Version = version
		b = simSign(s, role, s.snapshot)
		s.timestamp.Signed.Meta["snapshot.json"] = s.describe(version, b)
	default:
		s.targets[role].Signed.Version = version
		b = simSign(s, role, s.targets[role])
		s.snapshot.Signed.Meta[role+".json"] = s.describe(version, b)
	}
	s.published[role] = append(s.published[role], b)
}

func (s *simulator) describe(version int64, b []byte) *metadata.MetaFiles {
	if s.hashes {
		return described(version, b)
	}
	return metadata.MetaFile(version)
}

func simSign[T metadata.Roles](s *simulator, role string, m *metadata.Metadata[T]) []byte {
	s.Helper()
	payload, err := cjson.EncodeCanonical(m.Signed)
	if err != nil {
		s.Fatal(err)
	}
	m.ClearSignatures()
	for _, k := range s.keys[role] {
		b, err := k.sign(payload)
		if err != nil {
			s.Fatal(err)
		}
		m.Signatures = append(m.Signatures, metadata.Signature{KeyID: k.id, Signature: b})
	}
	b, err := m.ToBytes(false)
	if err != nil {
		s.Fatal(err)
	}
	return b
}

// ServeHTTP serves the newest metadata of a version, and artifacts by their digest; without consistent snapshots by their name alone.
func (s *simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lie != nil && s.lie(w, r) {
		return
	}
	path := r.URL.EscapedPath()
	if name, ok := strings.CutPrefix(path, "metadata/"); ok {
		s.serveMetadata(w, r, strings.TrimSuffix(name, ".json"))
		return
	}
	s.requests = append(s.requests, path)
	for p, b := range s.artifacts {
		d := target(p, b).Hashes["sha256"].String()
		name := p
		if s.root.Signed.ConsistentSnapshot {
			i := strings.LastIndex(p, "/") + 1
			name = p[:i] + d + "." + p[i:]
		}
		if path == "targets/"+name {
			w.Write(b)
			return
		}
	}
	http.NotFound(w, r)
}

func (s *simulator) serveMetadata(w http.ResponseWriter, r *http.Request, name string) {
	role, version := name, 0
	if name == rootRole || s.root.Signed.ConsistentSnapshot && name != timestampRole || strings.HasSuffix(name, ".root") {
		var number string
		number, role, _ = strings.Cut(name, ".")
		version, _ = strconv.Atoi(number)
	}
	s.requests = append(s.requests, strings.TrimSuffix(role+" "+strconv.Itoa(version), " 0"))
	role, err := url.PathUnescape(role)
	if err != nil {
		s.Errorf("asked for %q: %v", name, err)
	}
	all := s.published[role]
	for _, b := range slices.Backward(all) {
		if version == 0 || simVersion(s.T, b) == int64(version) {
			w.Write(b)
			return
		}
	}
	http.NotFound(w, r)
}

// simVersion reads the version of any metadata.
func simVersion(t *testing.T, b []byte) int64 {
	var m struct{ Signed struct{ Version int64 } }
	if err := json.Unmarshal(b, &m); err != nil {
		t.Errorf("version of %s: %v", b, err)
	}
	return m.Signed.Version
}

// took returns what was asked for since the last call.
func (s *simulator) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests
	s.requests = nil
	return r
}

// run runs the client, which must end with this code.
func (s *simulator) run(want int, args ...string) {
	s.Helper()
	cmd := exec.Command(s.program, append([]string{"--metadata-dir", filepath.Join(s.dir, "metadata")}, args...)...)
	cmd.Env = []string{"PATH=" + filepath.Dir(s.program) + ":/bin:/usr/bin", "NOW=" + s.now}
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != want {
		s.Fatalf("%v ended with %d, want %d: %s", args, got, want, out)
	}
	s.Logf("%s: %s", args[len(args)-1], out)
}

func (s *simulator) init(root []byte, want int) {
	s.Helper()
	file := filepath.Join(s.dir, "first.json")
	if err := os.WriteFile(file, root, 0o644); err != nil {
		s.Fatal(err)
	}
	s.run(want, "init", file)
}

func (s *simulator) refresh(want int) {
	s.Helper()
	s.run(want, "--metadata-url", s.url+"/metadata/", "refresh")
}

func (s *simulator) download(want int, paths ...string) {
	s.Helper()
	args := []string{"--metadata-url", s.url + "/metadata/", "--target-base-url", s.url + "/targets/", "--target-dir", filepath.Join(s.dir, "artifacts")}
	for _, p := range paths {
		args = append(args, "--target-name", p)
	}
	s.run(want, append(args, "download")...)
}

// later moves the client's clock.
func (s *simulator) later(d time.Duration) {
	s.now = strconv.FormatInt(time.Now().Add(d).Unix(), 10)
}

// trusts checks what the client trusts: "root 1", "timestamp 3", sorted.
func (s *simulator) trusts(want ...string) {
	s.Helper()
	files, _ := filepath.Glob(filepath.Join(s.dir, "metadata", "*.json"))
	var got []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			s.Fatal(err)
		}
		got = append(got, strings.TrimSuffix(filepath.Base(f), ".json")+" "+strconv.FormatInt(simVersion(s.T, b), 10))
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.Errorf("trusts %q, want %q", got, want)
	}
}

// trustsBytes checks that a role's trusted metadata is kept as it was received.
func (s *simulator) trustsBytes(role string, want []byte) {
	s.Helper()
	if b, err := os.ReadFile(filepath.Join(s.dir, "metadata", role+".json")); err != nil || !bytes.Equal(b, want) {
		s.Errorf("trusted %s: %s, %v; want %s", role, b, err, want)
	}
}

// has checks the content of the artifacts that the client has.
func (s *simulator) has(want ...string) {
	s.Helper()
	got := map[string]int{}
	entries, _ := os.ReadDir(filepath.Join(s.dir, "artifacts"))
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(s.dir, "artifacts", e.Name()))
		if err != nil {
			s.Fatal(err)
		}
		got[string(b)]++
	}
	wanted := map[string]int{}
	for _, w := range want {
		wanted[w]++
	}
	if !maps.Equal(got, wanted) {
		s.Errorf("has %q, want %q", slices.Sorted(maps.Keys(got)), want)
	}
}

func (s *simulator) asked(want ...string) {
	s.Helper()
	if got := s.took(); !slices.Equal(got, want) {
		s.Errorf("asked for %q, want %q", got, want)
	}
}
