package assets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
)

// Trust is the policy by which a file is trusted. Exactly one of its fields has to be set.
type Trust struct {
	// MinisignKey is a public key as minisign writes it, with or without its comment line: signatures by it are asked for.
	MinisignKey string
	// ChecksumInsecure trusts a file because a checksum beside it says so. It protects from broken downloads, not from
	// anybody who can change what is published.
	ChecksumInsecure bool
}

// Check returns an error unless t is one policy.
func (t Trust) Check() error {
	switch {
	case t.MinisignKey != "" && t.ChecksumInsecure:
		return fail(updater.Usage, "bad-options", "a minisign key and insecure checksums exclude each other")
	case t.MinisignKey == "" && !t.ChecksumInsecure:
		return fail(updater.Usage, "bad-options", "nothing says why a file may be trusted: give the publisher's minisign key")
	}
	return nil
}

// vouched is what is known of a file when it may be trusted.
type vouched struct {
	digest    release.Digest
	version   release.Version  // zero: nobody signed for one
	platform  release.Platform // zero: likewise
	signature []byte           // of the file itself
}

// vouch finds out why file may be trusted, by t and by nothing else.
func (t Trust) vouch(ctx context.Context, app, file string, r Release) (vouched, error) {
	if t.ChecksumInsecure {
		return t.byChecksum(ctx, file, r)
	}
	ways := []func(context.Context, string, string, Release) (vouched, error){t.bySignature, t.bySignedChecksums}
	if r.Files == nil { // the file of checksums was read already, to know the names
		ways[0], ways[1] = ways[1], ways[0]
	}
	for _, way := range ways {
		v, err := way(ctx, app, file, r)
		if !errors.Is(err, fs.ErrNotExist) {
			return v, err
		}
	}
	return vouched{}, fail(updater.Verification, "unsigned", "%s is not signed: there is neither %s.minisig nor a signature of the file of checksums", file, file)
}

// bySignature takes the signature of the file itself, of which the comment is verified here and the rest when the file is there.
func (t Trust) bySignature(ctx context.Context, app, file string, r Release) (vouched, error) {
	sig, err := r.read(ctx, file+signatureSuffix, release.MaxSignatureSize)
	if err != nil {
		return vouched{}, err
	}
	c, err := release.AuthenticateComment(t.MinisignKey, sig)
	if err != nil {
		return vouched{}, badSignature(file, err)
	}
	if err := r.agree(app, file, c.App, c.Version); err != nil {
		return vouched{}, err
	}
	return vouched{c.SHA256, c.Version, c.Platform, sig}, nil
}

// bySignedChecksums takes a signature of the file of checksums.
func (t Trust) bySignedChecksums(ctx context.Context, app, file string, r Release) (vouched, error) {
	name, err := r.checksums(file)
	if err != nil {
		return vouched{}, err
	}
	sig, err := r.read(ctx, name+signatureSuffix, release.MaxSignatureSize)
	if err != nil {
		return vouched{}, err
	}
	b, err := r.read(ctx, name, MaxChecksums)
	if err != nil {
		return vouched{}, gone(name, err)
	}
	c, err := release.VerifyChecksums(t.MinisignKey, sig, bytes.NewReader(b))
	if err != nil {
		return vouched{}, badSignature(name, err)
	}
	if err := r.agree(app, name, c.App, c.Version); err != nil {
		return vouched{}, err
	}
	d, err := digestIn(b, name, file)
	return vouched{digest: d, version: c.Version}, err
}

// byChecksum believes what lies beside the file or, without that, what the forge itself says.
func (t Trust) byChecksum(ctx context.Context, file string, r Release) (vouched, error) {
	var v vouched
	name, err := r.checksums(file)
	if err == nil {
		var b []byte
		if b, err = r.read(ctx, name, MaxChecksums); err == nil {
			v.digest, err = digestIn(b, name, file)
			return v, err
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		var b []byte
		if b, err = r.read(ctx, file+".sha256", MaxChecksums); err == nil {
			if v.digest, err = parseSplit(b, file); err != nil {
				err = fail(updater.Verification, "bad-checksums", "%s.sha256: %w", file, err)
			}
			return v, err
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	if v.digest = r.find(file).Digest; v.digest.IsZero() {
		return v, fail(updater.Verification, "bad-checksums", "%s: there is no checksum of it", file)
	}
	return v, nil
}

const signatureSuffix = ".minisig"

func digestIn(checksums []byte, name, file string) (release.Digest, error) {
	sums, err := ParseChecksums(checksums)
	if err != nil {
		return release.Digest{}, fail(updater.Verification, "bad-checksums", "%s: %w", name, err)
	}
	d, ok := sums[file]
	if !ok {
		return d, fail(updater.Verification, "bad-checksums", "%s has no line for %s", name, file)
	}
	return d, nil
}

func badSignature(file string, err error) error {
	reason := "bad-signature"
	if errors.Is(err, release.ErrBadComment) {
		reason = "bad-comment"
	}
	return fail(updater.Verification, reason, "signature of %s: %w", file, err)
}

// gone keeps a file that is signed and yet not there from being taken for one that is not signed.
func gone(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fail(updater.Temporary, "not-found", "%s has a signature and is not there", name)
	}
	return err
}

func fail(c updater.Class, reason, format string, args ...any) error {
	return &updater.Error{Class: c, Reason: reason, Err: fmt.Errorf(format, args...)}
}
