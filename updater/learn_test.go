package updater

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"testing"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/archive"
)

// archived is a tar.gz archive with one file, as goreleaser makes them.
func archived(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	err = w.WriteHeader(&tar.Header{Name: "dir/" + name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))})
	if err == nil {
		_, err = w.Write(content)
	}
	if err = errors.Join(err, w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// offerArchive offers an archive of which nobody says what is in it.
func (b *bench) offerArchive(version string, file []byte) Candidate {
	c := b.source.offer(version, file)
	c.Length, c.Digest, c.Member = 0, release.Digest{}, "hello"
	c.Full = b.source.encoded(archive.TarGzip, file)
	b.source.offers[len(b.source.offers)-1] = c
	return c
}

// TestArchive: the executable counts by its own digest, which is learned when it is unpacked and then known.
func TestArchive(t *testing.T) {
	b := newBench(t, nil)
	b.lock()
	payload := candidate(t, "9.9.2-good")
	c := b.offerArchive("9.9.2-good", archived(t, "hello", payload))
	f, err := b.Check(t.Context(), Request{})
	if err != nil || !f.Available || b.source.fetched > 0 {
		t.Fatalf("check: %+v, %v", f, err)
	}
	out, err := b.Upgrade(t.Context(), Request{})
	if err != nil || out.Digest != digestOf(payload) || b.installed() != string(payload) {
		t.Fatalf("outcome %+v, %v; want digest %s", out, err, digestOf(payload))
	}
	if _, err := os.Stat(b.versionDir(build{"9.9.2-good", c.Full.SHA256})); !errors.Is(err, os.ErrNotExist) {
		t.Error("a version lies under the digest of its archive")
	}
	b.wantTidy()
	if f, err = b.Check(t.Context(), Request{}); err != nil || f.Available || f.Stop != nil || f.Candidate.Digest != digestOf(payload) {
		t.Errorf("again: %+v, %v; want current", f, err)
	}
	b.Unlock()
	b.open(nil) // another process, which reads it from the disk
	b.lock()
	if out, err := b.Upgrade(t.Context(), Request{}); err != nil || out.Changed || b.source.fetched != 1 {
		t.Errorf("again: %+v, %v, %d downloads", out, err, b.source.fetched)
	}
}

// TestArchiveOfTheInstalledVersion: nobody can tell whether it holds the very build that is installed, and nothing is downloaded to learn it.
func TestArchiveOfTheInstalledVersion(t *testing.T) {
	b := newBench(t, nil)
	b.offerArchive("1.0.0", []byte("whatever"))
	out, err := b.Upgrade(t.Context(), Request{Manual: true})
	if err != nil || out.Changed || b.source.fetched > 0 {
		t.Errorf("%+v, %v, %d downloads; want current", out, err, b.source.fetched)
	}
	b.source.offers = nil
	b.offerArchive("0.9.0", []byte("whatever"))
	_, err = b.Upgrade(t.Context(), Request{Manual: true})
	wantError(t, err, Policy, "older")
}

// TestQuarantineReachesIntoArchives: a build that crashed is known again in another archive, by one download and no second one.
func TestQuarantineReachesIntoArchives(t *testing.T) {
	started := 0
	b := newBench(t, func(o *Options) {
		o.Handover = handoverFunc(func(context.Context, string, func() error) error {
			started++
			return &undone{verdict: true, undone: true, guilty: true}
		})
	})
	b.lock()
	payload := candidate(t, "9.9.2-good")
	b.offerArchive("9.9.2-good", archived(t, "hello", payload))
	_, err := b.Upgrade(t.Context(), Request{})
	wantError(t, err, Undone, "because")
	if q := b.status().Quarantine; len(q) != 1 || q[0].Digest != digestOf(payload) {
		t.Fatalf("quarantine %v, want the digest of the executable", q)
	}
	_, err = b.Upgrade(t.Context(), Request{})
	wantError(t, err, Policy, "quarantined")
	if b.source.fetched != 1 {
		t.Fatalf("%d downloads of a build in quarantine", b.source.fetched)
	}
	b.source.offers = nil
	b.offerArchive("9.9.2-good", append(archived(t, "hello", payload), archived(t, "README", nil)...)) // packed again
	for range 2 {
		_, err = b.Upgrade(t.Context(), Request{})
		wantError(t, err, Policy, "quarantined")
	}
	if b.source.fetched != 2 || started != 1 {
		t.Errorf("%d downloads, started %d times; want 2 and once", b.source.fetched, started)
	}
	b.wantTidy()
}

// TestArchiveOfTheInstalledBuild: a new version whose archive holds what is installed.
func TestArchiveOfTheInstalledBuild(t *testing.T) {
	b := newBench(t, nil)
	b.lock()
	b.offerArchive("1.1.0", archived(t, "hello", []byte(oldBytes)))
	_, err := b.Upgrade(t.Context(), Request{})
	wantError(t, err, Policy, "same-version")
	out, err := b.Upgrade(t.Context(), Request{})
	if err != nil || out.Changed || b.source.fetched != 1 || b.installed() != oldBytes {
		t.Errorf("%+v, %v, %d downloads", out, err, b.source.fetched)
	}
	b.wantTidy()
}

func TestArchiveRefused(t *testing.T) {
	good := archived(t, "hello", candidate(t, "9.9.2-good"))
	bomb := archived(t, "hello", make([]byte, 64<<20))
	for name, tc := range map[string]struct {
		file   []byte
		change func(*Candidate)
		reason string
	}{
		"no such file":        {archived(t, "other", []byte("x")), nil, "bad-payload"},
		"no archive":          {[]byte("x"), nil, "bad-payload"},
		"bomb":                {bomb, nil, "too-long"},
		"no executable":       {archived(t, "hello", []byte("#!/bin/sh")), nil, "not-executable"},
		"not the version":     {archived(t, "hello", candidate(t, "9.9.2-liar")), nil, "wrong-version"},
		"signed as another":   {good, func(c *Candidate) { c.Minisign = signedAs(t, "hello", "9.9.3", release.Host(), good) }, "bad-comment"},
		"for another program": {good, func(c *Candidate) { c.Minisign = signedAs(t, "other", "9.9.2-good", release.Host(), good) }, "wrong-app"},
		"for another platform": {good, func(c *Candidate) {
			c.Minisign = signedAs(t, "hello", "9.9.2-good", release.Platform{OS: "plan9", Arch: "mips"}, good)
		}, "bad-comment"},
		"signature of others":   {good, func(c *Candidate) { c.Minisign = signedAs(t, "hello", "9.9.2-good", release.Host(), bomb) }, "bad-signature"},
		"comment says too much": {good, func(c *Candidate) { c.Minisign = signed(t, good) }, "bad-comment"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			c := b.offerArchive("9.9.2-good", tc.file)
			if tc.change != nil {
				tc.change(&c)
				b.source.offers[0] = c
			}
			unpacked := false
			b.step = func(p string) { unpacked = unpacked || p == "stage dir" }
			_, err := b.Upgrade(t.Context(), Request{})
			wantError(t, err, Verification, tc.reason)
			if c.Minisign != nil && unpacked {
				t.Error("it was unpacked before its signature was verified")
			}
			if b.installed() != oldBytes {
				t.Error("installed")
			}
			b.wantTidy()
		})
	}
	b := newBench(t, nil)
	c := b.offerArchive("9.9.2-good", good)
	c.Minisign = signedAs(t, "hello", "9.9.2-good", release.Host(), good)
	b.source.offers[0] = c
	if out, err := b.Upgrade(t.Context(), Request{}); err != nil || !out.Changed {
		t.Errorf("well signed: %+v, %v", out, err)
	}
}

// signedAs is a signature whose trusted comment says what it is for.
func signedAs(t *testing.T, app, version string, p release.Platform, file []byte) *Minisign {
	t.Helper()
	pub, priv, err := release.GenerateMinisign("")
	if err != nil {
		t.Fatal(err)
	}
	sig, err := release.SignMinisign(priv, "", bytes.NewReader(file), release.TrustedComment{App: app, Version: release.MustParseVersion(version), Platform: p})
	if err != nil {
		t.Fatal(err)
	}
	return &Minisign{PublicKey: pub, Signature: string(sig)}
}

func TestRememberedArchivesAreBounded(t *testing.T) {
	s := newState()
	for i := range 3 * mostArchives {
		s.remember(unpacked{Archive: release.Digest{byte(i)}, Digest: release.Digest{1}})
	}
	s.remember(unpacked{Archive: release.Digest{3*mostArchives - 2}, Digest: release.Digest{2}})
	if n := len(s.Archives); n != mostArchives || s.Archives[n-1].Digest != (release.Digest{2}) {
		t.Errorf("%d remembered, last %+v", n, s.Archives[n-1])
	}
}
