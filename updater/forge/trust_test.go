package forge

import (
	"bytes"
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
)

// TestDistrusts: whatever is wrong with what vouches for a file, nothing is offered, and the policy never changes by itself.
func TestDistrusts(t *testing.T) {
	k, other := newKeys(t), newKeys(t)
	arm := release.Platform{OS: "linux", Arch: "arm64"}
	for name, tc := range map[string]struct {
		change func(files map[string][]byte)
		class  updater.Class
		reason string
	}{
		"not signed":        {func(f map[string][]byte) { delete(f, "checksums.txt.minisig") }, updater.Verification, "unsigned"},
		"checksums changed": {func(f map[string][]byte) { f["checksums.txt"] = append(bytes.Clone(f["checksums.txt"]), '\n') }, updater.Verification, "bad-signature"},
		"checksums by another key": {func(f map[string][]byte) {
			f["checksums.txt.minisig"] = other.checksums(t, f["checksums.txt"], "hello", "1.4.0")
		}, updater.Verification, "bad-signature"},
		"checksums of another program": {func(f map[string][]byte) {
			f["checksums.txt.minisig"] = k.checksums(t, f["checksums.txt"], "other", "1.4.0")
		}, updater.Verification, "wrong-app"},
		"checksums of another version": {func(f map[string][]byte) {
			f["checksums.txt.minisig"] = k.checksums(t, f["checksums.txt"], "hello", "1.3.9")
		}, updater.Verification, "wrong-version"},
		"signed as an executable": {func(f map[string][]byte) {
			f["checksums.txt.minisig"] = k.file(t, f["checksums.txt"], "hello", "1.4.0", linux)
		}, updater.Verification, "bad-comment"},
		"no line for the file": {func(f map[string][]byte) {
			f["checksums.txt"] = []byte(strings.Repeat("ab", 32) + "  other_linux_arm64.tar.gz\n")
			f["checksums.txt.minisig"] = k.checksums(t, f["checksums.txt"], "hello", "1.4.0")
		}, updater.Verification, "bad-checksums"},
		"no checksums at all": {func(f map[string][]byte) {
			f["checksums.txt"] = []byte("<html>")
			f["checksums.txt.minisig"] = k.checksums(t, f["checksums.txt"], "hello", "1.4.0")
		}, updater.Temporary, "wrong-type"},
		"signature is a page": {func(f map[string][]byte) { f["checksums.txt.minisig"] = []byte("<!DOCTYPE html>") }, updater.Temporary, "wrong-type"},
		"signature is large":  {func(f map[string][]byte) { f["checksums.txt.minisig"] = make([]byte, 1<<20) }, updater.Verification, "too-long"},
		"checksums are large": {func(f map[string][]byte) { f["checksums.txt"] = bytes.Repeat([]byte("x"), 2<<20) }, updater.Verification, "too-long"},
		"file by another key": {func(f map[string][]byte) {
			f[archiveName+".minisig"] = other.file(t, f[archiveName], "hello", "1.4.0", linux)
		}, updater.Verification, "bad-signature"},
		"file of another program": {func(f map[string][]byte) {
			f[archiveName+".minisig"] = k.file(t, f[archiveName], "other", "1.4.0", linux)
		}, updater.Verification, "wrong-app"},
		"file of another version": {func(f map[string][]byte) {
			f[archiveName+".minisig"] = k.file(t, f[archiveName], "hello", "1.9.0", linux)
		}, updater.Verification, "wrong-version"},
		"file for another platform": {func(f map[string][]byte) {
			f[archiveName+".minisig"] = k.file(t, f[archiveName], "hello", "1.4.0", arm)
		}, updater.Policy, "wrong-platform"},
		"two files of checksums": {func(f map[string][]byte) { f["hello_checksums.txt"] = f["checksums.txt"] }, updater.Verification, "ambiguous"},
		"two programs":           {func(f map[string][]byte) { f["hello-linux-x86_64.tar.gz"] = f[archiveName] }, updater.Verification, "ambiguous"},
		"signed and gone":        {func(f map[string][]byte) { delete(f, "checksums.txt") }, updater.Verification, "unsigned"},
		"empty signature":        {func(f map[string][]byte) { f["checksums.txt.minisig"] = []byte{} }, updater.Verification, "bad-signature"},
	} {
		files := k.signed(t)
		tc.change(files)
		s := newSite(t, rel{tag: "v1.4.0", files: files})
		t.Run(name, func(t *testing.T) {
			_, err := Gitea(s.api.URL+"/o/hello", Options{MinisignKey: k.public}).Check(t.Context(), s.query(t, "1.3.0"))
			wantError(t, err, tc.class, tc.reason)
		})
	}
}

