// Package dir takes updates from a directory that holds the files of the newest release as goreleaser leaves them in dist: on disk, or on
// any web server.
//
//	Source: dir.New("https://example.com/hello", dir.Options{MinisignKey: key}),
//
// Over HTTP nobody lists a directory, so it needs a file checksums.txt (goreleaser: checksum.name_template), which lists the files. To
// publish: sign checksums.txt (`moult minisign sign`), upload the archives, then checksums.txt and checksums.txt.minisig. Who looks in
// between the two sees a bad signature, takes nothing, and looks again later. A check that finds nothing new costs two small
// conditional requests.
//
// On disk the directory is listed, and other names of the file of checksums, or signatures of the single files, will do as well.
//
// Which of the files is taken, and why it is trusted, is in package updater/assets.
package dir
