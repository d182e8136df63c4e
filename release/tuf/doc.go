// Package tuf publishes releases as a TUF repository of static files, and reads them.
//
// # The feed
//
//	metadata/1.root.json            who may sign; embedded in the program
//	metadata/N.targets.json         the digests of the indexes
//	metadata/N.brake.json           the digest of the brake, by the online key
//	metadata/N.snapshot.json        which targets belong to this publication
//	metadata/timestamp.json         which publication is the latest; the only file that changes under its name
//	targets/HEX.brake.json          what the online key has stopped (release.Brake)
//	targets/CHANNEL/HEX.os-arch.json   the index of a channel and platform (release.Index)
//	targets/VERSION/HEX.app-os-arch.zst    an executable, compressed; vouched for by the index
//
// Any web server, bucket or CDN serves it: everything but timestamp.json may be cached for ever, and timestamp.json for
// some minutes. Query strings and cookies are never used.
//
// # Publishing
//
// An executable is stored as zstd, and beside it what makes it from the last releases of the channel: deltas, each of them applied and
// compared before anything is signed.
//
// [Init] makes three Ed25519 keys, each in a file of its own: root, to be taken offline; targets, for publishing; online, for
// snapshot and timestamp. Each may be a [Signer] instead, whose key lies elsewhere, and a role may have several. [Repository.Publish] adds a version to a channel, [Repository.Promote] copies it to another,
// [Repository.Refresh] renews what would expire and belongs on a timer: the timestamp holds for 14 days, the snapshot for 30, targets
// and brake for 180, the root for 365.
//
// The brake is the one delegation: targets leave brake.json, and nothing else, to the online key. Whatever else its role lists or delegates is
// not looked at, so that whoever has the online key can stop releases and not offer any. A host keeps what it saw of a brake until the index, which the targets key
// signs, resumes the release: taking an entry out again lets nobody go.
//
// Files are written payload first and timestamp last, each in one durable step: a reader sees the old publication or the new
// one. Before it signs on top of what is there, the publisher verifies it from the trusted root in the key directory, so that
// write access to the web server is not a way to get files signed.
//
// # Changing the root
//
// A [RootChange] adds and revokes keys, sets thresholds, and renews the root. It travels as one file to those who must sign it;
// [Repository.PublishRoot] publishes it and signs again what the old keys signed, with the keys of both roots where they are at hand, so that no
// reader comes between. A publication of a root that was interrupted is finished by the next command.
//
// # Reading
//
// [Client] verifies from the embedded root; there is no trust on first use. It refuses what is unsigned, expired, replayed,
// mixed from two publications, too long, too short or of another kind, each with an error of its own, and leaves its cache so that
// the next good check works. An unchanged check is two requests. A timestamp older than the one that is trusted is not taken, and
// for five checks in a row it is no error either: an edge of a CDN may be behind another. A feed that expires stops updates and nothing else: it is for the
// caller to serve on. A feed may have mirrors: whatever is wrong with one, the next is asked, and nothing but signatures is believed of any.
//
// [Conformance] drives the same verification over other TUF repositories, for the public suite of tests that TUF clients are run against.
//
// What it does not do: it does not choose among versions, write executables or retry. It follows no delegation but the brake's.
//
// The verification of metadata is github.com/theupdateframework/go-tuf/v2's; limits, contexts and the cache are ours; package transfer gets the files.
package tuf