// TestChecksumOnly: the other policy, by its own name.
func TestChecksumOnly(t *testing.T) {
	files := dist(t)
	o := Options{ChecksumInsecure: true}
	s := newSite(t, rel{tag: "v1.4.0", files: files, digests: true})
	for forge, src := range s.sources(o) {
		if offered, err := src.Check(t.Context(), s.query(t, "1.3.0")); err != nil || len(offered) != 1 || offered[0].Minisign != nil {
			t.Errorf("%s: %+v, %v", forge, offered, err)
		}
	}
	sum := sumOf(files[archiveName])
	for name, tc := range map[string]struct {
		change  func(*rel)
		reason  string
		offered bool
	}{
		"split": {func(r *rel) { delete(r.files, "checksums.txt"); r.files[archiveName+".sha256"] = []byte(sum) }, "", true},
		"split, a line": {func(r *rel) {
			delete(r.files, "checksums.txt")
			r.files[archiveName+".sha256"] = []byte(sum + "  " + archiveName + "\n")
		}, "", true},
		"split, another's": {func(r *rel) { delete(r.files, "checksums.txt"); r.files[archiveName+".sha256"] = []byte(sum + "  x\n") }, "bad-checksums", false},
		"the forge's own":  {func(r *rel) { delete(r.files, "checksums.txt"); r.digests = true }, "", true},
		"none":             {func(r *rel) { delete(r.files, "checksums.txt") }, "bad-checksums", false},
		"they differ": {func(r *rel) {
			r.files["checksums.txt"] = []byte(strings.Repeat("ab", 32) + "  " + archiveName + "\n")
			r.digests = true
		}, "digest-mismatch", false},
	} {
		r := rel{tag: "v1.4.0", files: dist(t)}
		tc.change(&r)
		s := newSite(t, r)
		t.Run(name, func(t *testing.T) {
			offered, err := Gitea(s.api.URL+"/o/hello", o).Check(t.Context(), s.query(t, "1.3.0"))
			if tc.offered && (err != nil || len(offered) != 1 || offered[0].Full.SHA256.String() != sum) {
				t.Errorf("%+v, %v", offered, err)
			}
			if !tc.offered {
				wantError(t, err, updater.Verification, tc.reason)
			}
		})
	}
}

func sumOf(b []byte) string {
	d, _, _ := release.DigestReader(bytes.NewReader(b))
	return d.String()
}

// TestWrongPayload: bytes that are not those vouched for.
func TestWrongPayload(t *testing.T) {
	k := newKeys(t)
	files := k.signed(t)
	s := newSite(t, rel{tag: "v1.4.0", files: files})
	src, q := Gitea(s.api.URL+"/o/hello", Options{MinisignKey: k.public}), s.query(t, "1.3.0")
	offered, err := src.Check(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for reason, change := range map[string]func([]byte) []byte{
		"digest-mismatch": func(b []byte) []byte { b = bytes.Clone(b); b[50] ^= 1; return b },
		"truncated":       func(b []byte) []byte { return b[:20] },
		"too-long":        func(b []byte) []byte { return append(bytes.Clone(b), "more"...) },
	} {
		good := files[archiveName]
		files[archiveName] = change(good)
		err := src.Fetch(t.Context(), q, offered[0].Full, &bytes.Buffer{})
		files[archiveName] = good
		wantError(t, err, updater.Verification, reason)
	}
}
