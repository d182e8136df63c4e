// Package assets finds, among the files of a release in goreleaser's layout, the one that this host can use, and says why it may be trusted.
// The sources forge, dir and file are built on it.
//
// # Which file
//
// Files are known by their names: hello_1.4.0_linux_amd64.tar.gz is what goreleaser calls an archive; other words for systems and
// processors, and other orders, are understood as well ([Choose]). A host takes the best variant that runs on it, never one above, and of two
// files that fit equally it takes none: a guess is how the wrong executable gets installed. Archives (tar.gz, zip) and bare executables will do.
//
// # Why it is trusted
//
// By one of two policies ([Trust]), of which a program has to choose one:
//
//   - A minisign key. Either the file has a signature of its own (hello_1.4.0_linux_amd64.tar.gz.minisig), or the file of checksums that names it
//     has one (checksums.txt.minisig). The trusted comment must say for which application and version it was made, and for a file of its own also
//     for which platform: `moult minisign sign` writes it so.
//   - Checksums without any signature, called insecure wherever it appears: whoever can change the files can change their checksums. It finds
//     broken downloads, and nothing else.
//
// There is no step from one to the other: where a key is configured and a signature is missing or bad, nothing is offered.
//
// What neither can do: tell that a newer release is withheld. Signatures of single files do not expire. The feed (package updater/feed) does
// better.
package assets
