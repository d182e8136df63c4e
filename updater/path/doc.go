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
// The file is looked at every 5 seconds, by polling: remote file systems report no events, and links that are
// flipped lose those that there were. It may be written in place or moved there; a copy that is still
// growing when it is read does not match its digest, and is read again at the next look. Writing the signature last is a
// good habit all the same. The file is copied before it is verified and never opened afterwards.
//
// Without a key there is no trust, and nothing is offered: [Source.Check] then says "unsigned".
package path
