// Package release says what a release is and why it is trusted. The publisher and the running server share it; it neither
// talks to a network nor changes a disk.
//
// # What a release is
//
// A [Release] is one [Version] of an application for one [Platform]: an [Artifact], the raw executable, known by its length
// and its [Digest], and the [Payload] files that it can be made from. Its [Rollout] says which hosts may have it when, its
// minimum version which may take it directly. A [Brake] stops it. An [Index] lists the releases of one channel for one platform, newest first; it is all that a server needs
// to choose an update.
//
// Versions are strict semantic versions. Digests, not versions, are the identity of a build: versions may lie or repeat.
//
// # Why it is trusted
//
// In a feed (package release/tuf) an index is a TUF target: signed, dated and protected from replay before its first byte is
// parsed, and it vouches for the artifact.
//
// A lone file - dropped at a watched path, or an asset of a forge - is trusted by a minisign signature beside it. minisign
// binds bytes and not their meaning, so the signature's trusted comment must say the rest, strictly:
//
//	app:hello version:1.4.0 platform:linux/amd64 sha256:9f86d081…
//
// [AuthenticateComment] verifies that comment without the file, [VerifyMinisign] the file with it. There is no date in it: a
// caller that must not go back to an old version has to keep a floor of its own. The untrusted comment is never looked at.
//
// Whatever a parser of this package accepts is bounded in size and safe as part of a file name; everything else is an error.
package release
