// Package path is an update source for a file that an operator drops: FILE, with its minisign signature
// beside it as FILE.minisig.
//
//	src := path.New("/srv/drop/hello", publicKey)
//	u, err := updater.New(updater.Options{Name: "hello", Version: version, Source: src})
//
// Version, platform and digest come from the signature's trusted comment ("app:hello version:1.2.3
// platform:linux/amd64 sha256:…", see package release), which is authenticated before it is read; the file
// name and the untrusted comment say nothing. So the same build can be dropped again and nothing happens, and an
// old one, however well signed, is an old one.
//
// # What it waits for
//
// The file system tells of changes, and the file is looked at every 5 seconds as well: remote file systems report no events, and queues
// of them overflow. What is watched are the directories of every component of the path and of the links in it, never the file, so a link may be
// flipped (as kubelet flips ..data), and directories may be moved away and made again. Nothing there is nothing offered, for as long as it takes.
//
// Any tool may write it: a move, a copy in place, a link. A signature that comes after the file is the sign that the file is whole, and it
// is read at once; else it must have been left alone for 2 seconds. It is opened once, hashed, and offered only if the signature names
// that digest. A new file under an old signature, or an old one under a new signature, is no error but "still-changing" for 10 seconds after the last
// change of either: the other one may be on its way. After that it is "digest-mismatch" or "unsigned", and both have to be dropped again.
//
// The same bytes with other times, modes or owners are the same offer. What is fetched is copied, compared once more, and never opened at its
// path afterwards.
//
// Without a key there is no trust, and nothing is offered: [Source.Check] then says "unsigned".
package path
